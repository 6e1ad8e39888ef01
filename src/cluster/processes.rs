//! How many processes are counted for each container of a pod, and who says so.
//!
//! In: annotations, containers. Out: [`Counted`] for each container that opens connections. The annotation wins; if it
//! says nothing about a container, what the container runs decides.

use std::borrow::Cow;

use super::env::{Container, Environment};
use super::template::{meant, shortened};
use crate::api::names;
use crate::profile::stated::{Processes, Stated};
use crate::profile::workers::{Found, Run, find, find_first};

/// The processes of a container.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    /// How many; none if an annotation states no number, or something states more than can be counted.
    pub(super) processes: Option<u32>,
    /// Who says so, as it follows the number.
    pub(super) from: Cow<'static, str>,
    /// What its user should know: a contradiction, or that the number is not known.
    pub(super) remark: Option<String>,
    /// Why it can be given no size.
    pub(super) fault: Option<String>,
}

impl Counted {
    /// For a list of too many containers that do not exist, each of which may be any existing one.
    pub(super) fn too_many() -> Self {
        let fault =
            format!("its annotations name more than {} containers that do not exist", names::MAX_CONTAINERS);
        Self { processes: None, from: Cow::Borrowed("unknown"), remark: None, fault: Some(fault) }
    }
}

/// The most characters of a name that are quoted.
const QUOTED: usize = 80;

/// Who says so, if the annotation does.
const BY_ANNOTATION: &str = "from the annotation poolbudget.dev/processes";

/// What the annotation says about a container; none when it says nothing.
fn annotated<'a>(stated: &Stated<'a>, name: &str) -> Option<&'a str> {
    match stated.processes()? {
        Processes::Each(text) => Some(text),
        Processes::Of(pairs) => pairs.iter().find(|(own, _)| *own == name).map(|(_, text)| *text),
    }
}

/// Counts a container; one that does not exist may be any of `candidates`. `first` marks one that runs before the
/// others; a number without a name says nothing about it.
pub(super) fn counted(
    stated: &Stated<'_>,
    name: &str,
    candidates: &[Environment<'_>],
    first: bool,
) -> Counted {
    let each = matches!(stated.processes(), Some(Processes::Each(_)));
    let found = candidates.iter().map(|environment| found(stated, *environment, first)).reduce(most);
    let found = found.unwrap_or_else(|| missing(stated));
    if first && each {
        let from = Cow::Borrowed("it runs first, and is counted as one");
        return Counted { processes: Some(1), from, remark: None, fault: None };
    }
    match annotated(stated, name) {
        Some(text) => by_annotation(text, &found),
        None => by_found(&found),
    }
}

/// A pod without any container.
fn missing(stated: &Stated<'_>) -> Found {
    find(
        stated.profile(),
        &Run { command: &[], args: &[], cut: false, variables: &|_| crate::profile::workers::Value::Unset },
    )
}

fn found(stated: &Stated<'_>, environment: Environment<'_>, first: bool) -> Found {
    let Container { command, args, .. } = environment.container;
    let run = Run {
        command: &command.list,
        args: &args.list,
        cut: command.cut || args.cut,
        variables: &|name| environment.value(name),
    };
    if first { find_first(&run) } else { find(stated.profile(), &run) }
}

fn most(one: Found, other: Found) -> Found {
    if other.processes > one.processes { other } else { one }
}

fn by_annotation(text: &str, found: &Found) -> Counted {
    let processes = meant(text);
    let contradicts =
        found.stated && found.unknown.is_none() && processes.is_some_and(|n| n != found.processes);
    let remark = contradicts.then(|| {
        format!(
            "{} says {} and takes precedence, but {} says {}",
            names::PROCESSES,
            processes.unwrap_or_default(),
            found.by,
            found.processes
        )
    });
    let from = match &remark {
        Some(_) => Cow::Owned(format!("{BY_ANNOTATION}, though {} says {}", found.by, found.processes)),
        None => Cow::Borrowed(BY_ANNOTATION),
    };
    Counted { processes, from, remark, fault: None }
}

fn by_found(found: &Found) -> Counted {
    let from = match (&found.unknown, found.by.as_str()) {
        (Some(unknown), "") => format!("unknown: {}", unknown.why),
        (Some(unknown), by) => format!("from {by}, perhaps more: {}", unknown.why),
        (None, by) => format!("from {by}"),
    };
    let told = found.unknown.as_ref().filter(|unknown| unknown.told);
    let remark = told.map(|unknown| {
        format!(
            "the number of processes in a pod is unknown, so {} is counted: {}; set {}",
            found.processes,
            unknown.why,
            names::PROCESSES
        )
    });
    let refused = found.unknown.as_ref().filter(|unknown| unknown.refused);
    let fault = if let Some(unknown) = refused {
        Some(format!("{}; set {}", unknown.why, names::PROCESSES))
    } else {
        (found.processes > names::MAX_PROCESSES)
            .then(|| format!("{} says more than {} processes", found.by, names::MAX_PROCESSES))
    };
    // The largest number may stand for any larger one.
    let processes = Some(found.processes).filter(|n| *n < u32::MAX);
    Counted { processes, from: from.into(), remark, fault }
}

/// One of several containers.
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    /// Whether it runs before those that follow.
    pub(super) first: bool,
    pub(super) counted: &'a Counted,
}

impl Part<'_> {
    fn number(&self) -> u64 {
        self.counted.processes.map_or(u64::MAX, u64::from)
    }

    fn short(&self) -> String {
        let number = self.counted.processes.map_or_else(|| "?".to_owned(), |n| n.to_string());
        format!("{} {number}", shortened(self.name, QUOTED))
    }

    fn in_full(&self) -> String {
        format!("{} ({})", self.short(), self.counted.from)
    }
}

/// Who says how many processes there are when the most run, in one line.
pub(super) fn told(parts: &[Part<'_>]) -> String {
    let stay = |parts: &[Part<'_>]| -> u64 {
        parts.iter().filter(|part| !part.first).map(Part::number).fold(0, u64::saturating_add)
    };
    // Containers before it run beside it, if they stay.
    let moment = |(place, part): (usize, &Part<'_>)| {
        let beside = stay(parts.get(..place).unwrap_or_default());
        (part.number().saturating_add(beside), place)
    };
    let firsts = parts.iter().enumerate().filter(|(_, part)| part.first);
    let busiest = firsts.map(moment).max_by_key(|(most, place)| (*most, std::cmp::Reverse(*place)));
    let list = |parts: Vec<String>| parts.join(" + ");
    let staying = || parts.iter().filter(|part| !part.first);
    match busiest.filter(|(most, _)| *most > stay(parts)) {
        Some((_, place)) => {
            let before = parts.iter().take(place).filter(|part| !part.first);
            let now = before.chain(parts.get(place)).map(Part::in_full).collect();
            let told =
                |(at, part): (usize, &Part<'_>)| if at < place { part.short() } else { part.in_full() };
            let then = parts.iter().enumerate().filter(|(_, part)| !part.first).map(told).collect();
            let name = parts.get(place).map_or("", |part| part.name);
            format!("while {} runs: {}; afterwards {}", shortened(name, QUOTED), list(now), list(then))
        }
        None => {
            let before: Vec<String> = parts.iter().filter(|part| part.first).map(Part::in_full).collect();
            let then = list(staying().map(Part::in_full).collect());
            if before.is_empty() { then } else { format!("{then}; before, {}", before.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests;
