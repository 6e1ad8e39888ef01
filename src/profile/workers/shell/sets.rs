//! What a text sets for all of its commands, and what of it holds for one of them.
//!
//! In: assignments in the order in which they stand. Out: what a variable says where a command runs. Where that is not the
//! order of the text (functions, loops), only what all of the text agrees on is known.

use std::collections::BTreeMap;

use super::super::word::{Value, Variables, Word, number};

/// Values of one variable that are compared.
const MOST: usize = 64;

/// All that a text sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Each with its place among all.
    in_order: BTreeMap<String, Vec<(usize, Word)>>,
    /// Those before single commands, which may be functions.
    before_commands: BTreeMap<String, Vec<Word>>,
    count: usize,
}

/// When a command runs, among the assignments of its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Behind so many of them.
    pub after: usize,
    /// Where it stands in a loop or function: the first that stands there, too.
    pub within: Option<usize>,
}

impl Sets {
    pub(super) fn add(&mut self, name: String, word: Word) {
        self.in_order.entry(name).or_default().push((self.count, word));
        self.count += 1;
    }

    /// What is set for one command alone.
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

    /// The last one that stands before a command.
    pub(super) fn last(&self, name: &str, when: When) -> Option<&Word> {
        let all = self.in_order.get(name)?;
        let end = all.partition_point(|(place, _)| *place < when.after);
        let (place, word) = all.get(end.checked_sub(1)?)?;
        when.within.is_none_or(|first| *place >= first).then_some(word)
    }

    /// What holds whenever a command runs, and whether it is that for sure; none where the text does not set it.
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

    /// What a variable says to a command.
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

/// Variables that a command sets to what only running it could tell.
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

/// The name that a text begins with; none where it is followed by what no assignment has.
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
