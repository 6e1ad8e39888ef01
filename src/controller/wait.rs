//! Why a pod waits at its gate: a closed list of reasons with their facts, and one sentence for each.
//!
//! In: a view and a refusal of its decision. Out: a [`Wait`]. Events, conditions and `explain` use the same words.

use std::fmt;

use super::view::View;
use crate::api::conditions::WaitReason;
use crate::api::{BudgetKey, names};
use crate::budget::amount::{Connections, Pods};
use crate::budget::grant::Refusal;
use crate::cluster::gates::OtherGates;
use crate::cluster::guarded::Unreadable;
use crate::cluster::workload::WorkloadKey;

/// What a pod waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its budget gives no sizes, and why.
    NotAccepted {
        /// The budget's name.
        budget: String,
        /// Why.
        why: String,
    },
    /// Its budget does not exist.
    NotFound(BudgetKey),
    /// Its budget cannot be read.
    Unreadable {
        /// The budget's name.
        budget: String,
        /// What is wrong with it.
        why: String,
    },
    /// No size can be given to it, and why.
    NoSize(String),
    /// Other scheduling gates hold it.
    OtherGates(OtherGates),
    /// Its owner is not known yet.
    UnknownOwner(WorkloadKey),
    /// Not even one pod of its workload fits.
    NeverFits {
        /// The budget's name.
        budget: String,
    },
    /// Its workload has all the pods that it has room for.
    NoSlot {
        /// The budget's name.
        budget: String,
        /// How many.
        slots: Pods,
    },
    /// What terminating pods will give back is enough.
    Draining {
        /// Connections that are missing.
        missing: Connections,
        /// What still drains.
        held: StillHeld,
        /// limit − reserved − what escaped.
        usable: Connections,
    },
    /// Connections are missing.
    NoRoom {
        /// How many.
        missing: Connections,
        /// What is committed.
        committed: Connections,
        /// limit − reserved − what escaped.
        usable: Connections,
    },
    /// Other tasks may be coming.
    Burst,
    /// An older pod is served first.
    Behind {
        /// The budget's name.
        budget: String,
    },
}

/// What is given back soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillHeld {
    /// Terminating pods.
    pub pods: Pods,
    /// What they hold.
    pub connections: Connections,
}

impl StillHeld {
    /// What terminating pods of a budget still hold.
    #[must_use]
    pub fn by_pods_of(view: &View) -> Self {
        let ledger = &view.decision.ledger;
        Self { pods: ledger.draining_pods, connections: ledger.draining }
    }
}

impl fmt::Display for StillHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pods.get() {
            1 => write!(f, "1 terminating pod still holds {}", self.connections),
            more => write!(f, "{more} terminating pods still hold {}", self.connections),
        }
    }
}

impl Wait {
    /// What a refused pod of a view waits for.
    #[must_use]
    pub fn of(view: &View, pod: usize, refusal: Refusal) -> Self {
        let budget = || view.key.name.clone();
        if let Some(why) = &view.refusal {
            return Self::NotAccepted { budget: budget(), why: why.clone() };
        }
        let record = view.scene.pods.get(pod);
        if let Some(why) = record.and_then(|record| record.fault()) {
            return Self::NoSize(why);
        }
        if let Some(others) = record.and_then(|record| record.other_gates.clone()) {
            return Self::OtherGates(others);
        }
        let share = view.workload_of(pod).map(|workload| &workload.assessment.share);
        let usable = view.decision.usable;
        match refusal {
            Refusal::NoWorkload => {
                let maker = record.map(|record| record.maker());
                maker.map_or_else(|| Self::Behind { budget: budget() }, Self::UnknownOwner)
            }
            Refusal::NoSlot if share.is_some_and(|share| share.hopeless) => {
                Self::NeverFits { budget: budget() }
            }
            Refusal::NoSlot => {
                Self::NoSlot { budget: budget(), slots: share.map_or(Pods::ZERO, |share| share.slots) }
            }
            Refusal::NoRoom { missing } if view.decision.reclaim.draining => {
                Self::Draining { missing, held: StillHeld::by_pods_of(view), usable }
            }
            Refusal::NoRoom { missing } => {
                Self::NoRoom { missing, committed: view.decision.ledger.committed, usable }
            }
            Refusal::Burst => Self::Burst,
            Refusal::Behind => Self::Behind { budget: budget() },
        }
    }

    /// What a pod waits for if its budget does not exist or cannot be read.
    #[must_use]
    pub fn stranded(key: &BudgetKey, unreadable: Option<&Unreadable>) -> Self {
        match unreadable {
            Some(unreadable) => Self::Unreadable { budget: key.name.clone(), why: unreadable.why.clone() },
            None => Self::NotFound(key.clone()),
        }
    }

    /// The reason, for machines.
    #[must_use]
    pub const fn reason(&self) -> WaitReason {
        match self {
            Self::NotAccepted { .. } => WaitReason::BudgetNotAccepted,
            Self::NotFound(_) => WaitReason::BudgetNotFound,
            Self::Unreadable { .. } => WaitReason::BudgetUnreadable,
            Self::NoSize(_) => WaitReason::NoSizeCanBeGiven,
            Self::OtherGates(_) => WaitReason::OtherGate,
            Self::UnknownOwner(_) => WaitReason::OwnerNotKnown,
            Self::NeverFits { .. } => WaitReason::NeverFits,
            Self::NoSlot { .. } => WaitReason::NoSlot,
            Self::Draining { .. } => WaitReason::Draining,
            Self::NoRoom { .. } => WaitReason::NoRoom,
            Self::Burst => WaitReason::Burst,
            Self::Behind { .. } => WaitReason::Behind,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepted { budget, why } => {
                write!(f, "budget {budget} is not accepted and grants nothing: {why}")
            }
            Self::NotFound(BudgetKey { namespace, name }) => write!(
                f,
                "its label {} names the DbConnectionBudget {name}, which does not exist in namespace {namespace}; waiting for it to be created",
                names::BUDGET
            ),
            Self::Unreadable { budget, why } => write!(
                f,
                "poolbudget cannot read the DbConnectionBudget {budget}; waiting for it to be fixed: {why}"
            ),
            Self::NoSize(why) => write!(f, "poolbudget cannot give it a size: {why}"),
            Self::OtherGates(others) => {
                let gone = if others.more == 0 { "that gate is gone" } else { "those gates are gone" };
                write!(f, "{others}; poolbudget grants it when {gone} and its connections fit")
            }
            Self::UnknownOwner(maker) => {
                write!(f, "the operator has not seen its {maker}, or the workload that owns it, yet")
            }
            Self::NeverFits { budget } => write!(
                f,
                "a single pod of its workload needs more than budget {budget} has; see the condition Feasible of that budget"
            ),
            Self::NoSlot { budget, slots } => match slots.get() {
                0 => write!(f, "budget {budget} has no room for a pod of this workload now"),
                1 => write!(
                    f,
                    "budget {budget} has room for 1 pod of this workload, and that slot is taken; waiting for that pod to terminate"
                ),
                more => write!(
                    f,
                    "budget {budget} has room for {more} pods of this workload, and all slots are taken; waiting for one to terminate"
                ),
            },
            Self::Draining { missing, held, usable } => {
                write!(f, "{}; {held} of {usable}", lacking(*missing))
            }
            Self::NoRoom { missing, committed, usable } => {
                write!(f, "{}: {committed} of {usable} are committed", lacking(*missing))
            }
            Self::Burst => {
                f.write_str("more pods of Jobs may arrive; poolbudget sizes them together in a few seconds")
            }
            Self::Behind { budget } => write!(f, "an older pod of budget {budget} is served first"),
        }
    }
}

fn lacking(missing: Connections) -> String {
    match missing.get() {
        1 => "1 connection is missing".to_owned(),
        _ => format!("{missing} connections are missing"),
    }
}

/// The most faults that a message lists; there may be as many as there are workloads.
pub const NAMED: usize = 10;

/// The first parts, and how many more there are.
#[must_use]
pub fn listed(mut parts: Vec<String>) -> String {
    let others = parts.len().saturating_sub(NAMED);
    parts.truncate(NAMED);
    if others > 0 {
        parts.push(format!("and {others} more"));
    }
    parts.join("; ")
}

/// A number of pods, with its noun.
#[must_use]
pub fn pods(number: Pods) -> String {
    if number == Pods::new(1) { "1 pod".to_owned() } else { format!("{number} pods") }
}

/// A number of connections, with its noun.
#[must_use]
pub fn connections(number: Connections) -> String {
    if number == Connections::ONE {
        "1 connection".to_owned()
    } else {
        format!("{} connections", number.in_words())
    }
}
