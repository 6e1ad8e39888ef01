//! Evictions that were refused, and the pause after each.
//!
//! In: what refused an eviction, for which purpose, and when. Out: whether asking again is of any use yet. A change of
//! a PodDisruptionBudget ends the pause. Purposes do not wait for each other: a PodDisruptionBudget that refuses the
//! pods of one workload may allow those of another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::BudgetKey;

/// No eviction is tried for this long after a refusal, unless a PodDisruptionBudget changes.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// Why a pod was to be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Connections for a pod that waits.
    Reclaim,
    /// Connections that pods from before the label hold and a new pod needs.
    Adoption,
}

/// An eviction that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What refused it.
    pub by: String,
    /// Why the pod was to be evicted.
    pub purpose: Purpose,
    /// No eviction for that purpose is tried before this.
    until: Timestamp,
    /// Whether `until` applies: not after a PodDisruptionBudget has changed.
    pauses: bool,
}

impl Refused {
    /// Refused now.
    #[must_use]
    pub fn at(by: String, purpose: Purpose, now: Timestamp) -> Self {
        Self { by, purpose, until: now.saturating_add(PAUSE).unwrap_or(now), pauses: true }
    }

    /// The refusal as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let whose = match self.purpose {
            Purpose::Reclaim => "that holds more than its share",
            Purpose::Adoption => {
                "created before its workload was labelled, and a new pod cannot connect until one of those is gone"
            }
        };
        format!("{} refuses the eviction of a pod {whose}", self.by)
    }
}

/// The last refused evictions of all budgets, shared by all stages and the watch of PodDisruptionBudgets.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<HashMap<BudgetKey, BTreeMap<Purpose, Refused>>>>);

impl Refusals {
    /// Whether a refusal is so recent that asking again is no use.
    #[must_use]
    pub fn is_paused(&self, key: &BudgetKey, purpose: Purpose, now: Timestamp) -> bool {
        let all = self.all();
        let refused = all.get(key).and_then(|of| of.get(&purpose));
        refused.is_some_and(|refused| refused.pauses && now < refused.until)
    }

    /// Remembers a refusal. True when it is news.
    pub fn note(&self, key: &BudgetKey, purpose: Purpose, by: String, now: Timestamp) -> bool {
        self.all().entry(key.clone()).or_default().insert(purpose, Refused::at(by, purpose, now)).is_none()
    }

    /// Forgets the refusal for that purpose: an eviction passed, or none is needed.
    pub fn forget(&self, key: &BudgetKey, purpose: Purpose) {
        let mut all = self.all();
        let Some(of) = all.get_mut(key) else { return };
        of.remove(&purpose);
        if of.is_empty() {
            all.remove(key);
        }
    }

    /// Forgets all refusals of a budget.
    pub fn forget_all(&self, key: &BudgetKey) {
        self.all().remove(key);
    }

    /// A PodDisruptionBudget of the namespace changed and may now allow an eviction that it refused. Returns the
    /// budgets that waited for that.
    pub fn disruption_changed(&self, namespace: &str) -> BTreeSet<BudgetKey> {
        let mut waited = BTreeSet::new();
        for (key, of) in self.all().iter_mut().filter(|(key, _)| key.namespace == namespace) {
            for refused in of.values_mut().filter(|refused| refused.pauses) {
                refused.pauses = false;
                waited.insert(key.clone());
            }
        }
        waited
    }

    /// One refusal of a budget.
    #[must_use]
    pub fn first(&self, key: &BudgetKey) -> Option<Refused> {
        self.all().get(key)?.values().next().cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<BudgetKey, BTreeMap<Purpose, Refused>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_with_a_disruption_budget_of_its_namespace_or_with_the_need() {
        let (refusals, key) = (Refusals::default(), BudgetKey::new("shop", "main"));
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let paused = |seconds| refusals.is_paused(&key, Purpose::Reclaim, at(seconds));
        assert!(!paused(0));
        assert!(refusals.note(&key, Purpose::Reclaim, "PodDisruptionBudget calm".into(), at(0)), "news");
        assert!(!refusals.note(&key, Purpose::Reclaim, "PodDisruptionBudget calm".into(), at(0)), "no news");
        assert_eq!([paused(4), paused(5)], [true, false]);
        assert!(!refusals.is_paused(&key, Purpose::Adoption, at(1)), "purposes do not wait for each other");
        assert!(refusals.disruption_changed("other").is_empty());
        assert_eq!(refusals.disruption_changed("shop"), BTreeSet::from([key.clone()]));
        assert!(!paused(1) && refusals.first(&key).is_some(), "asked again at once, and told until then");
        assert!(refusals.disruption_changed("shop").is_empty(), "once");
        refusals.forget(&key, Purpose::Reclaim);
        assert_eq!(refusals.first(&key), None);
    }
}
