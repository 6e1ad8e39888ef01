//! The queue: which waiting pods may be granted, in which order, and as what.
//!
//! In: the pods, and what each workload is allotted and has. Out: an order and a class. Oldest first, then by name, so
//! that the result does not depend on the order in which pods were observed.

use super::amount::Pods;
use super::ledger::Pod;
use super::plan::Share;
use super::rollout::Nature;

/// What a waiting pod is to its workload; the classes are served in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 0a: takes the place of a lost pod of the baseline.
    Lost,
    /// 0t: does work and ends by itself. A migration only waits for its connection.
    Task,
    /// 0b: a surge pod without which a rollout cannot move.
    Surge,
    /// 1: any other pod for which its workload has a slot.
    Rest,
    /// No slot: it waits for a pod of its own workload to go.
    Beyond,
}

/// The class of the next pod of a workload that has `admitted` pods.
#[must_use]
pub fn class(admitted: Pods, baseline: Pods, share: &Share) -> Class {
    if admitted >= share.slots {
        Class::Beyond
    } else if admitted < baseline {
        Class::Lost
    } else if share.nature == Nature::Task {
        Class::Task
    } else if admitted < baseline.plus(share.rho) {
        Class::Surge
    } else {
        Class::Rest
    }
}

/// The indices of the waiting pods, first come, first served.
#[must_use]
pub fn order(pods: &[Pod]) -> Vec<usize> {
    let mut waiting: Vec<(usize, &Pod)> = pods.iter().enumerate().filter(|(_, pod)| pod.waits()).collect();
    waiting.sort_by(|(_, a), (_, b)| (a.created, &a.name, &a.uid).cmp(&(b.created, &b.name, &b.uid)));
    waiting.into_iter().map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::amount::Connections;
    use crate::budget::basis::Basis;
    use crate::budget::plan::{Demand, Plan, Terms};
    use crate::budget::rollout::{Strategy, Surge};

    /// The class of the next pod at each of these counts, for a workload with a baseline of 2 and slots for 5.
    fn classes<const N: usize>(admitted: [u32; N], strategy: Strategy) -> [Class; N] {
        let demand = Demand {
            name: String::new(),
            replicas: Pods::new(3),
            pods: Pods::new(5),
            baseline: Pods::new(2),
            strategy,
            processes: 1,
            engines: 1,
            min: Connections::ONE,
            needed_by: None,
            max: None,
            weight: 1,
        };
        let terms = Terms {
            usable: Connections::new(5),
            available: Connections::new(5),
            surge: Surge::Minimal,
            basis: Basis::Ceiling,
        };
        let plan = Plan::of(terms, &[demand]);
        admitted.map(|admitted| class(Pods::new(admitted), Pods::new(2), &plan.shares[0]))
    }

    #[test]
    fn classes_follow_the_admitted_count() {
        assert_eq!(
            classes([1, 2, 3, 4, 5], Strategy::default()),
            [Class::Lost, Class::Surge, Class::Rest, Class::Rest, Class::Beyond]
        );
    }

    #[test]
    fn without_a_surge_reserve_there_is_no_surge_class() {
        assert_eq!(classes([1, 2, 5], Strategy::Recreate), [Class::Lost, Class::Rest, Class::Beyond]);
    }

    #[test]
    fn a_task_is_one_within_its_slots_and_lost_where_one_was_lost() {
        assert_eq!(
            classes([1, 2, 4, 5], Strategy::Task),
            [Class::Lost, Class::Task, Class::Task, Class::Beyond]
        );
    }
}
