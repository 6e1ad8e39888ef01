//! The nodes of a document, each with the place of its text.

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle};

/// A document.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Its root.
    pub(super) root: Node,
    /// Whether a node is used in a second place.
    pub(super) has_aliases: bool,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The byte at which its text begins; for a collection in block style, its first key or item.
    pub(super) start: usize,
    /// The byte after its last character that is no white space.
    pub(super) end: usize,
    /// Whether it has a name by which it may be used again.
    pub(super) anchored: bool,
    /// What it is.
    pub(super) shape: Shape,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A scalar, or another node's name.
    Leaf,
    /// Keys and values.
    Map(Style, Vec<Entry>),
    /// Items.
    Seq(Style, Vec<Node>),
}

/// How a collection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// By lines.
    Block,
    /// In brackets, as JSON is.
    Flow,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// The byte at which it begins.
    pub(super) start: usize,
    /// The byte after its colon.
    pub(super) colon: usize,
    /// The value.
    pub(super) value: Node,
}

impl Tree {
    /// Reads the only document of a text. None when there is none, or more, or a key that is no scalar.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut options = Options::default();
        options.emit_comments = false;
        let parser = Parser::new_from_str_with_options(text, options);
        let events: Result<Vec<(Event<'_>, Span)>, _> = parser.collect();
        let mut reader = Reader { text, events: events.ok()?.into_iter(), has_aliases: false };
        let mut root = None;
        while let Some((event, span)) = reader.events.next() {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => return None,
                event => root = Some(reader.node(&event, span)?),
            }
        }
        Some(Self { root: root?, has_aliases: reader.has_aliases })
    }
}

struct Reader<'a, I> {
    text: &'a str,
    events: I,
    has_aliases: bool,
}

impl<'a, I: Iterator<Item = (Event<'a>, Span)>> Reader<'a, I> {
    fn node(&mut self, event: &Event<'a>, span: Span) -> Option<Node> {
        let start = span.start.byte_offset()?;
        let anchored = event.anchor_id().is_some_and(|id| id > 0);
        let leaf = |end: usize| Node { start, end, anchored, shape: Shape::Leaf };
        match event {
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                let end = self.trimmed(start, span.end.byte_offset()?);
                Some(Node { start: self.header(start)?, ..leaf(end) })
            }
            Event::Scalar(..) => Some(leaf(self.trimmed(start, span.end.byte_offset()?))),
            Event::Alias(_) => {
                self.has_aliases = true;
                Some(leaf(span.end.byte_offset()?))
            }
            Event::MappingStart(style, ..) => {
                let (entries, end) = self.entries()?;
                let end = entries.last().filter(|_| is_block(*style)).map_or(end, |last| last.value.end);
                Some(Node { start, end, anchored, shape: Shape::Map(style_of(*style), entries) })
            }
            Event::SequenceStart(style, ..) => {
                let (items, end) = self.items()?;
                let end = items.last().filter(|_| is_block(*style)).map_or(end, |last| last.end);
                Some(Node { start, end, anchored, shape: Shape::Seq(style_of(*style), items) })
            }
            _ => None,
        }
    }

    fn entries(&mut self) -> Option<(Vec<Entry>, usize)> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.events.next()?;
            if event == Event::MappingEnd {
                return Some((entries, span.end.byte_offset()?));
            }
            let (key, _) = event.scalar()?;
            let (start, end) = (span.start.byte_offset()?, span.end.byte_offset()?);
            let (space, _) =
                self.text.get(end..)?.split_once(':').filter(|(space, _)| space.trim().is_empty())?;
            let colon = end + space.len() + 1;
            let (event, span) = self.events.next()?;
            let mut value = self.node(&event, span)?;
            if value.start == value.end {
                // Nothing stands there; the parser places it behind a comment.
                (value.start, value.end) = (colon, colon);
            }
            entries.push(Entry { key: key.to_owned(), start, colon, value });
        }
    }

    fn items(&mut self) -> Option<(Vec<Node>, usize)> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.events.next()?;
            if event == Event::SequenceEnd {
                return Some((items, span.end.byte_offset()?));
            }
            items.push(self.node(&event, span)?);
        }
    }

    /// Where the sign stands that begins a block of text: on the line before its first one.
    fn header(&self, start: usize) -> Option<usize> {
        let before = self.text.get(..start)?.trim_end();
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let begins = |(at, _): &(usize, &str)| {
            let rest = before.get(line + at + 1..).unwrap_or_default();
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
            rest.is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
        };
        let (at, _) = before.get(line..)?.match_indices(['|', '>']).find(begins)?;
        Some(line + at)
    }

    /// The span of a block of text reaches to whatever follows it.
    fn trimmed(&self, start: usize, end: usize) -> usize {
        start + self.text.get(start..end).map_or(0, |text| text.trim_end().len())
    }
}

fn is_block(style: StructureStyle) -> bool {
    style == StructureStyle::Block
}

fn style_of(style: StructureStyle) -> Style {
    if is_block(style) { Style::Block } else { Style::Flow }
}
