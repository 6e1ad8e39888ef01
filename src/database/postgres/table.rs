//! An answer as plain values.
//!
//! In: the messages of one simple query. Out: columns and rows of text. Forbidden here: what they mean.

use tokio_postgres::SimpleQueryMessage;

/// The rows of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl Table {
    /// Reads the messages; of several answers to one question, which nobody should give, the last.
    pub(super) fn of(messages: &[SimpleQueryMessage]) -> Self {
        let mut table = Self::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    let columns = columns.iter().map(|column| column.name().to_owned()).collect();
                    table = Self { columns, rows: Vec::new() };
                }
                SimpleQueryMessage::Row(row) => {
                    let cell = |i| row.try_get(i).ok().flatten().map(ToOwned::to_owned);
                    table.rows.push((0..row.len()).map(cell).collect());
                }
                _ => {}
            }
        }
        table
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }

    /// The only row, if there is one and no other.
    pub(super) fn only_row(&self) -> Option<Row<'_>> {
        let mut rows = self.rows();
        rows.next().filter(|_| rows.next().is_none())
    }

    /// A table of a test: columns in one line, then each row in one, with `NULL` for nothing.
    #[cfg(test)]
    pub(super) fn written(text: &str) -> Self {
        let mut lines = text.lines().map(|line| line.split('|').map(str::trim));
        let columns = lines.next().map(|line| line.map(ToOwned::to_owned).collect()).unwrap_or_default();
        let cell = |cell: &str| (cell != "NULL").then(|| cell.to_owned());
        Self { columns, rows: lines.map(|line| line.map(cell).collect()).collect() }
    }
}

impl<'a> Row<'a> {
    /// What stands in a column: nothing if there is no such column, and a nothing of its own for NULL.
    pub(super) fn cell(&self, column: &str) -> Option<Option<&'a str>> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.cells.get(at).map(Option::as_deref)
    }

    /// The text in a column, if there is one.
    pub(super) fn text(&self, column: &str) -> Option<&'a str> {
        self.cell(column).flatten()
    }

    /// The count in a column, if there is one.
    pub(super) fn count(&self, column: &str) -> Option<u32> {
        self.text(column)?.parse().ok()
    }
}
