//! How a shell reads a text: simple commands, word by word.
//!
//! In: the text after `sh -c`, the variables, the words after it. Out: [`Step`]s in the order of the text. It reads
//! what start commands use: quotes, variables with defaults, lists, pipes, redirections, assignments. A word that only
//! a run can tell is not sure. Forbidden here: any program.

mod nested;
mod sets;
mod values;

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::lists::{Lists, Step};
use super::word::{Variables, Word};
use nested::Document;
pub(super) use sets::assignment;
use sets::changed;
pub use sets::{Sets, When};

/// Words that a command may follow.
const BEFORE_COMMANDS: [&str; 10] = ["if", "then", "elif", "else", "while", "until", "do", "!", "{", "time"];
/// Words that make it depend on the run whether, and how often, a command runs.
const BRANCHES: [&str; 6] = ["if", "while", "until", "for", "case", "select"];
/// The deepest nesting of variable defaults within defaults, and of texts within texts.
const DEEPEST: u32 = 4;
/// The most bytes of all words together: a text can use a long variable many times.
const MOST: usize = 256 << 10;

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The variables that it sets only for itself.
    pub sets: BTreeMap<String, Word>,
    /// The program and its arguments.
    pub words: Vec<Word>,
    /// Whether the next command starts while it runs: `&` or `|` comes after it, or after its list.
    pub beside: bool,
    /// Whether it is in a loop, and may run any number of times.
    pub looped: bool,
    /// Which assignments of its text it sees.
    pub when: When,
    /// Whether it is in a text within the text: a substitution, a here-document.
    pub substituted: bool,
    /// Whether it reads a here-document, whose commands come after it.
    pub fed: bool,
}

/// The commands of a text, and what it sets for all of them; none if its words are too long. The first of the
/// positional words is the name of the shell.
#[must_use]
pub fn commands(text: &str, variables: &Variables<'_>, positional: &[Word]) -> Option<(Vec<Step>, Sets)> {
    let once = read(text, variables, positional, None)?;
    let later = |step: &Step| matches!(step, Step::Run(command) if command.when.within.is_some());
    // Assignments below functions and loops may apply to their commands.
    if once.1.is_empty() || !once.0.iter().any(later) {
        return Some(once);
    }
    read(text, variables, positional, Some(&once.1))
}

fn read(
    text: &str,
    variables: &Variables<'_>,
    positional: &[Word],
    known: Option<&Sets>,
) -> Option<(Vec<Step>, Sets)> {
    let mut reader = Reader {
        chars: characters(text),
        variables,
        positional: positional.to_vec(),
        set: Sets::default(),
        known,
        began: 0,
        lists: Lists::default(),
        command: Command::default(),
        word: None,
        quoted: false,
        dropping: false,
        branches: false,
        documents: Vec::new(),
        sent_on: false,
        substituted: false,
        depth: 0,
        left: MOST,
    };
    reader.read();
    reader.lists.finish();
    (reader.left > 0).then_some((reader.lists.steps, reader.set))
}

fn characters(text: &str) -> Peekable<IntoIter<char>> {
    text.chars().collect::<Vec<char>>().into_iter().peekable()
}

struct Reader<'a, 'v> {
    chars: Peekable<IntoIter<char>>,
    variables: &'a Variables<'v>,
    positional: Vec<Word>,
    /// What the text has set so far.
    set: Sets,
    /// What the whole text sets, if it was read before.
    known: Option<&'a Sets>,
    /// How many assignments there were when the open function or loop began.
    began: usize,
    lists: Lists,
    command: Command,
    word: Option<Word>,
    /// Whether a part of the word was quoted: then it is no keyword, and counts as a word even if it is empty.
    quoted: bool,
    /// Whether the next word is the file of a redirection.
    dropping: bool,
    branches: bool,
    /// Here-documents that begin below the line.
    documents: Vec<Document>,
    /// Whether a `&` or `|` comes after something on this line.
    sent_on: bool,
    /// Whether this is a text within the text.
    substituted: bool,
    /// How many texts surround this one.
    depth: u32,
    /// How many bytes of words are left.
    left: usize,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        while self.left > 0
            && let Some(c) = self.chars.next()
        {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' if self.names_function() => {}
                '\n' => {
                    self.end_list(false);
                    let beside = std::mem::take(&mut self.sent_on);
                    self.take_documents(beside);
                }
                ';' => self.end_list(false),
                '(' => self.bracket(),
                ')' if self.lists.in_case() => {
                    self.end_word();
                    self.command = Command::default();
                    self.lists.arm();
                }
                ')' => {
                    self.end_command(false);
                    self.lists.close(")");
                }
                '&' => self.ampersand(),
                '|' => self.bar(),
                '#' if self.word.is_none() => while self.chars.next_if(|c| *c != '\n').is_some() {},
                c @ ('<' | '>') => self.redirect(c),
                '\\' => {
                    if let Some(c) = self.chars.next().filter(|c| *c != '\n') {
                        self.push(c);
                        self.quoted = true;
                    }
                }
                '\'' => self.single_quoted(),
                '"' => self.double_quoted(),
                '$' => {
                    let value = self.dollar(0);
                    self.add(value, true);
                }
                '`' => self.backquoted(),
                c => self.push(c),
            }
        }
        self.end_list(false);
    }

    /// Whether `function NAME` is here; its body may begin on the next line.
    fn names_function(&mut self) -> bool {
        let is_first =
            |command: &Command| matches!(command.words.first(), Some(first) if first.text == "function");
        if !is_first(&self.command) {
            return false;
        }
        self.end_word();
        self.command.words.len() == 2
    }

    fn end_list(&mut self, beside: bool) {
        self.sent_on |= beside;
        self.end_command(beside);
        self.lists.end(beside);
    }

    /// `(`, and `()` after the name of a function.
    fn bracket(&mut self) {
        self.end_word();
        if self.lists.at_pattern() {
            return;
        }
        let name = match self.command.words.as_slice() {
            [name] => Some(&name.text),
            [first, name] if first.text == "function" => Some(&name.text),
            _ => None,
        };
        if let Some(name) = name.cloned()
            && self.chars.next_if_eq(&')').is_some()
        {
            self.lists.defines = Some(name);
            self.command = Command::default();
            return;
        }
        // `coproc NAME (…)`
        if self.lists.coprocess {
            self.command = Command::default();
        }
        self.end_command(false);
        self.open("(");
    }

    fn open(&mut self, word: &str) {
        let depth = self.lists.repeats();
        self.lists.open(word);
        if self.lists.repeats() != depth {
            self.began = self.set.count();
        }
    }

    fn bar(&mut self) {
        let or = self.chars.next_if_eq(&'|').is_some();
        self.sent_on |= !or;
        self.branches |= or;
        self.end_word();
        if !or && self.command.words.is_empty() {
            self.lists.pipe();
        }
        self.chars.next_if_eq(&'&');
        self.end_command(!or);
    }

    fn ampersand(&mut self) {
        if self.chars.next_if_eq(&'&').is_some() {
            self.end_command(false);
        } else if self.chars.next_if_eq(&'>').is_some() {
            self.end_word();
            self.dropping = true;
        } else {
            self.end_list(true);
        }
    }

    /// `>`, `>>`, `2>&1`, `<<<`: the operator, the number before it and the word after it are not words of the command.
    fn redirect(&mut self, first: char) {
        let number = |word: &Word| word.text.bytes().all(|b| b.is_ascii_digit());
        if !self.quoted && self.word.as_ref().is_some_and(number) {
            self.word = None;
        }
        self.end_word();
        let mut operator = String::from(first);
        while let Some(c) = self.chars.next_if(|c| matches!(c, '<' | '>' | '&' | '|' | '-')) {
            operator.push(c);
        }
        match operator.as_str() {
            "<<" | "<<-" => self.announce(operator.ends_with('-')),
            _ if self.chars.peek() == Some(&'(') => self.process(),
            _ => self.dropping = true,
        }
    }

    fn single_quoted(&mut self) {
        self.quoted = true;
        self.word.get_or_insert_with(|| Word::known(""));
        while let Some(c) = self.chars.next_if(|c| *c != '\'') {
            self.push(c);
        }
        self.chars.next();
    }

    fn double_quoted(&mut self) {
        self.quoted = true;
        self.word.get_or_insert_with(|| Word::known(""));
        while let Some(c) = self.chars.next() {
            match c {
                '"' => return,
                '\\' => match self.chars.next() {
                    Some('\n') | None => {}
                    Some(c @ ('$' | '`' | '"' | '\\')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                '$' => {
                    let value = self.dollar(0);
                    self.add(value, false);
                }
                '`' => self.backquoted(),
                c => self.push(c),
            }
        }
    }

    fn backquoted(&mut self) {
        let mut text = String::from("`");
        while let Some(c) = self.chars.next_if(|c| *c != '`') {
            text.push(c);
        }
        self.chars.next();
        self.within(text.trim_start_matches('`'), false);
        text.push('`');
        self.add(vec![Word { text, sure: false }], false);
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_with(|| Word::known("")).text.push(c);
    }

    /// Adds the value of a variable: outside of quotes its white space separates words.
    fn add(&mut self, words: Vec<Word>, parts: bool) {
        for (place, word) in words.into_iter().enumerate() {
            self.left = self.left.saturating_sub(word.text.len() + 1);
            if self.left == 0 {
                return;
            }
            if place > 0 {
                self.end_word();
            }
            let mut pieces: Vec<&str> = vec![&word.text];
            if parts && word.sure {
                pieces = word.text.split_whitespace().collect();
            }
            for (place, piece) in pieces.into_iter().enumerate() {
                if place > 0 {
                    self.end_word();
                }
                let own = self.word.get_or_insert_with(|| Word::known(""));
                own.text.push_str(piece);
                own.sure &= word.sure;
            }
        }
    }

    fn end_word(&mut self) {
        let quoted = std::mem::take(&mut self.quoted);
        let Some(word) = self.word.take().filter(|word| quoted || !word.text.is_empty()) else { return };
        if std::mem::take(&mut self.dropping) {
            return;
        }
        if self.command.words.is_empty() {
            if !quoted && BRANCHES.contains(&word.text.as_str()) {
                self.branches = true;
            }
            if !quoted && self.lists.close(&word.text) {
                return;
            }
            if !quoted {
                self.open(&word.text);
            }
            if !quoted && word.text == "coproc" {
                self.lists.coprocess = true;
                return;
            }
            if !quoted && BEFORE_COMMANDS.contains(&word.text.as_str()) {
                return;
            }
            if let Some((name, value)) = assignment(&word) {
                self.command.sets.insert(name, value);
                return;
            }
        }
        if self.lists.coprocess && !quoted && self.command.words.len() == 1 && Lists::opens(&word.text) {
            // `coproc NAME { …; }`
            self.command = Command::default();
            self.open(&word.text);
            return;
        }
        let defines = matches!(self.command.words.as_slice(), [first, _] if first.text == "function");
        if defines && !quoted && word.text == "{" {
            self.lists.defines = self.command.words.pop().map(|name| name.text);
            self.command = Command::default();
            self.open("{");
            return;
        }
        self.command.words.push(word);
    }

    fn end_command(&mut self, beside: bool) {
        self.end_word();
        self.dropping = false;
        let mut command = self.finished();
        let first = command.words.first().map(|word| word.text.as_str());
        let exports = matches!(first, Some("export" | "declare" | "typeset" | "readonly" | "local"));
        if exports {
            let sets: Vec<_> = command.words.iter().filter_map(assignment).collect();
            command.sets.extend(sets);
        }
        if command.words.is_empty() || exports {
            let branches = self.branches;
            let seen = |mut word: Word| {
                word.sure &= !branches;
                word
            };
            command.sets.into_iter().for_each(|(name, word)| self.set.add(name, seen(word)));
            return;
        }
        self.set.aside(&command.sets);
        for name in changed(&command.words) {
            self.set.add(name.clone(), Word { text: format!("${name}"), sure: false });
        }
        self.place(&command.words);
        command.beside = beside;
        self.lists.run(command);
    }

    /// `set -- a b` and `shift`: the positional words.
    fn place(&mut self, words: &[Word]) {
        let texts: Vec<&str> = words.iter().take(2).map(|word| word.text.as_str()).collect();
        match texts.as_slice() {
            ["set", "--"] => {
                self.positional.truncate(1);
                self.positional.resize_with(1, Word::default);
                self.positional.extend_from_slice(words.get(2..).unwrap_or_default());
            }
            ["shift", ..] => {
                let n = texts.get(1).map_or(Some(1), |n| n.parse().ok()).unwrap_or(0);
                let shifted = self.positional.len().min(n + 1);
                self.positional.drain(1.min(shifted)..shifted);
            }
            _ => return,
        }
        for word in &mut self.positional {
            word.sure &= !self.branches;
        }
    }
}

#[cfg(test)]
mod tests;
