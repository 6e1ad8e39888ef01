//! From a changed value to changes of the text.
//!
//! In: a tree, the value that it has, the value that it is to have. Out: the text with the changes made. Whole lines come
//! and go in block style, entries with their comma in brackets.

use std::ops::Range;

use serde_json::{Map, Value};

use super::Unfit;
use super::align::{Step, align};
use super::tree::{Entry, Node, Shape, Style, Tree};
use super::write::{Manner, column, dash_of};

/// Collects changes.
pub(super) struct Editor<'a> {
    text: &'a str,
    tree: &'a Tree,
    manner: Manner,
    edits: Vec<(Range<usize>, String)>,
}

/// What a node stands behind.
#[derive(Clone, Copy)]
enum Behind<'a> {
    /// A key in block style.
    Key(&'a Entry),
    /// Something else.
    Other,
}

impl<'a> Editor<'a> {
    /// Nothing is changed yet.
    pub(super) fn new(text: &'a str, tree: &'a Tree) -> Self {
        Self { text, tree, manner: Manner::of(text, &tree.root), edits: Vec::new() }
    }

    /// The text after the change of its value from `old` to `new`.
    pub(super) fn edit(mut self, old: &Value, new: &Value) -> Result<String, Unfit> {
        let tree = self.tree;
        self.change(&tree.root, Behind::Other, old, new)?;
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, replacement) in &self.edits {
            text.push_str(self.text.get(at..range.start).ok_or(Unfit)?);
            text.push_str(replacement);
            at = range.end;
        }
        text.push_str(self.text.get(at..).ok_or(Unfit)?);
        Ok(text)
    }

    fn change(&mut self, node: &Node, behind: Behind<'_>, old: &Value, new: &Value) -> Result<(), Unfit> {
        if old == new {
            return Ok(());
        }
        if node.anchored && self.tree.has_aliases {
            return Err(Unfit);
        }
        let made = self.edits.len();
        let result = self.change_within(node, behind, old, new);
        if result.is_err() && self.may_be_written_anew(node) {
            self.edits.truncate(made);
            self.edits.push((node.start..node.end, self.manner.flow(new)));
            return Ok(());
        }
        result
    }

    /// Whether a text in brackets says nothing but its value.
    fn may_be_written_anew(&self, node: &Node) -> bool {
        let flow = matches!(node.shape, Shape::Map(Style::Flow, _) | Shape::Seq(Style::Flow, _));
        let text = self.text.get(node.start..node.end).unwrap_or("#");
        flow && !self.tree.has_aliases && !text.contains('#')
    }

    fn change_within(
        &mut self,
        node: &Node,
        behind: Behind<'_>,
        old: &Value,
        new: &Value,
    ) -> Result<(), Unfit> {
        match (&node.shape, old, new) {
            (Shape::Map(style, entries), Value::Object(old), Value::Object(new))
                if !entries.is_empty() && !new.is_empty() =>
            {
                self.change_map(node, *style, entries, old, new)
            }
            (Shape::Seq(style, items), Value::Array(old), Value::Array(new))
                if !items.is_empty() && !new.is_empty() =>
            {
                self.change_seq(*style, items, behind, old, new)
            }
            _ => self.replace(node, behind, new),
        }
    }

    fn replace(&mut self, node: &Node, behind: Behind<'_>, new: &Value) -> Result<(), Unfit> {
        let Behind::Key(entry) = behind else {
            let block = matches!(node.shape, Shape::Map(Style::Block, _) | Shape::Seq(Style::Block, _));
            let text = if block { return Err(Unfit) } else { self.manner.flow(new) };
            self.edits.push((node.start..node.end, text));
            return Ok(());
        };
        // A block below its key goes with its lines. Else the comment behind the value stays.
        let below = self.line_end(entry.colon) <= node.start;
        let gone =
            if below { self.line_end(entry.colon)..self.line_end(node.end) } else { entry.colon..node.end };
        let (line, margin) = (self.line_end(entry.colon), column(self.text, entry.start));
        match self.manner.inline(new) {
            Some(text) if below => {
                self.edits.push((entry.colon..entry.colon, format!(" {text}")));
                self.edits.push((gone, String::new()));
            }
            Some(text) => self.edits.push((gone, format!(" {text}"))),
            None if below => {
                self.edits.push((gone, self.manner.below(new, margin)));
            }
            None => {
                if self.line_end(node.end) != line {
                    return Err(Unfit);
                }
                self.edits.push((gone, String::new()));
                self.insert_line(line, self.manner.below(new, margin));
            }
        }
        Ok(())
    }

    fn change_map(
        &mut self,
        node: &Node,
        style: Style,
        entries: &[Entry],
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Result<(), Unfit> {
        // Merge keys bring entries that have no text here, and of equal keys only one counts.
        if entries.len() != old.len() || !entries.iter().all(|entry| old.contains_key(&entry.key)) {
            return Err(Unfit);
        }
        for (index, entry) in entries.iter().enumerate() {
            let behind = if style == Style::Block { Behind::Key(entry) } else { Behind::Other };
            match (old.get(&entry.key), new.get(&entry.key)) {
                (Some(old), Some(new)) => self.change(&entry.value, behind, old, new)?,
                _ => self.remove_entry(style, entries, index)?,
            }
        }
        let added: Vec<(&String, &Value)> = new.iter().filter(|(key, _)| !old.contains_key(*key)).collect();
        if added.is_empty() {
            return Ok(());
        }
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Err(Unfit) };
        if style == Style::Block {
            let margin = column(self.text, first.start);
            let lines: String =
                added.iter().map(|(key, value)| self.manner.entry(key, value, margin)).collect();
            self.insert_line(self.line_end(node.end), lines);
            return Ok(());
        }
        if !new.contains_key(&last.key) {
            return Err(Unfit);
        }
        let between = self.between(first.start);
        for (key, value) in added {
            let text = format!("{between}{}: {}", self.manner.word(key), self.manner.flow(value));
            self.edits.push((last.value.end..last.value.end, text));
        }
        Ok(())
    }

    fn remove_entry(&mut self, style: Style, entries: &[Entry], index: usize) -> Result<(), Unfit> {
        let entry = entries.get(index).ok_or(Unfit)?;
        let next = entries.get(index + 1);
        let before = index.checked_sub(1).and_then(|index| entries.get(index));
        let alone = column(self.text, entry.start) == self.margin(entry.start);
        let range = match (style, before, next) {
            (Style::Block, ..) if alone => self.lines(entry.start, entry.value.end),
            // Behind the dash of an item: what follows takes its place.
            (Style::Block, _, Some(next)) => entry.start..next.start,
            (Style::Flow, Some(before), _) => before.value.end..entry.value.end,
            (Style::Flow, None, Some(next)) => entry.start..next.start,
            (_, _, None) => return Err(Unfit),
        };
        self.edits.push((range, String::new()));
        Ok(())
    }

    fn change_seq(
        &mut self,
        style: Style,
        items: &[Node],
        behind: Behind<'_>,
        old: &[Value],
        new: &[Value],
    ) -> Result<(), Unfit> {
        if items.len() != old.len() {
            return Err(Unfit);
        }
        let mut before = None;
        for step in align(old, new) {
            match step {
                Step::Is(from, to) => {
                    let (Some(item), Some(old), Some(new)) = (items.get(from), old.get(from), new.get(to))
                    else {
                        return Err(Unfit);
                    };
                    self.change(item, Behind::Other, old, new)?;
                    before = Some(item);
                }
                Step::Gone(place) => {
                    self.remove_item(style, items, place)?;
                    before = items.get(place);
                }
                Step::New(place) => {
                    let value = new.get(place).ok_or(Unfit)?;
                    self.insert_item(style, items, behind, before, value)?;
                }
            }
        }
        Ok(())
    }

    fn insert_item(
        &mut self,
        style: Style,
        items: &[Node],
        behind: Behind<'_>,
        before: Option<&Node>,
        value: &Value,
    ) -> Result<(), Unfit> {
        let first = items.first().ok_or(Unfit)?;
        match (style, before, behind) {
            (Style::Block, before, behind) => {
                let dash = dash_of(self.text, first).ok_or(Unfit)?;
                let at = match (before, behind) {
                    (Some(before), _) => self.line_end(before.end),
                    // Above the comments of the item that was the first.
                    (None, Behind::Key(key)) => self.line_end(key.colon),
                    (None, Behind::Other) => return Err(Unfit),
                };
                self.insert_line(at, self.manner.item(value, dash));
            }
            (Style::Flow, Some(before), _) => {
                let text = format!("{}{}", self.between(first.start), self.manner.flow(value));
                self.edits.push((before.end..before.end, text));
            }
            (Style::Flow, None, _) => {
                let between = self.between(first.start);
                let text = format!("{}{between}", self.manner.flow(value));
                self.edits.push((first.start..first.start, text));
            }
        }
        Ok(())
    }

    fn remove_item(&mut self, style: Style, items: &[Node], index: usize) -> Result<(), Unfit> {
        let item = items.get(index).ok_or(Unfit)?;
        let before = index.checked_sub(1).and_then(|index| items.get(index));
        let range = match (style, before, items.get(index + 1)) {
            (Style::Block, ..) => {
                dash_of(self.text, item).ok_or(Unfit)?;
                self.lines(item.start, item.end)
            }
            (Style::Flow, Some(before), _) => before.end..item.end,
            (Style::Flow, None, Some(next)) => item.start..next.start,
            (Style::Flow, None, None) => return Err(Unfit),
        };
        self.edits.push((range, String::new()));
        Ok(())
    }

    /// What stands between two entries in brackets: a comma, and a new line where the first entry stands on its own.
    fn between(&self, first: usize) -> String {
        if column(self.text, first) == self.margin(first) {
            format!(",{}{}", self.manner.newline, " ".repeat(column(self.text, first)))
        } else {
            ", ".to_owned()
        }
    }

    /// Inserts whole lines at the beginning of a line, or at the end of a text whose last line has no end.
    fn insert_line(&mut self, at: usize, lines: String) {
        let whole = self.text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with('\n'));
        let lines = if whole {
            lines
        } else {
            let newline = self.manner.newline;
            format!("{newline}{}", lines.strip_suffix(newline).unwrap_or(&lines))
        };
        self.edits.push((at..at, lines));
    }

    /// The whole lines from one byte to another.
    fn lines(&self, from: usize, to: usize) -> Range<usize> {
        from - column(self.text, from)..self.line_end(to)
    }

    /// The byte after the line end that follows.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.find('\n').map_or(self.text.len(), |end| at + end + 1)
    }

    /// The white space at the beginning of the line of a byte.
    fn margin(&self, at: usize) -> usize {
        let line = self.text.get(at - column(self.text, at)..).unwrap_or_default();
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }
}
