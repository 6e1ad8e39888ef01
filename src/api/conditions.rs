//! The conditions of a budget: their types, the reasons that each may have, and the rule by which a condition replaces an
//! older one; and the reasons for which pods wait.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// An enum whose variants are called in Kubernetes as they are here.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the API.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// The one of this name.
            #[must_use]
            pub fn of(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// The types of conditions.
    ConditionType {
        /// Whether the budget is in force and everything fits: the summary of the others.
        Ready,
        /// Whether pods are brought to a spec that was changed; only while that is so.
        Reconciling,
        /// Whether something is the matter that only a human ends; only while that is so.
        Stalled,
        /// Whether the spec and the workloads can be served by this version.
        Accepted,
        /// Whether all that is wanted fits at the smallest sizes.
        Feasible,
        /// Whether every workload has what it wants, and nothing waits.
        Settled,
        /// Whether something outside of the budget keeps pods waiting.
        Blocked,
        /// Whether pods run that hold connections without a grant.
        ForeignPods,
        /// Whether what the pods may hold fits; only in mode Observe.
        WithinLimit,
        /// Whether the limit was confirmed by the database or its vendor rather than stated.
        LimitConfirmed,
    }
}

named! {
    /// The reasons of conditions.
    ConditionReason {
        /// Ready.
        Ready,
        /// Not known whether it is ready: no controller has seen the budget yet.
        Pending,
        /// Reconciling: pods hold more than the changed spec allows.
        ComingDown,
        /// Accepted: spec and workloads.
        Accepted,
        /// Not accepted: the spec gives no limit.
        InvalidLimit,
        /// Not accepted: workloads or pods that cannot be served.
        Unsupported,
        /// Feasible.
        Fits,
        /// Not feasible: a workload of which not one pod fits.
        NeverFits,
        /// Not feasible: all that is wanted now fits, and not all up to the ceilings.
        CeilingDoesNotFit,
        /// Not feasible now.
        DoesNotFit,
        /// Not known, because the spec is not accepted.
        NotAccepted,
        /// Settled.
        Settled,
        /// Not settled: pods wait because not all of them fit.
        Infeasible,
        /// Not settled: pods wait until others were ended for them.
        Reclaiming,
        /// Not settled: pods wait for others of their workload to go.
        NoSlot,
        /// Not settled: another scheduling gate holds the pods.
        OtherGate,
        /// Not settled: pods wait for what their events say.
        Waiting,
        /// Not settled: pods are on their way.
        Progressing,
        /// Not settled: terminating pods still hold connections.
        Draining,
        /// Not settled, or blocked: pods run without a grant.
        ForeignPods,
        /// Blocked: a PodDisruptionBudget refuses an eviction.
        PodDisruptionBudget,
        /// Blocked: what is gone and may still be open.
        Quarantine,
        /// Blocked: the spec forbids the eviction of what is too large.
        EvictionForbidden,
        /// Blocked: pods that passed the gate hold what others wait for.
        Escaped,
        /// Blocked: what is too large would not be made anew.
        NotReplaced,
        /// Blocked: new pods do not become Ready, and more is held than the limit allows.
        AboveLimit,
        /// Blocked: the newest pods do not become Ready.
        BadRevision,
        /// Blocked: the API server refuses the status.
        StatusRefused,
        /// Not blocked.
        NotBlocked,
        /// No foreign pods.
        NoForeignPods,
        /// Foreign pods.
        RunWithoutGrant,
        /// Within the limit.
        WithinLimit,
        /// Over the limit.
        OverLimit,
        /// The limit was not confirmed: nobody asked.
        NotChecked,
    }
}

named! {
    /// Why a pod waits at its gate, as the reasons of events.
    WaitReason {
        /// The spec of the budget gives no limit.
        BudgetNotAccepted,
        /// There is no budget of that name.
        BudgetNotFound,
        /// The budget cannot be read.
        BudgetUnreadable,
        /// Nothing could tell the pod a size.
        NoSizeCanBeGiven,
        /// Another scheduling gate holds it.
        OtherGate,
        /// What made it is not known yet.
        OwnerNotKnown,
        /// Not even one pod of its workload fits.
        NeverFits,
        /// Its workload has all the pods that it has room for.
        NoSlot,
        /// Connections are missing that terminating pods still hold.
        Draining,
        /// Connections are missing.
        NoRoom,
        /// Other tasks may be coming, with which it is sized.
        Burst,
        /// An older pod is served first.
        Behind,
    }
}

/// What the status of a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// As it should not be.
    Bad,
    /// Neither: it comes and goes, or nobody can do anything about it.
    Neutral,
}

impl ConditionType {
    /// What a status of this type says: the one place that knows which is the good one.
    #[must_use]
    pub fn verdict(self, status: &str) -> Verdict {
        let good = match self {
            Self::Accepted | Self::Feasible | Self::WithinLimit => "True",
            Self::Blocked | Self::ForeignPods => "False",
            // It comes and goes with every scale event, and is nobody's fault; nobody is asked to confirm a limit.
            Self::Settled | Self::LimitConfirmed => return Verdict::Neutral,
            // They say again what others say.
            Self::Ready | Self::Reconciling | Self::Stalled => return Verdict::Neutral,
        };
        match status {
            "Unknown" => Verdict::Neutral,
            status if status == good => Verdict::Good,
            _ => Verdict::Bad,
        }
    }

    /// Whether it only says again what other conditions say.
    #[must_use]
    pub const fn is_summary(self) -> bool {
        matches!(self, Self::Ready | Self::Reconciling | Self::Stalled)
    }

    /// The same of a condition; one of a type that is not known says nothing.
    #[must_use]
    pub fn verdict_of(condition: &Condition) -> Verdict {
        Self::of(&condition.type_).map_or(Verdict::Neutral, |kind| kind.verdict(&condition.status))
    }
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows.
    Unknown,
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Status {
    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition before it has a transition time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its type.
    pub kind: ConditionType,
    /// Whether it is so.
    pub status: Status,
    /// Why, for machines.
    pub reason: ConditionReason,
    /// Why, for people.
    pub message: String,
}

impl Finding {
    /// The condition: the transition time of `old` is kept when the answer is the same.
    #[must_use]
    pub fn into_condition(self, old: &[Condition], generation: Option<i64>, now: &Time) -> Condition {
        let status = self.status.name();
        let since = old
            .iter()
            .find(|condition| condition.type_ == self.kind.name() && condition.status == status)
            .map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
        Condition {
            type_: self.kind.name().into(),
            status: status.into(),
            reason: self.reason.name().into(),
            message: self.message,
            observed_generation: generation,
            last_transition_time: since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_api_and_read_back() {
        for kind in ConditionType::ALL {
            assert_eq!(ConditionType::of(kind.name()), Some(*kind));
        }
        for reason in ConditionReason::ALL {
            assert_eq!(ConditionReason::of(reason.name()), Some(*reason));
        }
        assert_eq!(ConditionReason::of("PodDisruptionBudget"), Some(ConditionReason::PodDisruptionBudget));
        assert_eq!(ConditionType::of("Unheard"), None);
    }
}
