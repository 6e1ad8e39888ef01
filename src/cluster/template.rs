//! What a pod (or a pod template) says about its app: budget, pools per pod, and what its own env would allow.
//!
//! In: labels, annotations, containers. Out: [`AppFacts`]. Pods and everything that makes pods are read in the same
//! way, so that they can never disagree. Templates that admission refuses are read too, because their pods may run all
//! the same.

mod app;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use self::app::App;
use super::env::{Container, Setting, number};
use crate::api::names;
use crate::budget::amount::{Connections, Instances};
use crate::budget::split::{Knobs, Split};
use crate::profile::rules::Rule;
use crate::profile::stated::Stated;
use crate::profile::{Knob, Profile, Reads, Sizing};

/// What an app says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFacts {
    /// The budget that its label names.
    pub budget: Option<String>,
    /// The profile whose rules its pools follow; none if no profile has the stated name.
    pub profile: Option<&'static Profile>,
    /// Pools in one pod, or the sentence that says why that cannot be known.
    pub instances: Result<Instances, String>,
    /// Processes that run at one time (for messages).
    pub processes: u32,
    /// Who says so (for messages), as it follows the number.
    pub processes_from: Cow<'static, str>,
    /// What the user should know about the number of processes: that the annotation and the command contradict each
    /// other, or that it is not known.
    pub processes_remark: Option<String>,
    /// Pools of each process: engines as stated, times the pools that the profile makes of one (for messages).
    pub engines: u32,
    /// Pools in one pod, as its connection count uses them, even where the count is refused. None if there can be any
    /// number.
    pub pools: Option<Instances>,
    /// What one pod may hold by its own env, without a grant.
    pub own: Connections,
    /// How its own env configures a pool, with the values that the gate replaced put back: the most of any of its
    /// containers. None if that has no bound or cannot be known.
    pub stated: Option<Split>,
    /// Whether its containers read their sizes from the grant, and no other container may have a pool.
    pub late_bound: bool,
    /// The container that opens connections and does not read its sizes from the grant.
    pub unbound: Option<String>,
    /// Why it cannot be known which containers have a pool.
    pub taken: Option<String>,
    /// What wins over the variables that would bind it, in a sentence.
    pub overruled: Option<String>,
    /// What its containers set for another profile, if it names none, in a sentence.
    pub unread: Option<String>,
    /// Whether its smallest size is larger because an annotation states connections beside its pools.
    pub extra_stated: bool,
    /// Connections of one instance, if no variable sets them; including those beside the pool.
    pub fixed: Option<Connections>,
    /// Connections that an instance opens beside its pool: those of a process, shared among its pools. None if that
    /// cannot be known.
    pub beside: Option<u32>,
}

/// The size that counts for pools whose own default has no bound.
const USUAL_POOL_SIZE: Connections = Connections::new(10);

type Map = Option<BTreeMap<String, String>>;

/// The rules without which the pools of a pod cannot be known.
const COUNTED_BY: [Rule; 8] = [
    Rule::Profile,
    Rule::Bounded,
    Rule::Processes,
    Rule::ProcessesOf,
    Rule::Count(names::ENGINES, names::MAX_PROCESSES),
    Rule::Count(names::EXTRA, names::MAX_PROCESSES),
    Rule::Count(names::CONNECTIONS_PER_PROCESS, names::MAX_PROCESSES),
    Rule::SizeNeeded,
];

impl AppFacts {
    /// Reads labels, annotations, init containers and containers.
    #[must_use]
    pub fn read(labels: &Map, annotations: &Map, init: &[Container], regular: &[Container]) -> Self {
        let empty = BTreeMap::new();
        let (labels, notes) = (labels.as_ref().unwrap_or(&empty), annotations.as_ref().unwrap_or(&empty));
        let stated = Stated {
            budget: labels.get(names::BUDGET).map_or("", String::as_str),
            notes,
            regular: regular.iter().map(|container| container.name.as_str()).collect(),
            init: init.iter().map(|container| container.name.as_str()).collect(),
            node: "",
            unknown: Vec::new(),
            sets: init.iter().chain(regular).flat_map(Container::sets).collect(),
            is_pod: false,
        };
        let mut app = App { labels, stated: &stated, init, regular, counted: &[] };
        let processes = app.count(&app.named());
        app.counted = &processes;
        let fault = COUNTED_BY
            .iter()
            .find_map(|rule| {
                Some(format!("{}; {}", rule.allowed(), shortened(&rule.broken(&stated)?, QUOTED)))
            })
            .or_else(|| processes.iter().find_map(|counted| counted.fault.clone()));
        let (processes_from, processes_remark) = (app.processes_from(), app.processes_remark());
        let pools = app.pools();
        let unknown = || "it has more processes and engines than can be counted".to_owned();
        let (processes, engines) = if fault.is_none() { app.factors() } else { None }.unwrap_or((1, 1));
        Self {
            budget: labels.get(names::BUDGET).cloned(),
            profile: stated.profile(),
            instances: fault.map_or_else(|| pools.ok_or_else(unknown), Err),
            processes,
            processes_from,
            processes_remark,
            engines,
            pools,
            own: app.own().unwrap_or(Connections::MAX),
            stated: app.split(),
            late_bound: app.is_written() && app.unbound().is_none() && app.stated.others().is_empty(),
            unbound: app.unbound().map(|name| shortened(name, QUOTED)),
            taken: Rule::Taken.sentence(&stated).map(|sentence| shortened(&sentence, LONGEST)),
            overruled: app.overruled(),
            unread: app.unread(),
            extra_stated: app.is_extra_stated(),
            fixed: app.fixed(),
            beside: app.beside(),
        }
    }

    /// What can be said about a pod that cannot be read.
    #[must_use]
    pub fn unreadable(budget: &str, why: &str) -> Self {
        Self {
            budget: Some(budget.to_owned()),
            profile: None,
            instances: Err(format!("it cannot be read: {why}")),
            processes: 1,
            processes_from: Cow::Borrowed("unknown"),
            processes_remark: None,
            engines: 1,
            pools: None,
            own: Connections::MAX,
            stated: None,
            late_bound: false,
            unbound: None,
            taken: None,
            overruled: None,
            unread: None,
            extra_stated: false,
            fixed: None,
            beside: None,
        }
    }

    /// Whether it is counted and not governed: no variable could set its size.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.profile.is_some_and(|profile| matches!(profile.sizing, Sizing::Counted { .. }))
    }

    /// Which sizes can be set on its pools.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.profile.map_or(Knobs::BOTH, Profile::knobs).with_beside(self.beside.unwrap_or(0))
    }

    /// The sizes that it takes by default; ten where those have no bound.
    #[must_use]
    pub fn usual(&self) -> Split {
        let pool = self.profile.and_then(Profile::written).and_then(|written| written.pools.first());
        let bounded = |knob: &Knob| match knob.unset {
            Reads::Connections(n) => Some(Connections::new(n.into())),
            Reads::Unlimited | Reads::NotTried | Reads::Fails => None,
        };
        let size = pool.and_then(|pool| bounded(&pool.size)).unwrap_or(USUAL_POOL_SIZE);
        let overflow = pool.and_then(|pool| pool.overflow.as_ref()).and_then(bounded);
        Split { pool_size: size, max_overflow: overflow.unwrap_or_else(|| self.knobs().on_top()) }
    }

    /// The smallest size that an instance of it can be given.
    #[must_use]
    pub fn least(&self) -> Connections {
        let pool = self.profile.map_or(Connections::ONE, Profile::least);
        self.fixed.unwrap_or_else(|| pool.plus(self.knobs().beside()))
    }

    /// What needs more than one connection for an instance: its profile, an annotation.
    #[must_use]
    pub fn needed_by(&self) -> Option<String> {
        let profile = self.profile.filter(|_| self.fixed.is_none() && self.least() > Connections::ONE)?;
        let by_itself = profile.least() > Connections::ONE || profile.extra > 0;
        Some(match (by_itself, self.extra_stated) {
            (true, true) => format!("profile {} with {}", profile.name, names::EXTRA),
            (false, true) => names::EXTRA.to_owned(),
            (_, false) => format!("profile {}", profile.name),
        })
    }
}

/// The number that an annotation means: a refused count still runs in a pod that passed the gate.
pub(super) fn meant(text: &str) -> Option<u32> {
    match number(text) {
        Setting::Number(n) if n >= 1 => u32::try_from(n).ok(),
        _ => None,
    }
}

/// The most characters of a quoted text, and of a sentence that holds one.
const QUOTED: usize = 80;
const LONGEST: usize = 400;

/// A quoted text, cut so that a message stays a sentence.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let beginning: String = text.chars().take(most).map(printable).collect();
    let more = if text.chars().nth(most).is_some() { "…" } else { "" };
    format!("{beginning}{more}")
}
