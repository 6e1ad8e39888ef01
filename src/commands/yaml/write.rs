//! Values as text, in the manner of the document that they are written into.

use serde_json::Value;

use super::tree::{Entry, Node, Shape, Style};

/// The manner of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Spaces by which a key stands right of the key that it belongs to.
    pub(super) step: usize,
    /// Spaces by which the dash of an item stands right of the key of its list.
    pub(super) dash: usize,
    /// The line end.
    pub(super) newline: &'static str,
    /// Whether it is JSON, in which every text is quoted.
    pub(super) json: bool,
}

impl Manner {
    /// That of the first places that show it.
    pub(super) fn of(text: &str, root: &Node) -> Self {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let json = text.trim_start().starts_with(['{', '[']);
        Self { step: step(text, root).unwrap_or(2), dash: dash(text, root).unwrap_or(0), newline, json }
    }

    /// A value in brackets.
    pub(super) fn flow(self, value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields =
                    fields.iter().map(|(key, value)| format!("{}: {}", self.word(key), self.flow(value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(|item| self.flow(item)).collect::<Vec<_>>().join(", "))
            }
            Value::String(text) => self.word(text),
            other => other.to_string(),
        }
    }

    /// A text in brackets. What would need a look is quoted.
    pub(super) fn word(self, text: &str) -> String {
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        let quoted = self.json || !text.chars().all(harmless) || plain(text) != text;
        if quoted { Value::from(text).to_string() } else { text.to_owned() }
    }

    /// A scalar or an empty collection after a key or a dash; none for what needs lines of its own.
    pub(super) fn inline(self, value: &Value) -> Option<String> {
        match value {
            Value::Object(fields) if !fields.is_empty() => None,
            Value::Array(items) if !items.is_empty() => None,
            Value::String(text) => Some(plain(text)),
            other => Some(other.to_string()),
        }
    }

    /// The lines of a collection that is not empty, indented by `indent`.
    pub(super) fn block(self, value: &Value, indent: usize) -> String {
        match value {
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| self.entry(key, value, indent)).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.item(item, indent)).collect(),
            scalar => {
                self.inline(scalar).map_or_else(String::new, |text| " ".repeat(indent) + &text + self.newline)
            }
        }
    }

    /// The lines of a key and its value.
    pub(super) fn entry(self, key: &str, value: &Value, indent: usize) -> String {
        let (margin, key) = (" ".repeat(indent), plain(key));
        match self.inline(value) {
            Some(text) => format!("{margin}{key}: {text}{}", self.newline),
            None => format!("{margin}{key}:{}{}", self.newline, self.below(value, indent)),
        }
    }

    /// The lines of a collection below its key.
    pub(super) fn below(self, value: &Value, indent: usize) -> String {
        self.block(value, indent + if value.is_array() { self.dash } else { self.step })
    }

    /// The lines of an item.
    pub(super) fn item(self, value: &Value, indent: usize) -> String {
        let margin = " ".repeat(indent);
        match self.inline(value) {
            Some(text) => format!("{margin}- {text}{}", self.newline),
            None => {
                let lines = self.block(value, indent + 2);
                format!("{margin}- {}", lines.trim_start())
            }
        }
    }
}

/// A text as YAML writes it on one line, quoted only where it would be read as something else.
fn plain(text: &str) -> String {
    let written = serde_yaml::to_string(&text).unwrap_or_default();
    let line = written.trim_end_matches('\n');
    let spoiled = line.is_empty() || line.contains('\n') || line.starts_with(['|', '>']);
    if spoiled { Value::from(text).to_string() } else { line.to_owned() }
}

/// How far right of the beginning of its line a byte stands.
pub(super) fn column(text: &str, at: usize) -> usize {
    at - text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

fn step(text: &str, node: &Node) -> Option<usize> {
    let nested = |entry: &Entry| match &entry.value.shape {
        Shape::Map(Style::Block, _) => {
            column(text, entry.value.start).checked_sub(column(text, entry.start)).filter(|step| *step > 0)
        }
        _ => None,
    };
    first(node, &|node| match &node.shape {
        Shape::Map(Style::Block, entries) => entries.iter().find_map(nested),
        _ => None,
    })
}

fn dash(text: &str, node: &Node) -> Option<usize> {
    let nested = |entry: &Entry| match &entry.value.shape {
        Shape::Seq(Style::Block, items) => {
            dash_of(text, items.first()?)?.checked_sub(column(text, entry.start))
        }
        _ => None,
    };
    first(node, &|node| match &node.shape {
        Shape::Map(Style::Block, entries) => entries.iter().find_map(nested),
        _ => None,
    })
}

/// The column of the dash of an item, when it stands alone before the item on its line.
pub(super) fn dash_of(text: &str, item: &Node) -> Option<usize> {
    let line = text.get(item.start - column(text, item.start)..item.start)?;
    let dash = line.find('-')?;
    (line.trim() == "-").then_some(dash)
}

/// The first answer in the order of the text.
fn first<T>(node: &Node, answer: &impl Fn(&Node) -> Option<T>) -> Option<T> {
    answer(node).or_else(|| match &node.shape {
        Shape::Leaf => None,
        Shape::Map(_, entries) => entries.iter().find_map(|entry| first(&entry.value, answer)),
        Shape::Seq(_, items) => items.iter().find_map(|item| first(item, answer)),
    })
}
