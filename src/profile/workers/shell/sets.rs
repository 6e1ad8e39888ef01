//! What a text sets for all of its commands, and what of it applies to one of them.
//!
//! In: assignments in the order of the text. Out: the value of a variable where a command runs. If commands do not run
//! in the order of the text (functions, loops), only values that the whole text agrees on are known.

use std::collections::BTreeMap;

use super::super::word::{Value, Variables, Word, number};

/// The most values of one variable that are compared.
const MOST: usize = 64;

/// Everything that a text sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Each with its place among all assignments.
    in_order: BTreeMap<String, Vec<(usize, Word)>>,
    /// Those in front of single commands, which may be functions.
    before_commands: BTreeMap<String, Vec<Word>>,
    count: usize,
}

/// When a command runs, relative to the assignments of its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// After this many of them.
    pub after: usize,
    /// In a loop or function: the number of assignments before it.
    pub within: Option<usize>,
}

impl Sets {
    pub(super) fn add(&mut self, name: String, word: Word) {
        self.in_order.entry(name).or_default().push((self.count, word));
        self.count += 1;
    }

    /// What is set for one command only.
    pub(super) fn aside(&mut self, sets: &BTreeMap<String, Word>) {
        for (name, word) in sets {
            self.before_commands.entry(name.clone()).or_default().push(word.clone());
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.before_commands.is_empty()
    }

    /// The last one before a command.
    pub(super) fn last(&self, name: &str, when: When) -> Option<&Word> {
        let all = self.in_order.get(name)?;
        let end = all.partition_point(|(place, _)| *place < when.after);
        let (place, word) = all.get(end.checked_sub(1)?)?;
        when.within.is_none_or(|first| *place >= first).then_some(word)
    }

    /// The value at any time when a command runs, and whether it is sure; none if the text does not set it.
    pub(super) fn whenever<'a>(
        &'a self,
        name: &str,
        variables: &'a Variables<'_>,
    ) -> Option<(&'a str, bool)> {
        let in_order = self.in_order.get(name).into_iter().flatten().map(|(_, word)| word);
        let all = in_order.chain(self.before_commands.get(name).into_iter().flatten());
        let all: Vec<&Word> = all.take(MOST + 1).collect();
        let texts = all.iter().map(|word| word.text.as_str());
        let (pod, known) = match variables(name) {
            Value::Unset => (None, true),
            Value::Text(text) => (Some(text), true),
            Value::Elsewhere | Value::Perhaps => (None, false),
        };
        let most = texts.clone().chain(pod).max_by_key(|text| number(text))?;
        let sure = known
            && all.len() <= MOST
            && all.iter().all(|word| word.sure)
            && texts.chain(pod).all(|text| text == most);
        (!all.is_empty()).then_some((most, sure))
    }

    /// The value of a variable for a command.
    pub fn value<'a>(&'a self, name: &str, when: When, variables: &'a Variables<'_>) -> Value<'a> {
        let known = |(text, sure)| if sure { Value::Text(text) } else { Value::Elsewhere };
        match self.last(name, when) {
            Some(word) => known((word.text.as_str(), word.sure)),
            None if when.within.is_some() => {
                self.whenever(name, variables).map_or_else(|| variables(name), known)
            }
            None => variables(name),
        }
    }
}

/// Variables that a command sets to values that only a run can tell.
pub(super) fn changed(words: &[Word]) -> Vec<String> {
    let Some((first, rest)) = words.split_first() else { return Vec::new() };
    let of = |words: &[Word]| words.iter().filter_map(|word| name_of(&word.text)).collect();
    match first.text.as_str() {
        "for" | "select" => of(rest.get(..1).unwrap_or_default()),
        "read" | "let" | "mapfile" | "readarray" | "getopts" => of(rest),
        "printf" if rest.first().is_some_and(|word| word.text == "-v") => {
            of(rest.get(1..2).unwrap_or_default())
        }
        // `NAME+=2`, `((NAME++))`
        text if text.contains(['+', '-', '*', '/', '%', '<', '>', '|', '^', '&']) => {
            of(std::slice::from_ref(first))
        }
        _ => Vec::new(),
    }
}

/// The name at the beginning of a text; none if what follows cannot be part of an assignment.
fn name_of(text: &str) -> Option<String> {
    let text = text.trim_start_matches(['+', '-']);
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let assigns = rest.is_empty() || rest.contains('=') || rest == "++" || rest == "--";
    (starts && assigns).then(|| name.to_owned())
}

/// `NAME=value`.
pub fn assignment(word: &Word) -> Option<(String, Word)> {
    let (name, value) = word.text.split_once('=')?;
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_name = starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then(|| (name.to_owned(), Word { text: value.to_owned(), sure: word.sure }))
}
