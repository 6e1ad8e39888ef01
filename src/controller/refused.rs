//! Evictions that were refused, and the pause after each.
//!
//! In: who refused what for which purpose, and when. Out: whether asking again is of any use yet. A PodDisruptionBudget
//! that changes ends the pause. Purposes do not wait for each other: what refuses the pods of one workload may let those of
//! another one go.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::observe::Observed;
use crate::api::BudgetKey;

/// After a refusal no eviction is tried for so long, unless a PodDisruptionBudget changes.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// What a pod was to go for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Room for a pod that waits.
    Room,
    /// Connections for a new pod, which pods from before the label hold.
    Adoption,
}

/// An eviction that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What refused it.
    pub by: String,
    /// What for the pod was to go.
    pub purpose: Purpose,
    /// No eviction for that purpose is tried before.
    until: Timestamp,
}

impl Refused {
    /// Refused now.
    #[must_use]
    pub fn at(by: String, purpose: Purpose, now: Timestamp) -> Self {
        Self { by, purpose, until: now.saturating_add(PAUSE).unwrap_or(now) }
    }

    /// What is the matter, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let whose = match self.purpose {
            Purpose::Room => "that holds more than its share",
            Purpose::Adoption => "from before its workload was labelled, for which a new one cannot connect",
        };
        format!("{} refuses the eviction of a pod {whose}", self.by)
    }
}

/// The evictions of one budget that were refused last.
#[derive(Debug, Default)]
pub struct Refusals(BTreeMap<Purpose, Refused>);

impl Refusals {
    /// Whether a refusal is so fresh that asking again is no use.
    #[must_use]
    pub fn is_paused(&self, observed: &Observed, key: &BudgetKey, purpose: Purpose, now: Timestamp) -> bool {
        let fresh = self.0.get(&purpose).is_some_and(|refused| now < refused.until);
        fresh && observed.world().blocked.contains(key)
    }

    /// Remembers a refusal. True when it is news.
    pub fn note(
        &mut self,
        observed: &Observed,
        key: &BudgetKey,
        purpose: Purpose,
        by: String,
        now: Timestamp,
    ) -> bool {
        observed.world().blocked.insert(key.clone());
        self.0.insert(purpose, Refused::at(by, purpose, now)).is_none()
    }

    /// An eviction for that purpose was not refused.
    pub fn forget(&mut self, purpose: Purpose) {
        self.0.remove(&purpose);
    }

    /// Nothing is to be evicted for that purpose any more.
    pub fn lift(&mut self, observed: &Observed, key: &BudgetKey, purpose: Purpose) {
        self.forget(purpose);
        if self.0.is_empty() {
            observed.world().blocked.remove(key);
        }
    }

    /// One of them.
    #[must_use]
    pub fn first(&self) -> Option<&Refused> {
        self.0.values().next()
    }
}
