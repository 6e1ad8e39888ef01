//! Finds the program that runs the app from the words of a container: through shells, interpreters and wrappers.
//!
//! In: words, variables. Out: what was reached. Only a word in the place of a command is taken for a program.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::Found;
use super::count::{count, shown};
use super::programs;
use super::repeat;
use super::runners::{DETACHERS, PM2_TELLS, QUIET, WRAPPERS};
use super::shell;
use super::text::{Functions, in_text};
use super::word::{Value, Variables, Word};

/// The script of a shell without one: its standard input.
pub(super) const STDIN: &str = "-";

/// The deepest nesting of programs in programs.
const DEEPEST: u32 = 16;

/// The most words and bytes that are read for one container: a text can refer to itself many times.
const MOST_WORK: usize = 1 << 20;

/// The most words after a wrapper that may be the program.
const MOST_OPTIONS: usize = 64;

/// The remaining work for one container.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    depth: u32,
    work: &'a Cell<usize>,
    /// The functions of the surrounding texts.
    pub(super) functions: Option<&'a dyn Functions>,
}

impl<'a> Left<'a> {
    /// The same within a text that has functions.
    pub(super) fn among<'b>(self, functions: &'b dyn Functions) -> Left<'b>
    where
        'a: 'b,
    {
        Left { functions: Some(functions), ..self }
    }

    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Uses up this much; false if less was left.
    pub(super) fn take(self, work: usize) -> bool {
        let left = self.work.get().checked_sub(work.saturating_add(1));
        self.work.set(left.unwrap_or(0));
        left.is_some() && self.depth <= DEEPEST
    }
}

/// What the words of a container run.
pub(super) fn run(words: &[Word], variables: &Variables<'_>) -> Reached {
    reach(words, variables, Left { depth: 0, work: &Cell::new(MOST_WORK), functions: None })
}

/// What a command turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// A known program.
    Program(Found),
    /// Several unknown programs at the same time.
    Several(Found),
    /// A script with unknown content.
    Script(String),
    /// An unknown program.
    Other(String),
    /// Nothing that could be the app.
    Nothing,
    /// Too long to read.
    TooLong,
}

impl Reached {
    /// The unknown programs; none if there are none.
    pub(super) fn stranger(&self) -> Option<Found> {
        match self {
            Self::Script(name) => Some(Found::strange(format!("the script `{name}` decides"))),
            Self::Other(name) => {
                Some(Found::strange(format!("what `{name}` starts is not known")).in_quiet())
            }
            Self::Several(found) => Some(found.clone()),
            Self::Nothing | Self::Program(_) | Self::TooLong => None,
        }
    }
}

/// What the words run.
pub(super) fn reach(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Reached {
    let Some((first, rest)) = words.split_first() else { return Reached::Nothing };
    let name = first.base();
    if !left.take(words.len()) {
        return Reached::TooLong;
    }
    if is_shell(name) {
        return in_shell(rest, variables, left);
    }
    if is_python(name) {
        return in_python(rest, variables, left).unwrap_or_else(|| Reached::Other(shown(name)));
    }
    let has = |verb: &str| rest.iter().any(|word| word.text == verb);
    if let Some(program) = programs::named(name, has) {
        return Reached::Program(count(program, name, rest, variables));
    }
    match name {
        // Without a program it only redirects.
        "exec" if rest.is_empty() => return Reached::Nothing,
        "pm2" if PM2_TELLS.iter().any(|verb| has(verb)) => return Reached::Nothing,
        "eval" => {
            if rest.iter().any(|word| !word.sure) {
                return Reached::Script(name.to_owned());
            }
            let text: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
            return in_text(&text.join(" "), &[], variables, left.deeper());
        }
        // It runs when a signal arrives, beside whatever runs then.
        "trap" => {
            let text = rest.iter().find(|word| !word.text.starts_with('-'));
            let found = text.map(|text| in_text(&text.text, &[], variables, left.deeper()));
            return match found {
                Some(Reached::Program(found)) => Reached::Program(Found { goes_on: true, ..found }),
                Some(Reached::TooLong) => Reached::TooLong,
                _ => Reached::Nothing,
            };
        }
        _ if repeat::repeats(name) => return repeat::reached(name, rest, variables, left),
        _ if QUIET.contains(&name) => return Reached::Nothing,
        _ => {}
    }
    let script = is_script(name);
    let wraps = script || WRAPPERS.contains(&name);
    let found = wraps.then(|| {
        let found = wrapped(rest, variables, left);
        let text = || if script { None } else { in_a_word(rest, variables, left) };
        if matches!(found, Some(Reached::Program(_) | Reached::TooLong)) { found } else { text().or(found) }
    });
    match found.flatten() {
        Some(Reached::Program(found)) if DETACHERS.contains(&name) => {
            return Reached::Program(Found { goes_on: true, ..found });
        }
        Some(found) => return found,
        None => {}
    }
    if script { Reached::Script(shown(name)) } else { Reached::Other(shown(name)) }
}

fn is_shell(name: &str) -> bool {
    ["sh", "bash", "dash", "ash", "zsh", "ksh"].contains(&name)
}

fn is_python(name: &str) -> bool {
    let version = |rest: &str| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    name.strip_prefix("python").or_else(|| name.strip_prefix("pypy")).is_some_and(version)
}

/// Most scripts end by running the words that they get.
fn is_script(name: &str) -> bool {
    let ends = [".sh", ".bash"];
    ends.iter().any(|end| name.ends_with(end)) || name.contains("entrypoint") || name.starts_with("wait-for")
}

/// A wrapper may get its command as one word: `su -c 'gunicorn -w 4'`, `env -S`, `watchfiles`.
fn in_a_word(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Option<Reached> {
    let mut words = words.iter().enumerate().take(MOST_OPTIONS);
    words.find_map(|(place, word)| {
        let flag = word.text.starts_with('-').then(|| word.text.split_once('=')).flatten();
        let text = flag.map_or(word.text.as_str(), |(_, text)| text);
        let commands = place > 0 && flag.is_none();
        if !commands && !text.contains(char::is_whitespace) {
            return None;
        }
        let found = in_text(text, &[], variables, left.deeper());
        matches!(found, Reached::Program(_) | Reached::TooLong).then_some(found)
    })
}

/// The first word after a wrapper that can be a program; so the wrapper's own options need not be known.
pub(super) fn wrapped(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Option<Reached> {
    let mut sets = BTreeMap::new();
    for (place, word) in words.iter().enumerate().take(MOST_OPTIONS) {
        let name = word.base();
        let after = words.get(place..).unwrap_or_default();
        let has = |verb: &str| after.iter().skip(1).any(|word| word.text == verb);
        let can = is_shell(name)
            || is_python(name)
            || is_script(name)
            || WRAPPERS.contains(&name)
            || repeat::repeats(name)
            || programs::named(name, has).is_some();
        if can {
            // `start-stop-daemon --exec gunicorn -- -w 4`
            let mut after = after.to_vec();
            if after.get(1).is_some_and(|word| word.text == "--") {
                after.remove(1);
            }
            let after = after.as_slice();
            return Some(reach(after, &overlaid(&sets, variables), left.deeper()));
        }
        sets.extend(shell::assignment(word));
    }
    None
}

/// The variables, with some that are set on the way.
pub(super) fn overlaid<'a, 'v: 'a>(
    sets: &'a BTreeMap<String, Word>,
    variables: &'a Variables<'v>,
) -> impl Fn(&str) -> Value<'a> + 'a {
    move |name| match sets.get(name) {
        Some(word) if word.sure => Value::Text(&word.text),
        Some(_) => Value::Elsewhere,
        None => variables(name),
    }
}

/// The module in one word with `-m`: `-mgunicorn`, `-um`.
fn module_flag(text: &str) -> Option<&str> {
    text.strip_prefix('-')?.trim_start_matches(|c| "bBdEiIOPqRsSuvx".contains(c)).strip_prefix('m')
}

/// `-m module`, or a script that is a program, such as `/usr/bin/gunicorn`.
fn in_python(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Option<Reached> {
    let module = |place: usize, joined: &str| {
        let mut after = words.get(place..)?.to_vec();
        if joined.is_empty() {
            after.remove(0);
        } else {
            after.first_mut()?.text = joined.to_owned();
        }
        let first = after.first_mut()?;
        first.text = first.text.split('.').next().unwrap_or_default().to_owned();
        Some(reach(&after, variables, left.deeper()))
    };
    // A debugger or profiler runs another module.
    let modules =
        words.iter().enumerate().filter_map(|(place, word)| Some((place, module_flag(&word.text)?)));
    for (place, joined) in modules {
        if let Some(found @ (Reached::Program(_) | Reached::TooLong)) = module(place, joined) {
            return Some(found);
        }
    }
    let takes_value = |flag: &str| matches!(flag, "-X" | "-W");
    let mut place = 0;
    while let Some(word) = words.get(place) {
        if takes_value(&word.text) {
            place += 1;
        } else if !word.text.starts_with('-') {
            let found = reach(words.get(place..)?, variables, left.deeper());
            return matches!(found, Reached::Program(_) | Reached::TooLong).then_some(found);
        } else if word.text == "-c" || module_flag(&word.text).is_some() {
            return None;
        }
        place += 1;
    }
    None
}

/// A shell: its text, or its script.
fn in_shell(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Reached {
    let mut place = 0;
    let mut text = false;
    while let Some(word) = words.get(place) {
        let is_option = word.text.starts_with(['-', '+']) && word.text.len() > 1;
        if !is_option {
            break;
        }
        let short = !word.text.starts_with("--");
        text |= short && word.text.contains('c');
        // `-o pipefail`, `-euo pipefail`.
        place += if short && word.text.ends_with(['o', 'O']) { 2 } else { 1 };
    }
    let rest = words.get(place..).unwrap_or_default();
    // Without a text or a script it reads its standard input.
    let Some((first, after)) = rest.split_first() else { return Reached::Script(STDIN.to_owned()) };
    if !text {
        return wrapped(after, variables, left).unwrap_or_else(|| Reached::Script(shown(first.base())));
    }
    if !first.sure {
        return Reached::Script(shown(&first.text));
    }
    in_text(&first.text, after, variables, left)
}
