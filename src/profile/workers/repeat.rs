//! Programs that start a command several times, or several commands at the same time: `parallel`, `xargs -P`,
//! `concurrently`.
//!
//! In: its words. Out: what was reached. At most a flag says how often the program starts it.

use super::Found;
use super::count::shown;
use super::reach::{Left, Reached, wrapped};
use super::text::in_text;
use super::word::{Variables, Word, number};

/// A program that starts commands several times.
struct Repeater {
    name: &'static str,
    /// Its flags that state how many run at the same time.
    flags: &'static [&'static str],
    /// How many run without a flag; none if that is not known.
    otherwise: Option<u32>,
}

const ALL: [Repeater; 6] = [
    Repeater { name: "parallel", flags: &["-j", "-P", "--jobs", "--max-procs"], otherwise: None },
    Repeater { name: "xargs", flags: &["-P", "--max-procs"], otherwise: Some(1) },
    Repeater { name: "concurrently", flags: &[], otherwise: None },
    Repeater { name: "npm-run-all", flags: &[], otherwise: None },
    Repeater { name: "run-p", flags: &[], otherwise: None },
    Repeater { name: "multirun", flags: &[], otherwise: None },
];

/// Whether a program of this name is one of these.
pub(super) fn repeats(name: &str) -> bool {
    ALL.iter().any(|repeater| repeater.name == name)
}

/// What it runs.
pub(super) fn reached(name: &str, words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Reached {
    let Some(repeater) = ALL.iter().find(|repeater| repeater.name == name) else { return Reached::Nothing };
    let mut found = match wrapped(words, variables, left) {
        Some(Reached::Program(found)) => Some(found),
        Some(Reached::TooLong) => return Reached::TooLong,
        _ => None,
    };
    // If each command is one word, all of them may run.
    let texts = words.iter().filter(|word| found.is_none() && word.text.contains(char::is_whitespace));
    for word in texts.collect::<Vec<_>>() {
        match in_text(&word.text, &[], variables, left.deeper()) {
            Reached::Program(other) => found = Some(other.and(found)),
            Reached::TooLong => return Reached::TooLong,
            _ => {}
        }
    }
    let times = repeater.times(words);
    match (found, times) {
        (Some(found), Some(1)) => Reached::Program(found),
        (Some(found), Some(n)) if n > 0 => Reached::Program(Found {
            processes: found.processes.saturating_mul(n),
            by: format!("{} up to {n} times by `{name}`", found.by),
            ..found
        }),
        (Some(found), _) => {
            let why = format!("how often `{name}` starts it is not known");
            Reached::Program(Found {
                processes: found.processes,
                goes_on: found.goes_on,
                ..Found::unknown(why)
            })
        }
        (None, Some(1)) => Reached::Other(shown(name)),
        (None, _) => Reached::Script(shown(name)),
    }
}

impl Repeater {
    /// How many run at the same time; none if that is not known.
    fn times(&self, words: &[Word]) -> Option<u32> {
        let said = words.iter().enumerate().find_map(|(place, word)| {
            self.flags.iter().find_map(|flag| {
                let rest = word.text.strip_prefix(flag)?;
                let rest = rest.strip_prefix('=').unwrap_or(rest);
                if !rest.is_empty() {
                    // `--jobserver` is not `--jobs`.
                    let is_it = !flag.starts_with("--") || word.text.contains('=');
                    return is_it.then_some((rest, word.sure));
                }
                words.get(place + 1).map(|word| (word.text.as_str(), word.sure))
            })
        });
        match said {
            Some((text, sure)) => number(text).filter(|n| sure && *n > 0),
            None => self.otherwise,
        }
    }
}
