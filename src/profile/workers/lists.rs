//! Which commands of a shell text stand together: lists, and the compounds that hold lists.
//!
//! In: commands and the words that open and close compounds, in the order of the text. Out: [`Step`]s. A compound that is
//! never closed ends with the text; a word that closes nothing is passed over. Forbidden here: characters, any program.

use super::shell::Command;

/// What opens a compound, and what closes it.
const COMPOUNDS: [(&str, &str); 8] = [
    ("(", ")"),
    ("{", "}"),
    ("if", "fi"),
    ("while", LOOP),
    ("until", LOOP),
    ("for", LOOP),
    ("select", LOOP),
    ("case", "esac"),
];
const LOOP: &str = "done";
/// What stands for the end of a list, which has no word.
const LIST: &str = "";

/// A step through a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A list or a compound begins.
    Open,
    /// A command.
    Run(Command),
    /// What began last is over.
    Close {
        /// Whether what follows starts while it runs: it stands before `&` or `|`.
        beside: bool,
        /// Whether it stands in a loop.
        looped: bool,
        /// The function whose body it is.
        defines: Option<String>,
    },
}

#[derive(Default)]
pub(super) struct Lists {
    pub steps: Vec<Step>,
    /// What is open: the word that closes it, and the function whose body it is.
    open: Vec<(&'static str, Option<String>)>,
    loops: u32,
    functions: u32,
    /// The function whose body comes next.
    pub defines: Option<String>,
}

impl Lists {
    pub fn run(&mut self, command: Command) {
        self.begin();
        let looped = self.loops > 0;
        self.steps.push(Step::Run(Command { looped, ..command }));
    }

    /// Whether the body of a function is open.
    pub fn in_function(&self) -> bool {
        self.functions > 0
    }

    /// Opens a compound, if the word does so.
    pub fn open(&mut self, word: &str) {
        let Some((_, closes)) = COMPOUNDS.iter().find(|(opens, _)| *opens == word) else { return };
        self.begin();
        let defines = self.defines.take();
        self.functions += u32::from(defines.is_some());
        self.loops += u32::from(*closes == LOOP);
        self.open.push((closes, defines));
        self.steps.push(Step::Open);
    }

    /// Closes a compound; whether the word is one that does so.
    pub fn close(&mut self, word: &str) -> bool {
        let closes = COMPOUNDS.iter().any(|(_, closes)| *closes == word);
        if closes {
            self.end(false);
            if self.open.last().is_some_and(|(closes, _)| *closes == word) {
                self.pop(false);
            }
        }
        closes
    }

    /// The list is over.
    pub fn end(&mut self, beside: bool) {
        if self.open.last().is_some_and(|(closes, _)| *closes == LIST) {
            self.pop(beside);
        }
    }

    /// What has just been closed stands before `|`.
    pub fn pipe(&mut self) {
        if let Some(Step::Close { beside, .. }) = self.steps.last_mut() {
            *beside = true;
        }
    }

    /// All of it.
    pub fn finish(&mut self) {
        while !self.open.is_empty() {
            self.pop(false);
        }
    }

    fn begin(&mut self) {
        if self.open.last().is_none_or(|(closes, _)| *closes != LIST) {
            self.open.push((LIST, None));
            self.steps.push(Step::Open);
        }
    }

    fn pop(&mut self, beside: bool) {
        let Some((closes, defines)) = self.open.pop() else { return };
        self.loops -= u32::from(closes == LOOP);
        self.functions -= u32::from(defines.is_some());
        self.steps.push(Step::Close { beside, looped: self.loops > 0, defines });
    }
}
