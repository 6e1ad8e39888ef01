//! How many processes one program runs, from its arguments and variables.
//!
//! In: a row of the table, the words after the program, the variables. Out: [`Found`]. A number that cannot be known is
//! reported as unknown, and counts as the least that the program runs.

use super::Found;
use super::lists::Step;
use super::programs::{DETACHES, Otherwise, Program, Special};
use super::shell;
use super::word::{Value, Variables, Word, number};

/// The most characters of a user's text that are quoted.
const SHOWN: usize = 32;
/// Processes of Odoo besides its workers: its cron threads run in their own processes, and one is for long polling.
const ODOO_CRON: u32 = 2;
/// Tasks of a LocalExecutor without a stated limit.
const AIRFLOW_PARALLELISM: u32 = 32;

/// What states the number.
struct Said<'a> {
    /// As the user wrote it.
    by: String,
    value: &'a str,
    sure: bool,
}

/// Counts the processes of a program.
pub(super) fn count(program: &Program, name: &str, words: &[Word], variables: &Variables<'_>) -> Found {
    let of = Of { program, name, words, variables };
    let found = match program.special {
        Special::Nothing => of.plain(),
        Special::CeleryMulti => of.celery_multi(),
        Special::Celery => of.celery(),
        Special::Odoo => of.odoo(),
        Special::LocalExecutor => of.local_executor(),
    };
    Found { goes_on: found.goes_on || of.detaches(), ..found }
}

/// A quoted text of the user, cut so that a message stays a sentence.
pub(super) fn shown(text: &str) -> String {
    let printable = |c: char| if c.is_control() || c == '`' { '\u{fffd}' } else { c };
    let beginning: String = text.chars().take(SHOWN).map(printable).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("{beginning}{more}")
}

/// The number that a flag or variable states, or why it is not known. Some texts mean the node's number of CPUs.
fn stated(said: &Said<'_>, cpus_are: &[&str]) -> Found {
    if cpus_are.contains(&said.value) {
        return cpus(&said.by);
    }
    let below = said.value.strip_prefix('-').is_some_and(|rest| number(rest).is_some());
    match number(said.value) {
        Some(0) => Found::stated(1, &said.by),
        Some(n) if said.sure => Found::stated(n, &said.by),
        Some(n) => {
            Found { processes: n, ..Found::unknown(format!("the number in {} is set elsewhere", said.by)) }
        }
        None if !said.sure || said.value.contains(['$', '`']) => {
            Found::unknown(format!("the number in {} is not known before it runs", said.by))
        }
        // Programs either do not start with it, or do something that was not tried.
        None if below => Found::unknown(format!("{} in {} is below 0", shown(said.value), said.by)),
        None => Found::unknown(format!("{} in {} is not a whole number", shown(said.value), said.by)),
    }
}

fn cpus(by: &str) -> Found {
    Found::unknown(format!("{by} runs as many as the node has CPUs"))
}

struct Of<'a, 'v> {
    program: &'a Program,
    name: &'a str,
    words: &'a [Word],
    variables: &'a Variables<'v>,
}

impl<'a, 'v: 'a> Of<'a, 'v> {
    /// The program and its verb.
    fn title(&self) -> String {
        let verb = self.program.verbs.iter().find(|verb| self.words.iter().any(|word| word.text == **verb));
        verb.map_or_else(|| format!("`{}`", self.name), |verb| format!("`{} {verb}`", self.name))
    }

    fn plain(&self) -> Found {
        if let Some(flag) = self.program.single.iter().find(|flag| self.has(flag)) {
            return Found::stated(1, &format!("`{} {flag}`", self.name));
        }
        self.by_flag().or_else(|| self.by_arguments()).unwrap_or_else(|| self.by_variables())
    }

    /// What the last of its number flags states.
    fn by_flag(&self) -> Option<Found> {
        let said = last_flag(self.program.flags, self.words, self.name)?;
        Some(stated(&said, self.program.cpus))
    }

    /// The same for arguments in a variable.
    fn by_arguments(&self) -> Option<Found> {
        let name = self.program.arguments?;
        let Value::Text(text) = (self.variables)(name) else { return None };
        arguments(self.program.flags, name, text)
    }

    fn by_variables(&self) -> Found {
        let mut doubt = self.program.arguments.and_then(|name| self.doubt(name));
        for name in self.program.variables {
            match (self.variables)(name) {
                Value::Text(text) if !text.trim().is_empty() => {
                    let found = stated(&variable(name, text), self.program.cpus);
                    // For gunicorn the variable is only a default, and its file overrides it.
                    let file = self.file().filter(|_| self.program.arguments.is_some());
                    return match file {
                        Some(file) => {
                            found.or(Found::unknown(format!("{} reads it from {file}", self.title())))
                        }
                        None => found,
                    };
                }
                _ => doubt = doubt.or_else(|| self.doubt(name)),
            }
        }
        let found = self.otherwise();
        match doubt {
            Some(doubt) => Found { processes: found.processes, ..doubt },
            None => found,
        }
    }

    /// Why a variable may have a value that the pod does not show.
    fn doubt(&self, name: &str) -> Option<Found> {
        match (self.variables)(name) {
            Value::Elsewhere => {
                Some(Found::unknown(format!("{} reads {name}, which is set elsewhere", self.title())))
            }
            Value::Perhaps => {
                Some(Found::unknown(format!("{} reads {name}, which envFrom may set", self.title())))
            }
            Value::Unset | Value::Text(_) => None,
        }
    }

    fn otherwise(&self) -> Found {
        if let Some(file) = self.file() {
            return Found::unknown(format!("{} reads it from {file}", self.title()));
        }
        match self.program.otherwise {
            Otherwise::Number(n) => {
                let unless = match self.program.arguments {
                    Some(_) => ", unless a gunicorn.conf.py in the image says otherwise",
                    None => "",
                };
                Found::by_itself(n, &format!("{} by itself{unless}", self.title()))
            }
            Otherwise::Cpus => cpus(&self.title()),
            Otherwise::File => Found::unknown(format!("{} reads it from a file in the image", self.title())),
            Otherwise::Version => {
                Found::unknown(format!("how many {} starts depends on its version", self.title()))
            }
        }
    }

    /// A file that may state the number.
    fn file(&self) -> Option<String> {
        let by_flag = last_flag(self.program.files, self.words, self.name);
        let by_name = || {
            let takes_files = self.name.starts_with("pm2") || self.name.contains("uwsgi");
            let ends = [".ini", ".yml", ".yaml", ".json", ".xml", ".config.js", ".config.cjs"];
            let file = self.words.iter().find(|word| ends.iter().any(|end| word.text.ends_with(end)));
            file.filter(|_| takes_files).map(|word| format!("`{}`", shown(&word.text)))
        };
        let by_arguments = || {
            let Value::Text(text) = (self.variables)(self.program.arguments?) else { return None };
            last_flag(self.program.files, &split(text)?, self.name)
                .map(|said| format!("`{}`", shown(said.value)))
        };
        by_flag.map(|said| format!("`{}`", shown(said.value))).or_else(by_arguments).or_else(by_name)
    }

    /// Whether it goes to the background.
    fn detaches(&self) -> bool {
        let detaches = |word: &Word| {
            let flag = word.text.split('=').next().unwrap_or_default();
            DETACHES.contains(&flag) || self.program.detaches.contains(&flag)
        };
        let by_arguments = || match (self.variables)(self.program.arguments?) {
            Value::Text(text) => split(text),
            _ => None,
        };
        self.words.iter().any(detaches) || by_arguments().is_some_and(|words| words.iter().any(detaches))
    }

    /// `celery multi start 3 -c 4`, or with the names of the nodes.
    fn celery_multi(&self) -> Found {
        let Some(at) = self.words.iter().position(|word| ["start", "restart"].contains(&word.text.as_str()))
        else {
            return Found::by_itself(1, &self.title());
        };
        let words = self.words.get(at + 1..).unwrap_or_default();
        if words.iter().any(|word| word.text.starts_with('-') && word.text.contains(':')) {
            return Found::unknown(format!("{} has flags for single nodes", self.title()));
        }
        let is_value = |at: usize| {
            let before = at.checked_sub(1).and_then(|at| words.get(at));
            before.is_some_and(|word| word.text.starts_with('-') && !word.text.contains('='))
        };
        let nodes: Vec<&Word> = (words.iter().enumerate())
            .filter(|(at, word)| !word.text.starts_with('-') && !is_value(*at))
            .map(|(_, word)| word)
            .collect();
        let by_number = match nodes.as_slice() {
            [one] => number(&one.text),
            _ => None,
        };
        let nodes = by_number.unwrap_or_else(|| u32::try_from(nodes.len()).unwrap_or(u32::MAX)).max(1);
        let each = last_flag(&["-c", "--concurrency"], words, self.name);
        let each = each.map_or_else(|| cpus(&self.title()), |said| stated(&said, &["0"]));
        Found { processes: each.processes.saturating_mul(nodes), ..each }
    }

    fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|word| word.text == flag)
    }

    fn celery(&self) -> Found {
        let pool = last_flag(&["-P", "--pool"], self.words, self.name)
            .or_else(|| self.variable("CELERY_WORKER_POOL"));
        if let Some(pool) =
            pool.filter(|pool| ["solo", "threads", "gevent", "eventlet"].contains(&pool.value))
        {
            return Found::stated(1, &pool.by).and(self.beat());
        }
        let scale = last_flag(&["--autoscale"], self.words, self.name)
            .or_else(|| self.variable("CELERY_WORKER_AUTOSCALE"))
            .or_else(|| self.variable("AIRFLOW__CELERY__WORKER_AUTOSCALE"));
        let most = scale.map(|said| {
            let largest = said.value.split(',').max_by_key(|text| number(text)).unwrap_or_default();
            stated(&Said { value: largest, ..said }, self.program.cpus)
        });
        most.unwrap_or_else(|| self.plain()).and(self.beat())
    }

    /// The scheduler that a Celery worker starts with `-B`.
    fn beat(&self) -> Option<Found> {
        (self.has("-B") || self.has("--beat")).then(|| Found::by_itself(1, &format!("`{} -B`", self.name)))
    }

    fn odoo(&self) -> Found {
        let found = self.plain();
        let by_flag = last_flag(self.program.flags, self.words, self.name);
        if by_flag.is_none_or(|said| number(said.value) == Some(0)) {
            return found;
        }
        let cron =
            last_flag(&["--max-cron-threads"], self.words, self.name).and_then(|said| number(said.value));
        let others = cron.unwrap_or(ODOO_CRON).saturating_add(1);
        found.and(Some(Found::by_itself(others, "cron and long polling")))
    }

    fn local_executor(&self) -> Found {
        match (self.variables)("AIRFLOW__CORE__EXECUTOR") {
            Value::Text(text) if text.contains("LocalExecutor") => {
                let tasks = self.variable("AIRFLOW__CORE__PARALLELISM").map(|said| stated(&said, &[]));
                let most = || Found::by_itself(AIRFLOW_PARALLELISM, "the tasks of a LocalExecutor");
                Found::by_itself(1, &self.title()).and(Some(tasks.unwrap_or_else(most)))
            }
            Value::Text(_) => Found::by_itself(1, &self.title()),
            _ => Found::unknown(
                "the executor is not visible here; with LocalExecutor each task is a process".to_owned(),
            )
            .in_quiet(),
        }
    }

    fn variable(&self, name: &'static str) -> Option<Said<'a>> {
        match (self.variables)(name) {
            Value::Text(text) if !text.trim().is_empty() => Some(variable(name, text)),
            _ => None,
        }
    }
}

fn variable<'a>(name: &str, text: &'a str) -> Said<'a> {
    Said { by: format!("{name}={}", shown(text)), value: text.trim(), sure: true }
}

/// What a variable states if the program is not known.
pub(super) fn by_variable(name: &str, text: &str) -> Found {
    // Puma reads the first as the number of CPUs, PM2 the others.
    let cpus: &[&str] = if name.starts_with("PM2") { &["max", "0", "-1"] } else { &["auto", "max"] };
    stated(&variable(name, text), cpus)
}

/// What the arguments in a variable state.
pub(super) fn arguments(flags: &[&str], name: &str, text: &str) -> Option<Found> {
    let words = split(text)?;
    let said = last_flag(flags, &words, name)?;
    let by = said.by.trim_matches('`').replacen(' ', "=", 1);
    Some(stated(&Said { by, ..said }, &[]))
}

/// The words of arguments in a variable.
fn split(text: &str) -> Option<Vec<Word>> {
    let (commands, _) = shell::commands(text, &|_| Value::Unset, &[])?;
    let words = |step| if let Step::Run(command) = step { command.words } else { Vec::new() };
    Some(commands.into_iter().flat_map(words).collect())
}

/// What a flag states among the words of an unknown program.
pub(super) fn by_flag(flag: &str, words: &[Word], name: &str) -> Option<Found> {
    last_flag(&[flag], words, name).map(|said| stated(&said, &[]))
}

/// The last of these flags with a value after it or in it: `-w 4`, `-w4`, `--workers 4`, `--workers=4`.
fn last_flag<'a>(flags: &[&str], words: &'a [Word], name: &str) -> Option<Said<'a>> {
    let end = words.iter().position(|word| word.text == "--").unwrap_or(words.len());
    let words = words.get(..end).unwrap_or_default();
    let mut last = None;
    for (place, word) in words.iter().enumerate() {
        for flag in flags {
            let Some(rest) = word.text.strip_prefix(flag) else { continue };
            if rest.is_empty() {
                if let Some(value) = words.get(place + 1) {
                    let by = format!("`{name} {flag} {}`", shown(&value.text));
                    last = Some(Said { by, value: &value.text, sure: value.sure && word.sure });
                }
                continue;
            }
            let value = rest.strip_prefix('=');
            // A longer flag may begin with a short one.
            let attached = || {
                Some(rest).filter(|rest| !flag.starts_with("--") && (number(rest).is_some() || !word.sure))
            };
            if let Some(value) = value.or_else(attached) {
                let by = format!("`{name} {}`", shown(&word.text));
                last = Some(Said { by, value, sure: word.sure });
            }
        }
    }
    last
}
