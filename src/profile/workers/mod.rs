//! How many processes a container runs, as far as the pod shows it.
//!
//! In: the command, arguments and variables of a container, and the profile. Out: [`Found`]: a number, what states it,
//! and whether there may be more. The number is never below what the pod shows, and if it cannot be known, the result
//! says so. Forbidden here: Kubernetes objects, annotations, and what the number is used for.
//!
//! | file | what it is |
//! |---|---|
//! | `word` | words, and variables in them |
//! | `shell` | the texts after `sh -c` |
//! | `lists` | which commands of such a text belong together |
//! | `text` | what runs at one time in such a text, its functions included |
//! | `reach` | finds the program behind shells, interpreters and wrappers |
//! | `runners` | the names of those, and of programs that open no connection |
//! | `repeat` | programs that start a command several times |
//! | `programs` | the table of programs |
//! | `count` | how many processes a program runs, from its arguments and variables |
//! | `products` | what the images of profiles run by themselves |

mod count;
mod lists;
mod products;
mod programs;
mod reach;
mod repeat;
mod runners;
mod shell;
mod text;
mod word;

use super::Profile;
use reach::{Reached, run as reach};
pub use word::{Value, Variables};
use word::{Word, expanded};

/// What a container runs.
pub struct Run<'a, 'v> {
    /// Its `command`, which replaces the image's entrypoint.
    pub command: &'a [String],
    /// Its `args`.
    pub args: &'a [String],
    /// Whether its `command` and `args` are too long, and only a part of them is here.
    pub cut: bool,
    /// Its variables.
    pub variables: &'a Variables<'v>,
}

/// How many processes were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// This many; 1 if nothing is known.
    pub processes: u32,
    /// What states it: a flag, a variable, or a program that does so by default.
    pub by: String,
    /// Whether the pod states the number, rather than the program's default.
    pub stated: bool,
    /// Why there may be more.
    pub unknown: Option<Unknown>,
    /// Whether it, or a part of it, keeps running while a shell goes to its next command.
    goes_on: bool,
    /// Whether it has no known program.
    strange: bool,
}

/// The most bytes of names in a text about programs that run at the same time.
const TOLD: usize = 200;

/// Why the number of processes cannot be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// In a clause.
    pub why: String,
    /// Whether it is reported unasked: something in the pod points to more than one process.
    pub told: bool,
    /// Whether the pod gets no size until the user states the number.
    pub refused: bool,
}

impl Found {
    fn stated(processes: u32, by: &str) -> Self {
        Self { stated: true, ..Self::by_itself(processes, by) }
    }

    fn by_itself(processes: u32, by: &str) -> Self {
        Self { processes, by: by.to_owned(), stated: false, unknown: None, goes_on: false, strange: false }
    }

    fn unknown(why: String) -> Self {
        let unknown = Some(Unknown { why, told: true, refused: false });
        Self { unknown, ..Self::by_itself(1, "") }
    }

    fn too_long() -> Self {
        let why = "its command is too long to be read".to_owned();
        let unknown = Some(Unknown { why, told: true, refused: true });
        Self { unknown, ..Self::by_itself(1, "") }
    }

    /// An unknown program: it counts if others run at the same time.
    fn strange(why: String) -> Self {
        Self { strange: true, ..Self::unknown(why) }
    }

    /// The same, but reported only on request.
    fn in_quiet(mut self) -> Self {
        if let Some(unknown) = &mut self.unknown {
            unknown.told = false;
        }
        self
    }

    /// Both at the same time.
    fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let by = both(&self.by, &other.by);
        Self {
            processes: self.processes.saturating_add(other.processes),
            by,
            stated: self.stated || other.stated,
            unknown: self.unknown.or(other.unknown),
            goes_on: self.goes_on || other.goes_on,
            strange: self.strange && other.strange,
        }
    }

    /// The larger of two alternatives; the result is unknown if either is.
    fn or(self, other: Self) -> Self {
        let goes_on = self.goes_on || other.goes_on;
        let (most, less) = if other.processes > self.processes { (other, self) } else { (self, other) };
        let told = |unknown: &Unknown| unknown.told;
        let unknown = match (most.unknown, less.unknown) {
            (Some(one), Some(other)) if !told(&one) && told(&other) => Some(other),
            (one, other) => one.or(other),
        };
        Self { unknown, goes_on, ..most }
    }
}

/// The text for two that run at the same time.
fn both(one: &str, other: &str) -> String {
    const AGAIN: &str = ", several times";
    let name = |by: &str| by.strip_suffix(AGAIN).unwrap_or(by).to_owned();
    match (one, other) {
        ("", by) | (by, "") => by.to_owned(),
        _ if name(one) == name(other) => name(one) + AGAIN,
        _ if one.len() > TOLD => format!("{} …", one.trim_end_matches(" …")),
        _ => format!("{one} and {other}"),
    }
}

/// What a container runs, by its command, its variables and its profile.
#[must_use]
pub fn find(profile: Option<&Profile>, run: &Run<'_, '_>) -> Found {
    if products::is_shared(profile) {
        return Found::by_itself(1, "one pool for all workers of the pod");
    }
    if run.cut {
        return Found::too_long();
    }
    let words: Vec<Word> =
        run.command.iter().chain(run.args).map(|text| expanded(text, run.variables)).collect();
    if run.command.is_empty() && products::is_verb(profile, &words) {
        return products::of_image(profile, &words, run.variables);
    }
    match reach(&words, run.variables) {
        Reached::Program(found) => found,
        Reached::TooLong => Found::too_long(),
        Reached::Several(found) => products::beside(profile, found, run.variables),
        _ if run.command.is_empty() => products::of_image(profile, &words, run.variables),
        reached => products::of_command(profile, &reached, run.variables),
    }
}

/// The same for a container that runs before the app: one process, unless its command states more.
#[must_use]
pub fn find_first(run: &Run<'_, '_>) -> Found {
    let words: Vec<Word> =
        run.command.iter().chain(run.args).map(|text| expanded(text, run.variables)).collect();
    match reach(&words, run.variables) {
        Reached::Program(found) if !run.cut => found.in_quiet(),
        _ => Found::by_itself(1, "a container that runs first"),
    }
}

#[cfg(test)]
mod tests;
