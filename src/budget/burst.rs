//! A burst of tasks shares what there is: Jobs that are created within moments of each other are sized together.
//!
//! In: the grants of a decision, the pods, what is free. Out: the same grants without those that a task should not have
//! yet. A pod keeps its size for life, and the first of ten Jobs would take what all ten have to share, since the
//! others do not exist yet when it is created. So a task gets more than its smallest size only when no task came for
//! [`CALM`] seconds, or when it has waited for [`LONGEST`]. A task that leaves as much again free does not wait.
//! Meanwhile no other pod gets what a waiting task would have been granted.

use super::amount::Connections;
use super::assessment::Assessment;
use super::grant::{Grant, Grants, Refusal};
use super::ledger::Pod;
use super::rollout::Nature;

/// A burst is over when no task came for so many seconds. Ages are whole seconds: 2 means at least one full second.
pub const CALM: u64 = 2;

/// No task waits longer than this many seconds for others to come.
pub const LONGEST: u64 = 5;

/// Takes back the grants that have to wait for the end of a burst.
pub fn hold_back(grants: &mut Grants, free: Connections, workloads: &[Assessment], pods: &[Pod]) {
    let task = |pod: &Pod| {
        let workload = pod.workload.and_then(|w| workloads.get(w))?;
        (workload.share.nature == Nature::Task).then_some(workload)
    };
    if !pods.iter().any(|pod| pod.age < CALM && task(pod).is_some()) {
        return;
    }
    let bills: Connections = grants.granted.iter().map(|grant| grant.bill).sum();
    let free = free.minus(bills);
    let waits = |grant: &Grant| {
        let Some((pod, workload)) = pods.get(grant.pod).and_then(|pod| Some((pod, task(pod)?))) else {
            return false;
        };
        // The successor of a lost pod takes the place of a pod that had its size.
        let lost = workload.standing.admitted < workload.entitled();
        let smallest = workload.share.min.max(pod.least);
        pod.age < LONGEST && !lost && grant.size > smallest && grant.bill > free
    };
    let (held, granted): (Vec<Grant>, Vec<Grant>) =
        std::mem::take(&mut grants.granted).into_iter().partition(waits);
    grants.granted = granted;
    grants.refused.splice(0..0, held.iter().map(|grant| (grant.pod, Refusal::Burst)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::amount::Pods;
    use crate::budget::basis::Basis;
    use crate::budget::decide::{Situation, Workload, decide};
    use crate::budget::ledger::{Hold, Unadopted};
    use crate::budget::plan::Demand;
    use crate::budget::rollout::{Strategy, Surge};

    fn workload(name: &str, strategy: Strategy, baseline: u32) -> Workload {
        let demand = Demand {
            name: name.to_owned(),
            replicas: Pods::ONE,
            pods: Pods::ONE,
            baseline: Pods::new(baseline),
            strategy,
            processes: 1,
            engines: 1,
            min: Connections::ONE,
            needed_by: None,
            max: None,
            weight: 1,
        };
        Workload {
            demand,
            carried: Some(Pods::new(baseline)),
            observed: true,
            unadopted: Unadopted::default(),
        }
    }

    fn pod(workload: usize, age: u64, hold: Hold) -> Pod {
        Pod {
            uid: format!("{workload}"),
            name: format!("{workload}"),
            created: i64::try_from(workload).expect("a few"),
            age,
            started: age,
            ready: false,
            ..Pod::sample(workload, hold)
        }
    }

    /// What Jobs of one pod each get when their pods have waited this long: none, if they have to keep waiting.
    fn tasks<const N: usize>(usable: u64, ages: [u64; N]) -> [Option<u64>; N] {
        of(usable, &[Strategy::Task; N], ages)
    }

    fn of<const N: usize>(usable: u64, strategies: &[Strategy], ages: [u64; N]) -> [Option<u64>; N] {
        let pods = ages.iter().enumerate().map(|(w, age)| pod(w, *age, Hold::Waiting)).collect();
        let workloads =
            strategies.iter().enumerate().map(|(i, s)| workload(&format!("{i}"), *s, 0)).collect();
        let decision = decide(&situation(usable, workloads, pods));
        let granted = &decision.grants.granted;
        std::array::from_fn(|w| granted.iter().find(|grant| grant.pod == w).map(|grant| grant.bill.get()))
    }

    fn situation(usable: u64, workloads: Vec<Workload>, pods: Vec<Pod>) -> Situation {
        Situation {
            enforcement: crate::budget::decide::Enforcement::default(),
            available: Connections::new(usable),
            surge: Surge::Minimal,
            basis: Basis::Ceiling,
            eviction: true,
            workloads,
            pods,
            quarantine: Vec::new(),
            past: crate::budget::descent::Past::default(),
        }
    }

    #[test]
    fn a_task_that_comes_alone_waits_for_a_moment_and_then_gets_all_of_its_share() {
        assert_eq!([0, 1, 2, 60].map(|age| tasks(4, [age])), [[None], [None], [Some(4)], [Some(4)]]);
    }

    #[test]
    fn tasks_of_a_burst_wait_for_each_other_and_share() {
        assert_eq!(tasks(4, [2, 1]), [None, None]);
        assert_eq!(tasks(4, [3, 2]), [Some(2), Some(2)]);
        assert_eq!(tasks(4, [2, 2, 2]), [Some(2), Some(1), Some(1)]);
    }

    #[test]
    fn the_smallest_size_is_worth_no_wait() {
        assert_eq!(tasks(4, [0, 0, 0, 0]), [Some(1); 4]);
        assert_eq!(tasks(3, [0, 0, 0, 0]), [Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn a_task_that_leaves_as_much_again_need_not_wait() {
        let capped = |usable: u64| {
            let mut one = workload("0", Strategy::Task, 0);
            one.demand.max = Some(Connections::new(4));
            let decision = decide(&situation(usable, vec![one], vec![pod(0, 0, Hold::Waiting)]));
            decision.grants.granted.first().map(|grant| grant.bill.get())
        };
        assert_eq!([4, 7, 8].map(capped), [None, None, Some(4)]);
    }

    #[test]
    fn a_stream_of_tasks_keeps_nobody_waiting_for_long() {
        assert_eq!(tasks(9, [5, 4, 0]), [Some(3), None, None]);
    }

    #[test]
    fn what_a_task_waits_for_goes_to_nobody_else() {
        let strategies = [Strategy::Task, Strategy::Recreate];
        assert_eq!(of(4, &strategies, [0, 0]), [None, Some(2)]);
        let mut demands = vec![workload("0", Strategy::Task, 0), workload("1", Strategy::Recreate, 0)];
        demands[0].demand.pods = Pods::new(2);
        demands[1].demand.replicas = Pods::new(2);
        let held = pod(1, 90, Hold::Granted(Connections::new(3)));
        let decision =
            decide(&situation(8, demands, vec![pod(0, 0, Hold::Waiting), held, pod(1, 0, Hold::Waiting)]));
        let bills: Vec<_> =
            decision.grants.granted.iter().map(|grant| (grant.pod, grant.bill.get())).collect();
        assert_eq!(bills, [(2, 2)]);
        assert_eq!(decision.grants.refused, [(0, Refusal::Burst)]);
        assert!(decision.reclaim.candidates.is_empty(), "nobody goes for it");
    }

    #[test]
    fn only_tasks_wait_and_only_for_tasks() {
        assert_eq!(of(4, &[Strategy::Recreate], [0]), [Some(4)]);
        assert_eq!(of(4, &[Strategy::Loose], [0]), [Some(4)]);
        assert_eq!(of(4, &[Strategy::Task, Strategy::Recreate], [2, 0]), [Some(2), Some(2)]);
    }

    #[test]
    fn the_successor_of_a_lost_pod_does_not_wait() {
        let workloads = vec![workload("0", Strategy::Task, 1)];
        let decision = decide(&situation(4, workloads, vec![pod(0, 0, Hold::Waiting)]));
        assert_eq!(decision.grants.granted.len(), 1);
    }
}
