//! A table as kubectl prints it: upper-case headings, columns as wide as their widest cell, two spaces between them.

use super::{Paint, Tone};

/// The alignment of a cell in its column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// As text.
    #[default]
    Left,
    /// As numbers.
    Right,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a colour.
    #[must_use]
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// Its printed width, for the scripts in which names of Kubernetes objects are written.
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// A table that is filled row by row.
#[derive(Clone, Debug)]
pub struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns and no rows.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let headings = columns.iter().map(|(heading, _)| Cell::toned(*heading, Tone::Strong)).collect();
        Self { aligns: columns.iter().map(|(_, align)| *align).collect(), rows: vec![headings] }
    }

    /// Adds a row. Missing cells are empty; cells beyond the last column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells.into_iter().collect();
        cells.resize(self.aligns.len(), Cell::default());
        self.rows.push(cells);
    }

    /// The lines of the table, each with its line end. No line ends in spaces.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        self.rows.iter().map(|row| self.line(row, &widths, paint)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], paint: Paint) -> String {
        let mut line = String::new();
        // Spaces are held back until text follows.
        let mut spaces = 0;
        for ((cell, align), width) in row.iter().zip(&self.aligns).zip(widths) {
            let missing = width.saturating_sub(cell.width());
            let (before, after) = if *align == Align::Right { (missing, 0) } else { (0, missing) };
            spaces += before;
            if !cell.text.is_empty() {
                line.extend(std::iter::repeat_n(' ', spaces));
                line.push_str(&paint.text(cell.tone, &cell.text));
                spaces = 0;
            }
            spaces += after + 2;
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(&[("NAME", Align::Left), ("HOLDS", Align::Right), ("WHY", Align::Left)])
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = table();
        table.row(["Deployment/api".into(), "12".into(), "-".into()]);
        table.row(["ü".into(), "1".into(), "it waits".into()]);
        let expected = "NAME            HOLDS  WHY\n\
                        Deployment/api     12  -\n\
                        ü                   1  it waits\n";
        assert_eq!(table.render(Paint::PLAIN), expected);
    }

    #[test]
    fn no_line_ends_in_spaces_and_missing_cells_are_empty() {
        let mut table = table();
        table.row(["a".into()]);
        table.row(["b".into(), "".into(), "so".into()]);
        assert_eq!(table.render(Paint::PLAIN), "NAME  HOLDS  WHY\na\nb            so\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = table();
        table.row([Cell::toned("a", Tone::Bad), "1".into(), "x".into()]);
        let plain = table.render(Paint::PLAIN);
        let painted = table.render(Paint::COLOURED);
        let stripped = ["\u{1b}[31m", "\u{1b}[1m", "\u{1b}[0m"]
            .iter()
            .fold(painted.clone(), |text, code| text.replace(code, ""));
        assert_ne!(painted, plain);
        assert_eq!(stripped, plain);
    }
}
