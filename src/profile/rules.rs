//! The rules for labels and annotations, and the sentence for each broken rule.
//!
//! In: what a pod states. Out: what is allowed, and what was found instead. `admission::check` has the same rules in
//! CEL, by the same names; `tests/admission/check.yaml` checks both.

use super::stated::{Processes, Stated};
use super::{ALL as PROFILES, OwnNames, Profile, Sizing};
use crate::api::pool_status::{MAX_PATH, PoolStatus};
use crate::api::{keys, names};

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Keys with our prefix are known keys.
    Known,
    /// No more containers and env entries than can be checked.
    Many,
    /// No more text than can be checked.
    Long,
    /// The label is the name of a budget.
    Budget,
    /// The pod does not name a node, so it can wait.
    NoNode,
    /// Processes are one number, or one number per container.
    Processes,
    /// The containers with a number are containers that open connections.
    ProcessesOf,
    /// An annotation is a whole number from 1 to a maximum.
    Count(&'static str, u32),
    /// The named containers exist.
    Containers,
    /// The containers are named, if other containers than the one taken for the app also have the variables of a pool.
    Taken,
    /// The profile is in the table.
    Profile,
    /// The pool has a bound.
    Bounded,
    /// The names of both variables, or of neither.
    OwnNamesTogether,
    /// The name of an overflow only if there is one.
    OwnOverflowName,
    /// The name of a size, if one is required.
    OwnSizeNameNeeded,
    /// The name of a size only if it is not fixed.
    OwnSizeName,
    /// Valid names of environment variables.
    OwnNamesValid,
    /// Two different names.
    OwnNamesDiffer,
    /// A stated size only if no variable sets it.
    SizeCounts,
    /// A stated size, if nothing else tells it.
    SizeNeeded,
    /// The pre-ping setting is true or false.
    PrePing,
    /// The place where a pod answers is a port and a path.
    PoolStatus,
    /// A companion only if a variable takes it.
    Companion(usize),
}

impl Rule {
    /// All rules, in the order of checking: the first broken one is reported.
    pub const ALL: [Self; 29] = [
        Self::Known,
        Self::Many,
        Self::Long,
        Self::Budget,
        Self::NoNode,
        Self::Processes,
        Self::ProcessesOf,
        Self::Count(names::ENGINES, names::MAX_PROCESSES),
        Self::Containers,
        Self::Profile,
        Self::Bounded,
        Self::OwnNamesTogether,
        Self::OwnOverflowName,
        Self::OwnSizeNameNeeded,
        Self::OwnSizeName,
        Self::OwnNamesValid,
        Self::OwnNamesDiffer,
        Self::Taken,
        Self::Count(names::EXTRA, names::MAX_PROCESSES),
        Self::Count(names::CONNECTIONS_PER_PROCESS, names::MAX_PROCESSES),
        Self::SizeCounts,
        Self::SizeNeeded,
        Self::Count(names::POOL_TIMEOUT, names::MAX_SECONDS),
        Self::Count(names::POOL_RECYCLE, names::MAX_SECONDS),
        Self::PrePing,
        Self::PoolStatus,
        Self::Companion(0),
        Self::Companion(1),
        Self::Companion(2),
    ];

    /// The rules that must hold before it is known which variables an app reads.
    pub const OWN_NAMES: [Self; 6] = [
        Self::OwnNamesTogether,
        Self::OwnOverflowName,
        Self::OwnSizeNameNeeded,
        Self::OwnSizeName,
        Self::OwnNamesValid,
        Self::OwnNamesDiffer,
    ];

    /// What is allowed.
    #[must_use]
    pub fn allowed(self) -> String {
        let (size_env, overflow_env) = (names::POOL_SIZE_ENV, names::MAX_OVERFLOW_ENV);
        match self {
            Self::Known => {
                let names = |keys: &[&'static str]| -> Vec<&str> {
                    keys.iter().map(|key| key.strip_prefix(keys::PREFIX).unwrap_or(key)).collect()
                };
                format!(
                    "the labels of {} are {}, its annotations {}",
                    keys::PREFIX,
                    names(&keys::LABELS).join(" and "),
                    names(&names::APP_ANNOTATIONS).join(", ")
                )
            }
            Self::Many => format!(
                "a pod of a budget must have at most {} containers, init containers included, with at most {} env \
                 entries together",
                names::MAX_ALL_CONTAINERS,
                names::MAX_ENV
            ),
            Self::Long => format!(
                "what an annotation of {} states about an app, and {}, must have at most {} characters",
                names::GROUP,
                names::DEFAULT_CONTAINER,
                names::MAX_STATED
            ),
            Self::Budget => format!(
                "{} must be the name of a DbConnectionBudget: lower-case letters, digits, '-' and '.', with a letter \
                 or digit at both ends",
                names::BUDGET
            ),
            Self::NoNode => format!(
                "a pod of a budget must not set spec.nodeName, because a pod that is already on a node cannot wait for its \
                 connections: choose nodes with nodeSelector or affinity, or remove the label {}",
                names::BUDGET
            ),
            Self::Processes => format!(
                "{} must be a whole number from 1 to {}, in digits only and without leading zeros, or such numbers \
                 by container, as in app=4,migrate=1",
                names::PROCESSES,
                names::MAX_PROCESSES
            ),
            Self::ProcessesOf => format!(
                "{} must give numbers only to containers that open connections ({}), each once",
                names::PROCESSES,
                names::CONTAINER
            ),
            Self::Count(key, most) => format!(
                "{key} must be a whole number from 1 to {most}, in digits only and without leading zeros"
            ),
            Self::Containers => format!(
                "{} must name a container of the pod, or up to {} with commas between them, each once",
                names::CONTAINER,
                names::MAX_CONTAINERS
            ),
            Self::Taken => format!("list the containers that connect in {}", names::CONTAINER),
            Self::Profile => format!("{} must be one of {}", names::PROFILE, all_profiles().join(", ")),
            Self::Bounded => format!(
                "{} must be one whose pool has a bound: with NullPool each checkout opens a connection, so use a \
                 QueuePool, or cap the database role with CONNECTION LIMIT and remove the label",
                names::PROFILE
            ),
            Self::OwnNamesTogether => format!(
                "{size_env} and {overflow_env} must be given together or not at all (for an app with one variable \
                 set {} to {} as well)",
                names::PROFILE,
                of_names(OwnNames::Must).join(" or ")
            ),
            Self::OwnOverflowName => {
                format!("{overflow_env} is only for the profile {}", of_both_with_own_names().join(" or "))
            }
            Self::OwnSizeNameNeeded => {
                format!(
                    "{size_env} must name the variable with the profiles {}",
                    of_names(OwnNames::Must).join(", ")
                )
            }
            Self::OwnSizeName => {
                format!("{size_env} is only for the profiles {}", with_own_names().join(", "))
            }
            Self::OwnNamesValid => format!(
                "{size_env} and {overflow_env} must be names of environment variables: letters, digits, '_', '-' and \
                 '.', beginning with a letter or '_', at most 253 characters"
            ),
            Self::OwnNamesDiffer => {
                format!("{size_env} and {overflow_env} must name two different environment variables")
            }
            Self::SizeCounts => format!(
                "{} is only for the profiles {}, whose size no variable sets (for others bound it in the budget)",
                names::CONNECTIONS_PER_PROCESS,
                counted(|_| true).join(", ")
            ),
            Self::SizeNeeded => format!(
                "{} must say how many connections a process opens with the profile {}",
                names::CONNECTIONS_PER_PROCESS,
                counted(|default| default.is_none()).join(" or ")
            ),
            Self::PrePing => format!("{} must be true or false", names::POOL_PRE_PING),
            Self::PoolStatus => format!(
                "{} must be a port number of the pod and a path without spaces, # or brackets, as in :8000/debug/db-pool, \
                 with at most {MAX_PATH} characters in the path",
                names::POOL_STATUS
            ),
            Self::Companion(place) => {
                format!("{} is only for the profiles {}", companion_key(place), companions(place).join(", "))
            }
        }
    }

    /// Whether the sentence starts with what was found, and then says what to do.
    #[must_use]
    pub const fn found_first(self) -> bool {
        matches!(self, Self::Known | Self::Taken)
    }

    /// What was found instead; none if the rule holds.
    #[must_use]
    pub fn broken(self, stated: &Stated<'_>) -> Option<String> {
        let quoted = |key: &str| format!("'{}'", stated.says(key).unwrap_or_default());
        let says = |key: &str| format!("it says {}", quoted(key));
        let profile = || format!("the profile is '{}'", profile_name(stated));
        let (size_env, overflow_env) =
            (stated.says(names::POOL_SIZE_ENV), stated.says(names::MAX_OVERFLOW_ENV));
        match self {
            Self::Known => stated.unknown.iter().min().map(|key| {
                let meant = keys::meant(key).map(|meant| format!(": did you mean {meant}?"));
                format!("unknown label or annotation {key}{}", meant.unwrap_or_default())
            }),
            Self::Many => {
                let (containers, env) = (stated.regular.len() + stated.init.len(), stated.sets.len());
                let added = if stated.is_pod { names::MAX_ENV_ADDED } else { 0 };
                match (containers > names::MAX_ALL_CONTAINERS, env > names::MAX_ENV + added) {
                    (true, _) => Some(format!("there are {containers} containers")),
                    (false, true) => Some(format!("there are {env} env entries")),
                    (false, false) => None,
                }
            }
            Self::Long => {
                let size = |key: &'static str| Some((key, stated.says(key)?.chars().count()));
                let long = names::read_from().filter_map(size).filter(|(_, size)| *size > names::MAX_STATED);
                let told: Vec<String> = long.map(|(key, size)| format!("{key} has {size}")).collect();
                (!told.is_empty()).then(|| told.join(", "))
            }
            Self::Budget => (!is_object_name(stated.budget)).then(|| format!("it says '{}'", stated.budget)),
            Self::NoNode => (!stated.node.is_empty()).then(|| format!("it says '{}'", stated.node)),
            Self::Processes => (!are_processes(stated)).then(|| says(names::PROCESSES)),
            Self::ProcessesOf => (!are_of_containers(stated)).then(|| {
                format!("{}, the containers are {}", says(names::PROCESSES), stated.containers().join(", "))
            }),
            Self::Count(key, most) => {
                (!stated.says(key).is_none_or(|text| is_count(text, most))).then(|| says(key))
            }
            Self::Containers => (!are_there(stated)).then(|| {
                let all: Vec<&str> = stated.regular.iter().chain(&stated.init).copied().collect();
                format!("{}, the containers are {}", says(names::CONTAINER), all.join(", "))
            }),
            Self::Taken => {
                let others = stated.others();
                let (taken, sizes) = (stated.taken().unwrap_or_default(), stated.sizes().join(" or "));
                let set = if others.len() > 1 { "set" } else { "sets" };
                (!others.is_empty())
                    .then(|| format!("{} {set} {sizes}, but only {taken} is counted", others.join(" and ")))
            }
            Self::Profile => stated.profile().is_none().then(|| says(names::PROFILE)),
            Self::Bounded => unbounded().contains(&profile_name(stated)).then(|| says(names::PROFILE)),
            Self::OwnNamesTogether => {
                let only = if size_env.is_some() { names::POOL_SIZE_ENV } else { names::MAX_OVERFLOW_ENV };
                let both = of_both_with_own_names().contains(&profile_name(stated));
                (both && size_env.is_some() != overflow_env.is_some())
                    .then(|| format!("only {only} is there"))
            }
            Self::OwnOverflowName => (overflow_env.is_some()
                && !of_both_with_own_names().contains(&profile_name(stated)))
            .then(profile),
            Self::OwnSizeNameNeeded => {
                (size_env.is_none() && of_names(OwnNames::Must).contains(&profile_name(stated))).then(profile)
            }
            Self::OwnSizeName => {
                (size_env.is_some() && !with_own_names().contains(&profile_name(stated))).then(profile)
            }
            Self::OwnNamesValid => {
                let valid = [size_env, overflow_env].into_iter().flatten().all(is_env_name);
                let both =
                    || format!("{} and {}", quoted(names::POOL_SIZE_ENV), quoted(names::MAX_OVERFLOW_ENV));
                (!valid).then(|| format!("they say {}", both()))
            }
            Self::OwnNamesDiffer => (size_env.is_some() && size_env == overflow_env)
                .then(|| format!("both say {}", quoted(names::POOL_SIZE_ENV))),
            Self::SizeCounts => (stated.says(names::CONNECTIONS_PER_PROCESS).is_some()
                && !counted(|_| true).contains(&profile_name(stated)))
            .then(profile),
            Self::SizeNeeded => (stated.says(names::CONNECTIONS_PER_PROCESS).is_none()
                && counted(|default| default.is_none()).contains(&profile_name(stated)))
            .then(|| "it is not there".to_owned()),
            Self::PrePing => {
                let known = matches!(stated.says(names::POOL_PRE_PING), None | Some("true" | "false"));
                (!known).then(|| says(names::POOL_PRE_PING))
            }
            Self::PoolStatus => {
                let known =
                    stated.says(names::POOL_STATUS).is_none_or(|text| PoolStatus::parse(text).is_some());
                (!known).then(|| says(names::POOL_STATUS))
            }
            Self::Companion(place) => (stated.says(companion_key(place)).is_some()
                && !companions(place).contains(&profile_name(stated)))
            .then(profile),
        }
    }

    /// The sentence of the check; none if the rule holds. Text that does not fit in one line is not quoted.
    #[must_use]
    pub fn sentence(self, stated: &Stated<'_>) -> Option<String> {
        const LONGEST: usize = 5 << 10;
        let found = self.broken(stated)?;
        let allowed = self.allowed();
        let whole = if self.found_first() {
            // A question already ends with its mark.
            let end = if found.ends_with('?') { "" } else { ";" };
            format!("{found}{end} {allowed}")
        } else {
            format!("{allowed}; {found}")
        };
        Some(if found.contains('\n') || whole.len() > LONGEST { allowed } else { whole })
    }
}

fn profile_name<'a>(stated: &Stated<'a>) -> &'a str {
    stated.says(names::PROFILE).unwrap_or(names::DEFAULT_PROFILE)
}

fn of(pick: impl Fn(&Profile) -> bool) -> Vec<&'static str> {
    PROFILES.iter().filter(|profile| pick(profile)).map(|profile| profile.name).collect()
}

/// The names of all profiles.
#[must_use]
pub fn all_profiles() -> Vec<&'static str> {
    of(|_| true)
}

/// Profiles without a bound.
#[must_use]
pub fn unbounded() -> Vec<&'static str> {
    of(|profile| profile.sizing == Sizing::Unbounded)
}

/// Profiles with this rule for the names of their variables.
#[must_use]
pub fn of_names(names: OwnNames) -> Vec<&'static str> {
    of(|profile| profile.own_names() == names)
}

/// Profiles whose variables annotations may name.
#[must_use]
pub fn with_own_names() -> Vec<&'static str> {
    of(|profile| profile.own_names() != OwnNames::Fixed)
}

/// Profiles with a size and an overflow, both of which annotations may name.
#[must_use]
pub fn of_both_with_own_names() -> Vec<&'static str> {
    of(|profile| profile.has_both() && profile.own_names() != OwnNames::Fixed)
}

/// Profiles that are counted and not written, selected by their default.
#[must_use]
pub fn counted(pick: impl Fn(Option<u32>) -> bool) -> Vec<&'static str> {
    of(|profile| matches!(profile.sizing, Sizing::Counted { default } if pick(default)))
}

/// Profiles with a variable for the companion at this index.
#[must_use]
pub fn companions(place: usize) -> Vec<&'static str> {
    of(|profile| profile.written().is_some_and(|w| w.companions.get(place).is_some_and(Option::is_some)))
}

/// The annotation of the companion at this index.
#[must_use]
pub fn companion_key(place: usize) -> &'static str {
    names::COMPANIONS.get(place).copied().unwrap_or_default()
}

/// A whole number from 1 to `most`, digits only and without leading zeros.
#[must_use]
pub fn is_count(text: &str, most: u32) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    digits && text.parse::<u32>().is_ok_and(|number| (1..=most).contains(&number))
}

fn are_processes(stated: &Stated<'_>) -> bool {
    match stated.processes() {
        None => true,
        Some(Processes::Each(text)) => is_count(text, names::MAX_PROCESSES),
        Some(Processes::Of(pairs)) => {
            pairs.len() <= names::MAX_CONTAINERS
                && pairs
                    .iter()
                    .all(|(name, text)| is_container_name(name) && is_count(text, names::MAX_PROCESSES))
        }
    }
}

fn are_of_containers(stated: &Stated<'_>) -> bool {
    let Some(Processes::Of(pairs)) = stated.processes() else { return true };
    // Another rule limits their number.
    if pairs.len() > names::MAX_CONTAINERS {
        return true;
    }
    let containers = stated.containers();
    let once = |name: &str| pairs.iter().filter(|(other, _)| *other == name).count() == 1;
    pairs.iter().all(|(name, _)| containers.contains(name) && once(name))
}

fn are_there(stated: &Stated<'_>) -> bool {
    let containers = stated.containers();
    let there = |name: &&str| stated.regular.contains(name) || stated.init.contains(name);
    let once = |name: &&str| containers.iter().filter(|other| *other == name).count() == 1;
    (1..=names::MAX_CONTAINERS).contains(&containers.len())
        && containers.iter().all(|name| there(name) && once(name))
}

fn is_container_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A valid name of an object: labels of lower-case letters, digits and '-', with dots between them.
fn is_object_name(text: &str) -> bool {
    if text.len() > 253 {
        return false;
    }
    let end = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        end(bytes.first())
            && end(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    })
}

fn is_env_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    first && rest && text.len() <= 253
}
