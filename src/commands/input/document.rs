//! The documents of a stream of YAML or JSON.
//!
//! In: a text. Out: its documents in order; concatenated, they are the text again, byte for byte. Each is parsed by
//! itself, so an unreadable one does not hide the others.

use std::fmt;
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_yaml::budget::BudgetBreach;
use serde_yaml::{DuplicateKeyPolicy, Error};

use super::Source;
use super::strict::QUOTED;
use crate::cluster::template::shortened;

/// The place of something in the input, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or `stdin`.
    pub origin: String,
    /// The number of the document in it, from 1.
    pub number: usize,
    /// The line on which the document begins, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {} (line {})", self.origin, self.number, self.line)
    }
}

/// One document.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// Its place.
    pub place: Place,
    /// Its text, with the marker that begins it.
    pub text: &'a str,
}

/// The documents of a source. A line that begins with `---` is always a marker: YAML allows no text with such a line,
/// not even in a literal block.
#[must_use]
pub fn documents(source: &Source) -> Vec<Document<'_>> {
    let mut found: Vec<Document<'_>> = Vec::new();
    for (range, mut line) in chunks(&source.text) {
        for text in values(source.text.get(range).unwrap_or_default()) {
            let place = Place { origin: source.origin.clone(), number: found.len() + 1, line };
            found.push(Document { place, text });
            line += text.matches('\n').count();
        }
    }
    found
}

/// The values of a chunk, each with the white space after it: more than one if JSON follows JSON, as kubectl accepts
/// it.
fn values(chunk: &str) -> Vec<&str> {
    let mut stream = serde_json::Deserializer::from_str(chunk).into_iter::<IgnoredAny>();
    let (mut found, mut start) = (Vec::new(), 0);
    while is_json(chunk) {
        match stream.next() {
            None => return found,
            Some(Err(_)) => break,
            Some(Ok(_)) => {}
        }
        let rest = chunk.get(stream.byte_offset()..).unwrap_or_default();
        let end = chunk.len() - rest.trim_start().len();
        found.extend(chunk.get(start..end));
        start = end;
    }
    vec![chunk]
}

/// The ranges of the documents, each with its first line number.
fn chunks(text: &str) -> Vec<(Range<usize>, usize)> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let before = text.get(start..offset).unwrap_or_default();
        if is_marker(line) && !is_preamble(before) {
            chunks.push((start..offset, first_line));
            (start, first_line) = (offset, index + 1);
        }
        offset += line.len();
    }
    if start < text.len() {
        chunks.push((start..text.len(), first_line));
    }
    chunks
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Comments and directives before the first marker belong to the first document.
fn is_preamble(text: &str) -> bool {
    text.lines().map(str::trim_start).all(|line| line.is_empty() || line.starts_with(['#', '%', '\u{feff}']))
}

impl Document<'_> {
    /// The value of the document; null when there is nothing in it.
    ///
    /// # Errors
    /// When it cannot be parsed, with the place and the reason.
    pub fn value(&self) -> Result<Value, String> {
        if is_json(self.text) {
            // What is not JSON may still be YAML in flow style.
            if let Ok(value) = serde_json::from_str(self.text) {
                return Ok(value);
            }
        }
        parse(self.text).map_err(|_| self.complaint())
    }

    /// Reports a key that occurs twice: only one of the two counts, which would surprise the reader.
    #[must_use]
    pub fn repeated(&self) -> Option<String> {
        let options = serde_yaml::options! { duplicate_keys: DuplicateKeyPolicy::Error, with_snippet: false };
        let padded = "\n".repeat(self.place.line - 1) + self.text;
        match serde_yaml::from_str_with_options::<Option<Value>>(&padded, options).err()? {
            Error::DuplicateMappingKey { key, location } => {
                let key = key
                    .map_or_else(|| "a key".to_owned(), |key| format!("the key {}", shortened(&key, QUOTED)));
                let (line, column) = (location.line(), location.column());
                Some(format!(
                    "{}: {key} occurs twice, and the last one counts: the second one is at line {line}, column {column}",
                    self.place
                ))
            }
            _ => None,
        }
    }

    /// Parses it again, padded to its position in the file, so that the message has the line numbers of the file.
    fn complaint(&self) -> String {
        let padded = "\n".repeat(self.place.line - 1) + self.text;
        let why = parse(&padded).map_or_else(|error| error, |_| "it cannot be parsed on its own".to_owned());
        let hint = if self.text.contains("{{") {
            "; this looks like a template of a Helm chart: render it first with helm template"
        } else {
            ""
        };
        format!("{}: {why}{hint}", self.place)
    }
}

pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Of equal keys the last one counts, as for kubectl.
fn parse(text: &str) -> Result<Value, String> {
    let options = serde_yaml::options! { duplicate_keys: DuplicateKeyPolicy::LastWins, legacy_octal_numbers: true,
    with_snippet: false };
    let value: Option<Value> =
        serde_yaml::from_str_with_options(text, options).map_err(|error| in_words(&error))?;
    Ok(value.unwrap_or_default())
}

/// An error of the parser; if it is one of its limits, in our own words.
fn in_words(error: &Error) -> String {
    let mut cause = error;
    while let Error::AliasError { error, .. } | Error::WithSnippet { error, .. } = cause {
        cause = error;
    }
    let what = match cause {
        Error::Budget { breach, .. } => bound(breach),
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => MANY_ALIASES,
        _ => return error.to_string(),
    };
    let line = error.location().map_or_else(String::new, |location| format!(" (line {})", location.line()));
    format!("{what}{line}: leave the document out, or split it")
}

const MANY_ALIASES: &str = "it has more anchors, aliases or merges than one document may have";

/// What exceeds the limit for one document.
fn bound(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            "it has more than the 250,000 values that one document may have; the values behind an alias count each time"
        }
        BudgetBreach::Depth { .. } => {
            "its maps and lists are nested deeper than the 64 levels that one document may have"
        }
        BudgetBreach::ScalarBytes { .. } => "it has more text than one document may have",
        _ => MANY_ALIASES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(text: &str) -> Source {
        Source { origin: "a.yaml".into(), text: text.into() }
    }

    fn texts(text: &str) -> Vec<String> {
        documents(&source(text)).iter().map(|document| document.text.to_owned()).collect()
    }

    fn values(text: &str) -> Vec<Value> {
        documents(&source(text)).iter().map(|document| document.value().expect("a value")).collect()
    }

    #[test]
    fn documents_laid_end_to_end_are_the_text() {
        for text in
            ["", "a: 1", "---\na: 1\n---\nb: 2\n", "# c\r\n---\r\na: 1\r\n--- # d\r\n", "\n\n---\n---\n"]
        {
            assert_eq!(texts(text).concat(), text);
        }
    }

    #[test]
    fn a_marker_begins_a_document() {
        assert_eq!(
            values("a: 1\n---\nb: 2\n--- # c\nc: 3"),
            [json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]
        );
    }

    #[test]
    fn dashes_in_a_text_are_no_marker() {
        assert_eq!(values("a: |\n  ---\n  b\n"), [json!({"a": "---\nb\n"})]);
        assert_eq!(values("---a: 1"), [json!({"---a": 1})]);
    }

    #[test]
    fn comments_and_directives_belong_to_the_document_after_them() {
        assert_eq!(values("# c\n%YAML 1.2\n---\na: 1\n"), [json!({"a": 1})]);
    }

    #[test]
    fn what_holds_nothing_is_null() {
        assert_eq!(values("---\n# Source: a.yaml\n---\na: 1\n"), [json!(null), json!({"a": 1})]);
    }

    #[test]
    fn json_is_read_with_tabs_and_all() {
        assert_eq!(values("{\n\t\"a\":\t[1, true]\n}\n"), [json!({"a": [1, true]})]);
    }

    #[test]
    fn json_may_follow_json() {
        let text = "{\"a\": 1}{\"b\": [2]}\n\n {\"c\": 3}\n";
        assert_eq!(values(text), [json!({"a": 1}), json!({"b": [2]}), json!({"c": 3})]);
        assert_eq!(texts(text).concat(), text);
        let source = source(text);
        let lines: Vec<usize> = documents(&source).iter().map(|document| document.place.line).collect();
        assert_eq!(lines, [1, 1, 3]);
        for text in ["{a: 1}", "{\"a\": 1} # one", "[1]\n", "{\"a\": 1}{"] {
            assert_eq!(texts(text), [text]);
        }
    }

    #[test]
    fn a_bound_of_the_parser_is_told_in_words() {
        let deep = format!("a: {}{}", "[".repeat(70), "]".repeat(70));
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
        for (text, what) in [(deep.as_str(), "64 levels"), (bomb, "250,000 values")] {
            let source = source(text);
            let error = documents(&source)[0].value().expect_err("too much");
            assert!(error.contains(what) && error.ends_with("or split it"), "{error}");
            assert!(!error.contains("budget") && !error.contains('{'), "{error}");
        }
    }

    #[test]
    fn anchors_and_merges_are_followed_and_the_last_of_equal_keys_counts() {
        let text = "base: &b {x: 1}\nown: {<<: *b, y: 2}\nz: 1\nz: 2\n";
        assert_eq!(values(text), [json!({"base": {"x": 1}, "own": {"x": 1, "y": 2}, "z": 2})]);
    }

    #[test]
    fn a_document_that_cannot_be_parsed_is_named_with_the_line_in_the_file() {
        let source = source("a: 1\n---\nb: 2\nc: [1\nd: 3\n");
        let error = documents(&source)[1].value().expect_err("broken");
        assert!(error.starts_with("a.yaml, document 2 (line 2): "), "{error}");
        assert!(error.contains("line 5"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn a_template_that_was_not_rendered_is_told_apart() {
        let source = source("a: {{ .Values.a }}\nb: {{- if }}\n");
        let error = documents(&source)[0].value().expect_err("a template");
        assert!(error.ends_with("render it first with helm template"), "{error}");
    }
}
