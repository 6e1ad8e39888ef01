//! Condition types and reasons of a budget, and the rule by which a condition replaces an older one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Whether the spec and the workloads can be served by this version.
pub const ACCEPTED: &str = "Accepted";
/// Whether all that is wanted fits at the smallest sizes.
pub const FEASIBLE: &str = "Feasible";
/// Whether every workload has what it wants, and nothing waits.
pub const SETTLED: &str = "Settled";
/// Whether something outside of the budget keeps pods waiting.
pub const BLOCKED: &str = "Blocked";
/// Whether pods run that hold connections without a grant.
pub const FOREIGN_PODS: &str = "ForeignPods";
/// Whether what the pods may hold fits; only where the mode does not see to it.
pub const WITHIN_LIMIT: &str = "WithinLimit";
/// Whether the limit was confirmed by the database or its vendor rather than stated.
pub const LIMIT_CONFIRMED: &str = "LimitConfirmed";

/// A condition before it has a transition time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One of the types above.
    pub kind: &'static str,
    /// True or False.
    pub holds: bool,
    /// CamelCase, for machines.
    pub reason: &'static str,
    /// A sentence, for people.
    pub message: String,
}

impl Finding {
    /// The condition: the transition time of `old` is kept when the answer is the same.
    #[must_use]
    pub fn into_condition(self, old: &[Condition], generation: Option<i64>, now: &Time) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let since = old
            .iter()
            .find(|condition| condition.type_ == self.kind && condition.status == status)
            .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
        Condition {
            type_: self.kind.into(),
            status: status.into(),
            reason: self.reason.into(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: since,
        }
    }
}
