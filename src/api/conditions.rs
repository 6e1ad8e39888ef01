//! The conditions of a budget: their types, the reasons that each may have, and the rule by which a condition replaces
//! an older one; also the reasons why pods wait.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// An enum whose variants have the same names in Kubernetes as here.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            /// All variants.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the API.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// The variant with this name.
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
        /// Whether pods are being brought to a changed spec; present only while that is so.
        Reconciling,
        /// Whether there is a problem that only a human can end; present only while that is so.
        Stalled,
        /// Whether the spec and the workloads can be served by this version.
        Accepted,
        /// Whether everything that is wanted fits at the smallest sizes.
        Feasible,
        /// Whether every workload has what it wants, and nothing waits.
        Settled,
        /// Whether something outside the budget keeps pods waiting.
        Blocked,
        /// Whether pods run without a grant and hold connections.
        ForeignPods,
        /// Whether pods hold more connections than they were granted, by their own answers.
        EnvIgnored,
        /// Whether what the pods may hold fits; only in mode Observe.
        WithinLimit,
        /// Whether more connections are open outside of the budget than it reserves; present only if the server says what is
        /// open.
        OutsideClients,
        /// Whether the limit was confirmed by the database or its vendor rather than stated.
        LimitConfirmed,
    }
}

named! {
    /// The reasons of conditions.
    ConditionReason {
        /// Ready.
        Ready,
        /// Not known whether it is ready: no controller has processed the budget yet.
        Pending,
        /// Reconciling: pods hold more than the changed spec allows.
        ComingDown,
        /// Accepted: spec and workloads.
        Accepted,
        /// Not accepted: the spec gives no limit.
        InvalidLimit,
        /// Not accepted: there are workloads or pods that cannot be served.
        Unsupported,
        /// Feasible.
        Fits,
        /// Not feasible: not even one pod of some workload fits.
        NeverFits,
        /// Not feasible: what is wanted now fits, but not everything up to the ceilings.
        CeilingDoesNotFit,
        /// Not feasible now.
        DoesNotFit,
        /// Not known, because the spec is not accepted.
        NotAccepted,
        /// Settled.
        Settled,
        /// Not settled: pods wait because not all of them fit.
        Infeasible,
        /// Not settled: pods wait until others have been ended for them.
        Reclaiming,
        /// Not settled: pods wait for others of their workload to go.
        NoSlot,
        /// Not settled: another scheduling gate holds the pods.
        OtherGate,
        /// Not settled: pods wait for the reason in their events.
        Waiting,
        /// Not settled: pods of a workload are not ready yet.
        Progressing,
        /// Not settled: terminating pods still hold connections.
        Draining,
        /// Not settled, or blocked: pods run without a grant.
        ForeignPods,
        /// Blocked: a PodDisruptionBudget refuses an eviction.
        PodDisruptionBudget,
        /// Blocked: gone pods may still have open connections.
        Quarantine,
        /// Blocked: the spec forbids evicting pods that are too large.
        EvictionForbidden,
        /// Blocked: pods that passed the gate hold what others wait for.
        Escaped,
        /// Blocked: pods that are too large would not be replaced.
        NotReplaced,
        /// Blocked: new pods do not become Ready, and more is held than the limit allows.
        AboveLimit,
        /// Blocked: the newest pods do not become Ready.
        BadRevision,
        /// Blocked: the API server rejects the status.
        StatusRefused,
        /// Not blocked.
        NotBlocked,
        /// No foreign pods.
        NoForeignPods,
        /// Foreign pods.
        RunWithoutGrant,
        /// Pods hold more than they were granted; blocked: others wait because of that.
        MoreThanGranted,
        /// All pods that answer keep to their grants.
        WithinGrants,
        /// Not known whether pods keep to their grants: nothing says where they answer.
        NotObserved,
        /// Not known whether pods keep to their grants: none of them has given an answer that is understood.
        NoAnswer,
        /// Within the limit.
        WithinLimit,
        /// Over the limit.
        OverLimit,
        /// The limit was not confirmed: no one asked the database or its vendor.
        NotChecked,
        /// Not accepted, or not known whether it is: the limit was not read yet.
        LimitNotRead,
        /// The limit was read, and is in force.
        Read,
        /// The database allows what the spec states.
        Confirmed,
        /// The spec states more than the database allows.
        StatedTooHigh,
        /// The spec states less than the database allows.
        StatedTooLow,
        /// The limit cannot be read: the Secret may not be read.
        Forbidden,
        /// The limit cannot be read: the Secret or what is in it cannot be used.
        SecretInvalid,
        /// The limit cannot be read: no server was reached.
        Unreachable,
        /// The limit cannot be read: the server refuses.
        Refused,
        /// The limit cannot be read: the answer is not understood.
        NotUnderstood,
        /// More connections are open outside of the budget than are reserved for that.
        MoreThanReserved,
        /// What is open outside of the budget fits into what is reserved.
        WithinReserved,
    }
}

named! {
    /// Why a pod waits at its gate; these are the reasons of events.
    WaitReason {
        /// The spec of the budget gives no limit.
        BudgetNotAccepted,
        /// There is no budget of that name.
        BudgetNotFound,
        /// The budget cannot be read.
        BudgetUnreadable,
        /// The pod cannot be told a size by any variable.
        NoSizeCanBeGiven,
        /// Another scheduling gate holds the pod.
        OtherGate,
        /// The pod's owner is not known yet.
        OwnerNotKnown,
        /// Not even one pod of its workload fits.
        NeverFits,
        /// Its workload already has all the pods that it has slots for.
        NoSlot,
        /// Terminating pods still hold connections that it needs.
        Draining,
        /// Connections are missing.
        NoRoom,
        /// More tasks may be coming, and it is sized together with them.
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
    /// Neither: it comes and goes, or there is nothing to do about it.
    Neutral,
}

impl ConditionType {
    /// What a status of this type means: the only place that knows which status is the good one.
    #[must_use]
    pub fn verdict(self, status: &str) -> Verdict {
        let good = match self {
            Self::Accepted | Self::Feasible | Self::WithinLimit | Self::LimitConfirmed => "True",
            Self::Blocked | Self::ForeignPods | Self::EnvIgnored | Self::OutsideClients => "False",
            // It comes and goes with each scale event and is nobody's fault.
            Self::Settled => return Verdict::Neutral,
            // These repeat what other conditions say.
            Self::Ready | Self::Reconciling | Self::Stalled => return Verdict::Neutral,
        };
        match status {
            "Unknown" => Verdict::Neutral,
            status if status == good => Verdict::Good,
            _ => Verdict::Bad,
        }
    }

    /// Whether it only repeats what other conditions say.
    #[must_use]
    pub const fn is_summary(self) -> bool {
        matches!(self, Self::Ready | Self::Reconciling | Self::Stalled)
    }

    /// What the status of a condition means; a condition of an unknown type is neutral.
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
    /// It is not known.
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
    /// What is found of one condition.
    #[must_use]
    pub fn new(
        kind: ConditionType,
        status: impl Into<Status>,
        reason: ConditionReason,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, status: status.into(), reason, message: message.into() }
    }

    /// The condition: it keeps the transition time of `old` if the status is the same.
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
