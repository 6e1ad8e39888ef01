//! How many pods a rollout may add and take away, rounded as the controller of each kind rounds.
//!
//! In: a workload's strategy and a replica count. Out: surge, unavailable, and the slots that a rollout needs. Any
//! other rounding would be off by one pod. The sources, in Kubernetes' `pkg/controller`: `ResolveFenceposts`,
//! `MaxSurge` and `MaxUnavailable` of `deployment/util/deployment_util.go`; `getStatefulSetMaxUnavailable` of
//! `statefulset/stateful_set_utils.go`; `updatedDesiredNodeCounts` of `daemon/update.go`.

use std::str::FromStr;

use thiserror::Error;

use super::amount::Pods;

/// A number of pods, absolute or in proportion to the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    /// This many pods.
    Int(u32),
    /// This percentage of the replicas; a surge may be more than 100.
    Percent(u32),
}

/// A text that is neither a number nor a percentage.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is neither a number of pods nor a percentage such as 25%")]
pub struct NotIntOrPercent(String);

/// How a workload replaces its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A few pods at a time.
    RollingUpdate {
        /// Pods that may exist on top of the replicas, rounded up.
        max_surge: IntOrPercent,
        /// Pods that may be missing from the replicas, rounded down.
        max_unavailable: IntOrPercent,
    },
    /// All old pods end first, then the new ones start.
    Recreate,
    /// A StatefulSet: a new pod has the name of the old one and so can exist only after it.
    StatefulSet {
        /// Pods that may be missing at a time, rounded down, at least one; none when the user replaces pods by hand.
        max_unavailable: Option<IntOrPercent>,
        /// Whether a pod is created or removed only while all pods before it are ready.
        ordered: bool,
    },
    /// A DaemonSet, whose replicas are the nodes that it runs on. Both numbers are rounded up.
    DaemonSet {
        /// Nodes on which a new pod may run beside the old one.
        max_surge: IntOrPercent,
        /// Nodes that may be without a ready pod.
        max_unavailable: IntOrPercent,
    },
    /// A second set of pods as large as the first is created, and the first goes when the whole second set is ready: an
    /// Argo Rollout that is blueGreen, or a canary with a traffic router.
    Twice,
    /// Pods are replaced by whoever deletes them: a ReplicaSet, a DaemonSet with updateStrategy OnDelete.
    OnDelete,
    /// Pods end by themselves, when their work is done: a Job.
    Task,
    /// Pods that are not replaced.
    Loose,
}

/// What the end of a pod means to its workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nature {
    /// Another pod takes its place.
    #[default]
    Service,
    /// Work is lost and starts over.
    Task,
    /// No pod takes its place.
    Loose,
}

/// For which surge pods the plan keeps slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surge {
    /// One slot, only where a rollout cannot move without it.
    #[default]
    Minimal,
    /// A slot for every surge pod that the strategy allows: faster rollouts, smaller sizes.
    Full,
}

impl IntOrPercent {
    fn of(self, replicas: Pods, percent: impl Fn(u64) -> u64) -> Pods {
        match self {
            Self::Int(pods) => Pods::new(pods),
            Self::Percent(share) => {
                let pods = percent(u64::from(share) * u64::from(replicas.get()));
                Pods::new(u32::try_from(pods).unwrap_or(u32::MAX))
            }
        }
    }

    fn rounded_up(self, replicas: Pods) -> Pods {
        self.of(replicas, |hundredths| hundredths.div_ceil(100))
    }

    fn rounded_down(self, replicas: Pods) -> Pods {
        self.of(replicas, |hundredths| hundredths / 100)
    }
}

impl FromStr for IntOrPercent {
    type Err = NotIntOrPercent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, form): (_, fn(u32) -> Self) = match text.strip_suffix('%') {
            Some(digits) => (digits, Self::Percent),
            None => (text, Self::Int),
        };
        // A sign would parse, but the API server does not allow one here.
        let number = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
        number.map(form).ok_or_else(|| NotIntOrPercent(text.to_owned()))
    }
}

impl Default for Strategy {
    /// What a Deployment without a stated strategy gets: 25 % and 25 %.
    fn default() -> Self {
        let quarter = IntOrPercent::Percent(25);
        Self::RollingUpdate { max_surge: quarter, max_unavailable: quarter }
    }
}

impl Strategy {
    /// S(n): pods that a rollout may add on top of `replicas`.
    #[must_use]
    pub fn surge(self, replicas: Pods) -> Pods {
        match self {
            _ if replicas == Pods::ZERO => Pods::ZERO,
            Self::RollingUpdate { max_surge, .. } | Self::DaemonSet { max_surge, .. } => {
                max_surge.rounded_up(replicas)
            }
            Self::Twice => replicas,
            Self::Recreate | Self::StatefulSet { .. } | Self::OnDelete | Self::Task | Self::Loose => {
                Pods::ZERO
            }
        }
    }

    /// V(n): pods of `replicas` that may be missing during a rollout. 0 for `Recreate`, as in the controller: its
    /// downtime is part of the rollout and does not allow taking pods away at other times.
    #[must_use]
    pub fn unavailable(self, replicas: Pods) -> Pods {
        let missing = match self {
            Self::RollingUpdate { max_unavailable, .. } => max_unavailable.rounded_down(replicas),
            Self::DaemonSet { max_unavailable, .. } => max_unavailable.rounded_up(replicas),
            Self::StatefulSet { max_unavailable: Some(most), .. } => {
                most.rounded_down(replicas).max(Pods::ONE)
            }
            Self::StatefulSet { max_unavailable: None, .. }
            | Self::Recreate
            | Self::Twice
            | Self::OnDelete
            | Self::Task
            | Self::Loose => return Pods::ZERO,
        };
        // A rollout that may add no pod and remove no pod could not move: the controllers then remove one.
        let stuck = missing == Pods::ZERO && self.surge(replicas) == Pods::ZERO;
        if stuck { Pods::ONE } else { missing }.min(replicas)
    }

    /// ρ(n): the surge pods without which a rollout of `replicas` pods cannot move: one where no pod may be missing,
    /// all of them where the second set has to be complete.
    #[must_use]
    pub fn rho(self, replicas: Pods) -> Pods {
        match self {
            Self::Twice => replicas,
            Self::RollingUpdate { .. } | Self::DaemonSet { .. }
                if replicas > Pods::ZERO && self.unavailable(replicas) == Pods::ZERO =>
            {
                Pods::ONE
            }
            _ => Pods::ZERO,
        }
    }

    /// What the end of one of its pods means.
    #[must_use]
    pub const fn nature(self) -> Nature {
        match self {
            Self::Task => Nature::Task,
            Self::Loose => Nature::Loose,
            _ => Nature::Service,
        }
    }

    /// Whether its controller makes one pod at a time, and only while all pods before it are ready.
    #[must_use]
    pub const fn one_by_one(self) -> bool {
        matches!(self, Self::StatefulSet { ordered: true, .. })
    }

    /// r(n): the surge pods that slots are kept for.
    #[must_use]
    pub fn surge_reserve(self, replicas: Pods, surge: Surge) -> Pods {
        match surge {
            Surge::Minimal => self.rho(replicas),
            Surge::Full => self.surge(replicas),
        }
    }

    /// n + r(n): the slots that `replicas` pods and their rollout need. It never falls as the replicas rise, although r
    /// does: where ρ drops to 0, the replica that caused the drop takes the slot.
    #[must_use]
    pub fn slots(self, replicas: Pods, surge: Surge) -> Pods {
        replicas.plus(self.surge_reserve(replicas, surge))
    }

    /// The most replicas whose slots are at most `slots`.
    #[must_use]
    pub fn most_replicas_within(self, slots: Pods, surge: Surge) -> Pods {
        let (mut fits, mut beyond) = (0, u64::from(slots.get()) + 1);
        while beyond - fits > 1 {
            let middle = fits.midpoint(beyond);
            // Below `beyond` ≤ 2³², so the number is a pod count.
            let replicas = Pods::new(u32::try_from(middle).unwrap_or(u32::MAX));
            if self.slots(replicas, surge) <= slots {
                fits = middle;
            } else {
                beyond = middle;
            }
        }
        Pods::new(u32::try_from(fits).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IntOrPercent::{Int, Percent};

    fn rolling(max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Strategy {
        Strategy::RollingUpdate { max_surge, max_unavailable }
    }

    /// (S, V, ρ) at `n` replicas.
    fn at(strategy: Strategy, n: u32) -> (u32, u32, u32) {
        let n = Pods::new(n);
        (strategy.surge(n).get(), strategy.unavailable(n).get(), strategy.rho(n).get())
    }

    #[test]
    fn the_default_strategy_rounds_as_the_controller_does() {
        let replicas = [0, 1, 2, 3, 4, 5, 8, 10, 20];
        let expected = [
            (0, 0, 0),
            (1, 0, 1),
            (1, 0, 1),
            (1, 0, 1),
            (1, 1, 0),
            (2, 1, 0),
            (2, 2, 0),
            (3, 2, 0),
            (5, 5, 0),
        ];
        assert_eq!(replicas.map(|n| at(Strategy::default(), n)), expected);
    }

    #[test]
    fn when_both_resolve_to_nothing_one_pod_may_be_missing() {
        assert_eq!(at(rolling(Int(0), Int(0)), 3), (0, 1, 0));
        assert_eq!(at(rolling(Percent(0), Percent(25)), 3), (0, 1, 0));
        assert_eq!(at(rolling(Percent(0), Percent(25)), 4), (0, 1, 0));
    }

    #[test]
    fn never_more_pods_are_missing_than_there_are() {
        assert_eq!(at(rolling(Int(0), Int(5)), 2), (0, 2, 0));
        assert_eq!(at(rolling(Int(0), Int(1)), 0), (0, 0, 0));
        assert_eq!(at(rolling(Percent(100), Percent(100)), 3), (3, 3, 0));
    }

    #[test]
    fn a_strategy_that_only_adds_needs_its_surge_pod_at_every_size() {
        assert_eq!([1, 7, 1000].map(|n| at(rolling(Int(1), Int(0)), n)), [(1, 0, 1); 3]);
    }

    #[test]
    fn nothing_surges_at_zero_replicas_or_when_recreated() {
        assert_eq!(at(rolling(Int(3), Int(0)), 0), (0, 0, 0));
        assert_eq!(at(Strategy::Recreate, 4), (0, 0, 0));
        assert_eq!(at(Strategy::Recreate, 0), (0, 0, 0));
    }

    #[test]
    fn a_stateful_set_never_surges_and_rounds_down_to_one_at_least() {
        let set = |max_unavailable| Strategy::StatefulSet { max_unavailable, ordered: true };
        assert_eq!(
            [0, 1, 3, 10].map(|n| at(set(Some(Int(1))), n)),
            [(0, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0)]
        );
        assert_eq!([3, 4, 10].map(|n| at(set(Some(Percent(25))), n)), [(0, 1, 0), (0, 1, 0), (0, 2, 0)]);
        assert_eq!(at(set(Some(Int(5))), 2), (0, 2, 0));
        assert_eq!(at(set(None), 3), (0, 0, 0));
    }

    #[test]
    fn a_daemon_set_rounds_both_numbers_up() {
        let set = |max_surge, max_unavailable| Strategy::DaemonSet { max_surge, max_unavailable };
        assert_eq!([0, 1, 5].map(|n| at(set(Int(0), Int(1)), n)), [(0, 0, 0), (0, 1, 0), (0, 1, 0)]);
        assert_eq!([1, 3, 5].map(|n| at(set(Int(0), Percent(25)), n)), [(0, 1, 0), (0, 1, 0), (0, 2, 0)]);
        assert_eq!([1, 3, 5].map(|n| at(set(Percent(25), Int(0)), n)), [(1, 0, 1), (1, 0, 1), (2, 0, 1)]);
        assert_eq!(at(set(Int(0), Int(0)), 3), (0, 1, 0));
    }

    #[test]
    fn where_a_second_set_has_to_be_whole_its_slots_are_kept() {
        assert_eq!([0, 1, 4].map(|n| at(Strategy::Twice, n)), [(0, 0, 0), (1, 0, 1), (4, 0, 4)]);
        assert_eq!(Strategy::Twice.slots(Pods::new(4), Surge::Minimal), Pods::new(8));
        assert_eq!(Strategy::Twice.most_replicas_within(Pods::new(9), Surge::Minimal), Pods::new(4));
    }

    #[test]
    fn what_no_controller_replaces_neither_surges_nor_may_be_missing() {
        for strategy in [Strategy::OnDelete, Strategy::Task, Strategy::Loose] {
            assert_eq!([0, 1, 4].map(|n| at(strategy, n)), [(0, 0, 0); 3]);
        }
    }

    #[test]
    fn a_full_reserve_keeps_the_whole_surge_and_a_minimal_one_what_a_rollout_needs() {
        let reserve = |n, surge| Strategy::default().surge_reserve(Pods::new(n), surge).get();
        assert_eq!([3, 4, 10].map(|n| reserve(n, Surge::Minimal)), [1, 0, 0]);
        assert_eq!([3, 4, 10].map(|n| reserve(n, Surge::Full)), [1, 1, 3]);
    }

    #[test]
    fn the_most_replicas_are_those_whose_slots_still_fit() {
        let most =
            |strategy: Strategy, slots, surge| strategy.most_replicas_within(Pods::new(slots), surge).get();
        let default = Strategy::default();
        assert_eq!([0, 1, 2, 3, 4, 5].map(|s| most(default, s, Surge::Minimal)), [0, 0, 1, 2, 4, 5]);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|s| most(default, s, Surge::Full)), [0, 0, 1, 2, 3, 4]);
        assert_eq!(most(rolling(Int(5), Int(0)), 5, Surge::Full), 0);
        assert_eq!(most(Strategy::Recreate, u32::MAX, Surge::Full), u32::MAX);
    }

    #[test]
    fn the_largest_numbers_there_are_neither_wrap_nor_panic() {
        let most = Percent(u32::MAX);
        assert_eq!(at(rolling(most, most), u32::MAX), (u32::MAX, u32::MAX, 0));
        assert_eq!(rolling(most, Int(0)).slots(Pods::new(u32::MAX), Surge::Full), Pods::new(u32::MAX));
    }

    #[test]
    fn numbers_and_percentages_are_read_as_kubernetes_writes_them() {
        assert_eq!("25%".parse(), Ok(Percent(25)));
        assert_eq!("150%".parse(), Ok(Percent(150)));
        assert_eq!("3".parse(), Ok(Int(3)));
        for bad in ["", "%", "-1", "+1", "1.5%", "25 %", "99999999999"] {
            let sentence = format!("{bad:?} is neither a number of pods nor a percentage such as 25%");
            assert_eq!(bad.parse::<IntOrPercent>().map_err(|e| e.to_string()), Err(sentence));
        }
    }
}
