//! The value of a variable, or of another expression after `$`.
//!
//! In: the text after a `$`, the variables. Out: words, each with whether it is fully known.

use std::ops::Range;

use super::super::word::{Value, Word};
use super::{DEEPEST, Reader, When, characters};

impl Reader<'_, '_> {
    /// The value of a `$` and what follows it.
    pub(super) fn dollar(&mut self, depth: u32) -> Vec<Word> {
        let unsure = |text: String| vec![Word { text, sure: false }];
        match self.chars.peek().copied() {
            Some('(') => {
                let inside = self.balanced('(', ')');
                if !inside.starts_with('(') {
                    self.within(&inside, false);
                }
                unsure(format!("$({inside})"))
            }
            Some('{') => {
                let inside = self.balanced('{', '}');
                self.braced(&inside, depth)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                self.variable(&name).unwrap_or_else(|| unsure(format!("${name}")))
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.chars.next();
                self.variable(&c.to_string()).unwrap_or_else(|| unsure(format!("${c}")))
            }
            _ => vec![Word::known("$")],
        }
    }

    /// The text between a bracket and its partner.
    pub(super) fn balanced(&mut self, open: char, close: char) -> String {
        let (mut depth, mut text) = (0_u32, String::new());
        for c in self.chars.by_ref() {
            if c == close {
                depth -= 1;
            }
            if depth == 0 && c == close {
                break;
            }
            if depth > 0 {
                text.push(c);
            }
            if c == open {
                depth += 1;
            }
        }
        text
    }

    /// `${NAME}`, and with a default: `${NAME:-4}`.
    fn braced(&mut self, inside: &str, depth: u32) -> Vec<Word> {
        let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || "_@*".contains(c)));
        let (name, how) = inside.split_at(end.unwrap_or(inside.len()));
        let unsure = || vec![Word { text: format!("${{{inside}}}"), sure: false }];
        let value = self.variable(name);
        let instead = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| how.strip_prefix(prefix));
        if how.is_empty() || how.starts_with(":?") || how.starts_with('?') {
            return value.unwrap_or_else(unsure);
        }
        let Some(default) = instead([":-", ":="]).or_else(|| instead(["-", "="])) else { return unsure() };
        let set =
            value.filter(|words| how.starts_with(['-', '=']) || words.iter().any(|w| !w.text.is_empty()));
        if let Some(value) = set {
            return value;
        }
        // A value from a ConfigMap would come before the default.
        let sure = !matches!((self.variables)(name), Value::Elsewhere | Value::Perhaps);
        let mut word = if depth < DEEPEST { self.nested(default, depth) } else { Word::known(default) };
        word.sure &= sure;
        vec![word]
    }

    /// The default of a variable: a word, which may contain variables.
    fn nested(&mut self, text: &str, depth: u32) -> Word {
        let chars = std::mem::replace(&mut self.chars, characters(text));
        let word = self.word.replace(Word::known(""));
        while let Some(c) = self.chars.next() {
            match c {
                '"' | '\'' => {}
                '$' => {
                    let value = self.dollar(depth + 1);
                    self.add(value, false);
                }
                '`' => self.backquoted(),
                c => self.push(c),
            }
        }
        self.chars = chars;
        std::mem::replace(&mut self.word, word).unwrap_or_default()
    }

    /// The value of a variable; none if it is not known.
    fn variable(&self, name: &str) -> Option<Vec<Word>> {
        let all = name == "@" || name == "*";
        if all || name.bytes().all(|b| b.is_ascii_digit()) {
            // A function gets its own.
            if self.lists.in_function() {
                return None;
            }
            let range = if all { 1..self.positional.len().max(1) } else { place(name)? };
            return self.positional.get(range).map(<[Word]>::to_vec).or_else(|| all.then(Vec::new));
        }
        let within = self.lists.runs_later().then_some(self.began);
        if let Some(word) = self.set.last(name, When { after: self.set.count(), within }) {
            return Some(vec![word.clone()]);
        }
        let whenever = self.known.filter(|_| within.is_some());
        if let Some((text, sure)) = whenever.and_then(|known| known.whenever(name, self.variables)) {
            return Some(vec![Word { text: text.to_owned(), sure }]);
        }
        match (self.variables)(name) {
            Value::Text(text) => Some(vec![Word::known(text)]),
            Value::Unset | Value::Elsewhere | Value::Perhaps => None,
        }
    }
}

/// The index of the positional word with this number.
fn place(name: &str) -> Option<Range<usize>> {
    let place: usize = name.parse().ok()?;
    Some(place..place.checked_add(1)?)
}
