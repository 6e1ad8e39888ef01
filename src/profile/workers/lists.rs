//! Which commands of a shell text belong together: lists, and the compounds that contain lists.
//!
//! In: commands and the words that open and close compounds, in the order of the text. Out: [`Step`]s. A compound that
//! is never closed ends with the text; a word that closes nothing is ignored. Forbidden here: characters, any program.

use super::shell::Command;

/// The words that open and close each compound.
const COMPOUNDS: [(&str, &str); 8] = [
    ("(", ")"),
    ("{", "}"),
    ("if", "fi"),
    ("while", LOOP),
    ("until", LOOP),
    ("for", LOOP),
    ("select", LOOP),
    ("case", CASE),
];
const CASE: &str = "esac";
const LOOP: &str = "done";
/// Marks a list, which no word closes.
const LIST: &str = "";

/// A step through a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A list or a compound begins.
    Open,
    /// A command.
    Run(Command),
    /// The innermost open list or compound ends.
    Close {
        /// Whether what follows starts while it runs: `&` or `|` comes after it.
        beside: bool,
        /// Whether it is in a loop.
        looped: bool,
        /// The function whose body it is.
        defines: Option<String>,
    },
}

#[derive(Default)]
pub(super) struct Lists {
    pub steps: Vec<Step>,
    open: Vec<Opened>,
    loops: u32,
    functions: u32,
    /// The function whose body comes next.
    pub defines: Option<String>,
    /// Whether what comes next runs beside what follows: it comes after `coproc`.
    pub coprocess: bool,
    /// How many of the open lists and compounds belong to the surrounding text; this text cannot close them.
    pub floor: usize,
}

/// An open list or compound.
#[derive(Default)]
struct Opened {
    /// The word that closes it.
    closes: &'static str,
    /// The function whose body it is.
    defines: Option<String>,
    /// Whether what follows starts while it runs.
    beside: bool,
}

impl Lists {
    pub fn run(&mut self, command: Command) {
        self.begin();
        let looped = self.loops > 0;
        let beside = command.beside | std::mem::take(&mut self.coprocess);
        self.steps.push(Step::Run(Command { looped, beside, ..command }));
    }

    /// Whether a loop or the body of a function is open: commands in it may run later than what follows it.
    pub fn runs_later(&self) -> bool {
        self.repeats() > 0
    }

    /// Whether the body of a function is open.
    pub fn in_function(&self) -> bool {
        self.functions > 0
    }

    /// How many loops and functions are open.
    pub fn repeats(&self) -> u32 {
        self.loops + self.functions
    }

    /// Whether the word opens a compound.
    pub fn opens(word: &str) -> bool {
        COMPOUNDS.iter().any(|(opens, _)| *opens == word)
    }

    /// Opens a compound, if the word opens one.
    pub fn open(&mut self, word: &str) {
        let Some((_, closes)) = COMPOUNDS.iter().find(|(opens, _)| *opens == word) else { return };
        self.begin();
        let beside = std::mem::take(&mut self.coprocess);
        let defines = self.defines.take();
        self.functions += u32::from(defines.is_some());
        self.loops += u32::from(*closes == LOOP);
        self.open.push(Opened { closes, defines, beside });
        self.steps.push(Step::Open);
    }

    /// Whether the innermost compound is a `case`.
    pub fn in_case(&self) -> bool {
        self.open.iter().rev().find(|open| open.closes != LIST).is_some_and(|open| open.closes == CASE)
    }

    /// Whether a pattern of a `case` may come next.
    pub fn at_pattern(&self) -> bool {
        self.open.last().is_some_and(|open| open.closes == CASE)
    }

    /// The words so far were a pattern of a `case`; its commands follow.
    pub fn arm(&mut self) {
        while matches!(self.steps.last(), Some(Step::Run(_))) {
            self.steps.pop();
        }
        self.begin();
    }

    /// How many lists and compounds are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Closes everything that was opened beyond this depth.
    pub fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            self.pop(false);
        }
    }

    /// Closes a compound; true if the word is a closing word.
    pub fn close(&mut self, word: &str) -> bool {
        let closes = COMPOUNDS.iter().any(|(_, closes)| *closes == word);
        if closes {
            self.end(false);
            if self.open.len() > self.floor && self.open.last().is_some_and(|open| open.closes == word) {
                self.pop(false);
            }
        }
        closes
    }

    /// Ends the list.
    pub fn end(&mut self, beside: bool) {
        if self.open.len() > self.floor && self.open.last().is_some_and(|open| open.closes == LIST) {
            self.pop(beside);
        }
    }

    /// `|` comes after what was just closed.
    pub fn pipe(&mut self) {
        if let Some(Step::Close { beside, .. }) = self.steps.last_mut() {
            *beside = true;
        }
    }

    /// Closes everything.
    pub fn finish(&mut self) {
        self.close_to(0);
    }

    fn begin(&mut self) {
        if self.open.last().is_none_or(|open| open.closes != LIST) {
            self.open.push(Opened { closes: LIST, ..Opened::default() });
            self.steps.push(Step::Open);
        }
    }

    fn pop(&mut self, beside: bool) {
        let Some(Opened { closes, defines, beside: coprocess }) = self.open.pop() else { return };
        let beside = beside | coprocess;
        self.loops -= u32::from(closes == LOOP);
        self.functions -= u32::from(defines.is_some());
        self.steps.push(Step::Close { beside, looped: self.loops > 0, defines });
    }
}
