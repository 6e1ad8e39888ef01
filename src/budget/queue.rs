//! The queue: which waiting pods may be granted, in which order, and as what.
//!
//! In: pods, what each workload is allotted and has. Out: an order and a class. Oldest first, then by
//! name, so that the answer does not depend on the order in which pods were observed.

use super::amount::Pods;
use super::ledger::Pod;

/// What a waiting pod is to its workload; the classes are served in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 0a: takes the place of a pod that stood when the workload was last settled.
    Lost,
    /// 0b: the one surge pod without which a rollout cannot move.
    Surge,
    /// 1: any other pod for which its workload has a slot.
    Rest,
    /// No slot: it waits for a pod of its own workload to go.
    Beyond,
}

/// The class of the next pod of a workload with `admitted` pods standing.
#[must_use]
pub fn class(admitted: Pods, settled: Pods, surge_reserve: Pods, slots: Pods) -> Class {
    if admitted >= slots {
        Class::Beyond
    } else if admitted < settled {
        Class::Lost
    } else if admitted < settled.plus(surge_reserve) {
        Class::Surge
    } else {
        Class::Rest
    }
}

/// The indices of the pods that wait, first come first.
#[must_use]
pub fn order(pods: &[Pod]) -> Vec<usize> {
    let mut waiting: Vec<(usize, &Pod)> = pods.iter().enumerate().filter(|(_, pod)| pod.waits()).collect();
    waiting.sort_by(|(_, a), (_, b)| (a.created, &a.name, &a.uid).cmp(&(b.created, &b.name, &b.uid)));
    waiting.into_iter().map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_the_admitted_count() {
        let of = |admitted| class(Pods::new(admitted), Pods::new(2), Pods::ONE, Pods::new(5));
        assert_eq!(
            [of(1), of(2), of(3), of(4), of(5)],
            [Class::Lost, Class::Surge, Class::Rest, Class::Rest, Class::Beyond]
        );
    }

    #[test]
    fn no_class_goes_beyond_the_slots() {
        let of = |admitted| class(Pods::new(admitted), Pods::new(4), Pods::ONE, Pods::new(2));
        assert_eq!([of(1), of(2), of(4)], [Class::Lost, Class::Beyond, Class::Beyond]);
    }

    #[test]
    fn without_a_surge_reserve_there_is_no_surge_class() {
        assert_eq!(class(Pods::new(2), Pods::new(2), Pods::ZERO, Pods::new(3)), Class::Rest);
    }
}
