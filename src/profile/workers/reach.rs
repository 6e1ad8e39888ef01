//! From the words of a container to the program that runs the app: through shells, interpreters and wrappers.
//!
//! In: words, variables. Out: what was reached. Only a word that stands where a command stands is taken for a program.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::Found;
use super::count::{count, shown};
use super::lists::Step;
use super::programs;
use super::shell::{self, Command};
use super::word::{Value, Variables, Word};

/// Programs that run the program in their arguments.
const WRAPPERS: [&str; 67] = [
    "exec",
    "time",
    "nohup",
    "command",
    "builtin",
    "setsid",
    "stdbuf",
    "ionice",
    "nice",
    "chrt",
    "taskset",
    "timeout",
    "env",
    "sudo",
    "gosu",
    "su-exec",
    "setpriv",
    "setuidgid",
    "s6-setuidgid",
    "with-contenv",
    "chroot",
    "unshare",
    "tini",
    "tini-static",
    "dumb-init",
    "catatonit",
    "docker-init",
    "launcher",
    "pipenv",
    "poetry",
    "uv",
    "uvx",
    "pdm",
    "rye",
    "hatch",
    "conda",
    "micromamba",
    "mamba",
    "pixi",
    "opentelemetry-instrument",
    "ddtrace-run",
    "newrelic-admin",
    "elasticapm-run",
    "sentry-run",
    "bundle",
    "npx",
    "bunx",
    "doppler",
    "infisical",
    "dotenv",
    "chamber",
    "vault-env",
    "berglas",
    "aws-vault",
    "dockerize",
    "watchmedo",
    "watchfiles",
    "xvfb-run",
    "catchsegv",
    "strace",
    "numactl",
    "prlimit",
    "flock",
    "start-stop-daemon",
    "daemonize",
    "daemon",
    "screen",
];

/// Wrappers whose program may run on in the background.
const DETACHERS: [&str; 5] = ["setsid", "start-stop-daemon", "daemonize", "daemon", "screen"];

/// Commands of a shell that run nothing of the app.
const QUIET: [&str; 20] = [
    "cd", "echo", "printf", "set", "sleep", "wait", "trap", "test", "[", "[[", ".", "source", "true",
    "false", "mkdir", "cp", "rm", "ulimit", "umask", "done",
];

/// Programs in programs in programs.
const DEEPEST: u32 = 16;

/// Words and bytes that are looked at for one container: a text can name itself many times over.
const MOST_WORK: usize = 1 << 20;

/// Words behind a wrapper that may be the program.
const MOST_OPTIONS: usize = 64;

/// What is left of the work for one container.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    depth: u32,
    work: &'a Cell<usize>,
}

impl Left<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// Takes so much; whether there was so much.
    fn take(self, work: usize) -> bool {
        let left = self.work.get().checked_sub(work.saturating_add(1));
        self.work.set(left.unwrap_or(0));
        left.is_some() && self.depth <= DEEPEST
    }
}

/// What the words of a container run.
pub(super) fn run(words: &[Word], variables: &Variables<'_>) -> Reached {
    reach(words, variables, Left { depth: 0, work: &Cell::new(MOST_WORK) })
}

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// A program that is known.
    Program(Found),
    /// A script, of which nothing is known.
    Script(String),
    /// A program of which nothing is known.
    Other(String),
    /// Nothing that could be the app.
    Nothing,
    /// More than anybody writes.
    TooLong,
}

/// What the words run.
fn reach(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Reached {
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
        "eval" => {
            let text: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
            return in_text(&text.join(" "), &[], variables, left);
        }
        "su" | "runuser" => {
            if let Some(place) = rest.iter().position(|word| word.text == "-c" || word.text == "--command") {
                let text = rest.get(place + 1).map_or("", |word| word.text.as_str());
                return in_text(text, &[], variables, left);
            }
        }
        _ if QUIET.contains(&name) => return Reached::Nothing,
        _ => {}
    }
    let script = is_script(name);
    let wraps = script || WRAPPERS.contains(&name) || name == "su" || name == "runuser";
    match wraps.then(|| wrapped(rest, variables, left)).flatten() {
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

/// Scripts mostly end in the words that they are given.
fn is_script(name: &str) -> bool {
    let ends = [".sh", ".bash"];
    ends.iter().any(|end| name.ends_with(end)) || name.contains("entrypoint") || name.starts_with("wait-for")
}

/// The first word after a wrapper that can be a program: what its own options mean need not be known for that.
fn wrapped(words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Option<Reached> {
    let mut sets = BTreeMap::new();
    for (place, word) in words.iter().enumerate().take(MOST_OPTIONS) {
        let name = word.base();
        let after = words.get(place..).unwrap_or_default();
        let has = |verb: &str| after.iter().skip(1).any(|word| word.text == verb);
        let can = is_shell(name)
            || is_python(name)
            || is_script(name)
            || WRAPPERS.contains(&name)
            || name == "su"
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

/// The variables with some that are set on the way.
fn overlaid<'a, 'v: 'a>(
    sets: &'a BTreeMap<String, Word>,
    variables: &'a Variables<'v>,
) -> impl Fn(&str) -> Value<'a> + 'a {
    move |name| match sets.get(name) {
        Some(word) if word.sure => Value::Text(&word.text),
        Some(_) => Value::Elsewhere,
        None => variables(name),
    }
}

/// What stands in one word with `-m`: `-mgunicorn`, `-um`.
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
    let Some((first, after)) = rest.split_first() else { return Reached::Nothing };
    if !text {
        return wrapped(after, variables, left).unwrap_or_else(|| Reached::Script(shown(first.base())));
    }
    if !first.sure {
        return Reached::Script(shown(&first.text));
    }
    in_text(&first.text, after, variables, left)
}

/// What runs in a list or a compound: what runs at one time adds up, and of what runs in turn the most counts.
#[derive(Default)]
struct Together {
    /// What runs on.
    beside: Option<Found>,
    most: Option<Found>,
}

impl Together {
    fn add(&mut self, mut found: Found, beside: bool, looped: bool) {
        let goes_on = beside || found.goes_on;
        if goes_on && looped {
            let why = "it is started in a loop, nobody knows how often".to_owned();
            found = Found { processes: found.processes, ..Found::unknown(why) };
        }
        let together = found.and(self.beside.clone());
        if goes_on {
            self.beside = Some(together.clone());
        }
        self.most = Some(match self.most.take() {
            Some(most) => most.or(together),
            None => together,
        });
    }

    fn whole(self) -> Option<Found> {
        let goes_on = self.beside.is_some();
        self.most.map(|most| Found { goes_on, ..most })
    }
}

/// The text of a shell.
fn in_text(text: &str, positional: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Reached {
    if !left.take(text.len()) {
        return Reached::TooLong;
    }
    let Some((steps, sets)) = shell::commands(text, variables, positional) else {
        return Reached::TooLong;
    };
    let for_all = overlaid(&sets, variables);
    let mut functions = BTreeMap::new();
    let (mut top, mut outer) = (Together::default(), Vec::new());
    let mut other = Reached::Nothing;
    for step in &steps {
        match step {
            Step::Open => outer.push(std::mem::take(&mut top)),
            Step::Run(command) => match one(command, &functions, &for_all, left) {
                Reached::Program(found) => top.add(found, command.beside, command.looped),
                Reached::TooLong => return Reached::TooLong,
                // A script may run anything; of programs that nobody knows the last is the app.
                found => {
                    if found != Reached::Nothing && !matches!(other, Reached::Script(_)) {
                        other = found;
                    }
                }
            },
            Step::Close { beside, looped, defines } => {
                let inner = std::mem::replace(&mut top, outer.pop().unwrap_or_default()).whole();
                if let Some(name) = defines {
                    functions.insert(name.as_str(), inner.clone());
                }
                // What calls a function is not always to be seen: its body counts where it stands, too.
                let runs = defines.is_none();
                if let Some(found) = inner {
                    top.add(Found { goes_on: runs && found.goes_on, ..found }, *beside && runs, *looped);
                }
            }
        }
    }
    top.whole().map_or(other, Reached::Program)
}

/// A command, or a function of the text.
fn one(
    command: &Command,
    functions: &BTreeMap<&str, Option<Found>>,
    variables: &Variables<'_>,
    left: Left<'_>,
) -> Reached {
    let variables = overlaid(&command.sets, variables);
    let found = reach(&command.words, &variables, left.deeper());
    let called =
        command.words.split_first().and_then(|(name, rest)| Some((functions.get(name.text.as_str())?, rest)));
    let Some((body, rest)) = called.filter(|_| found != Reached::TooLong) else { return found };
    // Functions mostly end in the words that they are given.
    let found = match found {
        Reached::Program(found) => Reached::Program(found),
        found => wrapped(rest, &variables, left).unwrap_or(found),
    };
    match (found, body.clone()) {
        (Reached::Program(found), Some(body)) => Reached::Program(found.or(body)),
        (Reached::TooLong, _) => Reached::TooLong,
        (_, Some(body)) => Reached::Program(body),
        (found, None) => found,
    }
}
