//! Making room: which pods go so that an entitled pod that was refused fits (protocol §5, a, b, c).
//!
//! In: the ledger, the terms, the pods, how much is missing. Out: candidates in the order in which they
//! should be tried; the caller ends the first one that the cluster lets go and then decides afresh.
//! One pod at a time: what it frees is seen before the next one is chosen.

use std::cmp::Reverse;

use super::amount::{Connections, Pods};
use super::grant::{Allotment, Grants};
use super::ledger::{Hold, Ledger, Pod};

/// An unready pod of a superseded revision is left alone until it is this old, in seconds.
pub const PATIENCE: u64 = 60;

/// A pod that is not ready at this age, in seconds, is taken for one that never will be; the Deployment
/// controller's own patience with a rollout, when it is told nothing else.
pub const DEADLINE: u64 = 600;

/// Why a pod should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// (a) Unready and superseded, while a pod of the newest revision waits. Deleted.
    Superseded,
    /// It escaped the gate, and a younger pod of its workload came through it. Evicted.
    Escaped,
    /// (b) It holds more than its workload's share. Evicted.
    Oversize,
    /// (c) Its workload has more pods than the budget can ever carry. Evicted.
    Surplus,
}

/// A pod that should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index of the pod in the view that was decided on.
    pub pod: usize,
    /// Why.
    pub cause: Cause,
}

/// What is to be done so that the refused pods fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Pods to end, best first. At most one of them goes per decision.
    pub candidates: Vec<Candidate>,
    /// What draining pods give back covers what is missing: waiting is enough.
    pub draining: bool,
    /// How many connections are missing; none when nobody entitled was refused and nothing is over.
    pub missing: Option<Connections>,
}

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// What may be committed in all, escaped pods taken off.
    pub usable: Connections,
    /// The sums as they were before the grants of this decision.
    pub ledger: &'a Ledger,
    /// What each workload is allotted.
    pub allotments: &'a [Allotment],
    /// The pods.
    pub pods: &'a [Pod],
    /// Whether the plan fits; surplus pods are ended only when it does not.
    pub feasible: bool,
    /// Whether running pods may be evicted at all.
    pub eviction: bool,
}

/// Chooses who goes, given what was granted and refused just now.
#[must_use]
pub fn room(scene: &Scene<'_>, grants: &Grants) -> Room {
    let over = scene.ledger.committed.minus(scene.usable);
    let missing = grants.shortfall().or((over > Connections::ZERO).then_some(over));
    let escaped = if scene.eviction { escaped(scene) } else { Vec::new() };
    let Some(missing) = missing else {
        return Room { candidates: escaped, ..Room::default() };
    };
    if scene.ledger.draining >= missing {
        return Room { candidates: escaped, draining: true, missing: Some(missing) };
    }
    let mut candidates = superseded(scene, grants);
    candidates.extend(escaped);
    if scene.eviction {
        let unhurried = oversize(scene, may_lose_one);
        candidates.extend(if unhurried.is_empty() { stuck(scene, grants) } else { unhurried });
        if !scene.feasible {
            candidates.extend(surplus(scene));
        }
    }
    Room { candidates, draining: false, missing: Some(missing) }
}

/// (a) Unready granted pods of superseded revisions whose workload has a waiting pod of the newest.
fn superseded(scene: &Scene<'_>, grants: &Grants) -> Vec<Candidate> {
    let mut waits = vec![false; scene.allotments.len()];
    for (index, _) in &grants.refused {
        if let Some(pod) = scene.pods.get(*index).filter(|pod| pod.current)
            && let Some(flag) = pod.workload.and_then(|w| waits.get_mut(w))
        {
            *flag = true;
        }
    }
    let mut found = pods_where(scene, |pod, workload| {
        matches!(pod.hold, Hold::Granted(_))
            && !pod.ready
            && !pod.current
            && pod.age >= PATIENCE
            && waits.get(workload).copied().unwrap_or(false)
    });
    found.sort_by_key(|&(_, pod)| (Reverse(pod.hold.bill()), pod.created, pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Superseded }).collect()
}

/// Escaped pods of workloads in which a younger pod came through the gate: their successor will not escape.
fn escaped(scene: &Scene<'_>) -> Vec<Candidate> {
    let mut youngest = vec![i64::MIN; scene.allotments.len()];
    for pod in scene.pods.iter().filter(|pod| !pod.terminating && !matches!(pod.hold, Hold::Escaped(_))) {
        if let Some(created) = pod.workload.and_then(|w| youngest.get_mut(w)) {
            *created = pod.created.max(*created);
        }
    }
    let mut found = pods_where(scene, |pod, workload| {
        matches!(pod.hold, Hold::Escaped(_))
            && youngest.get(workload).is_some_and(|created| *created > pod.created)
            && may_lose_one(scene, workload)
    });
    found.sort_by_key(|&(_, pod)| (pod.ready, Reverse(pod.hold.bill()), pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Escaped }).collect()
}

/// (b) Oversize pods of the workloads that may: the workload furthest above its share first, in it unready pods first.
fn oversize(scene: &Scene<'_>, may: impl Fn(&Scene<'_>, usize) -> bool) -> Vec<Candidate> {
    let mut found =
        pods_where(scene, |pod, workload| is_oversize(scene, pod, workload) && may(scene, workload));
    found.sort_by_key(|&(_, pod)| {
        let above = pod.workload.map_or(0, |w| above_share(scene, w));
        (Reverse(above), pod.ready, Reverse(pod.hold.bill()), Reverse(pod.created), pod.uid.as_str())
    });
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Oversize }).collect()
}

/// (b) when no oversize pod may go, because too few pods of their workloads are ready and waiting will not
/// change that: lost pods are refused since the limit was lowered or pods without a reserve (just adopted, or with
/// more instances than those they replace) took their room, or an image never becomes ready. Nobody could move ever again, so one
/// goes all the same, provided that nothing else is on its way.
fn stuck(scene: &Scene<'_>, grants: &Grants) -> Vec<Candidate> {
    let mut starting = vec![false; scene.allotments.len()];
    for pod in scene.pods.iter().filter(|pod| pod.admitted() && !pod.ready && pod.age < DEADLINE) {
        if let Some(flag) = pod.workload.and_then(|w| starting.get_mut(w)) {
            *flag = true;
        }
    }
    let at_rest = |workload: usize| {
        let (Some(allotment), Some(standing)) =
            (scene.allotments.get(workload), scene.ledger.workloads.get(workload))
        else {
            return false;
        };
        let replaced = standing.admitted.plus(standing.waiting) >= allotment.settled;
        replaced && starting.get(workload) == Some(&false)
    };
    let candidates = oversize(scene, |_, _| true);
    let workload = |candidate: &Candidate| scene.pods.get(candidate.pod).and_then(|pod| pod.workload);
    let nothing_on_its_way = grants.granted.is_empty()
        && scene.ledger.draining_pods == Pods::ZERO
        && candidates.iter().filter_map(workload).all(at_rest);
    if nothing_on_its_way { candidates } else { Vec::new() }
}

fn is_oversize(scene: &Scene<'_>, pod: &Pod, workload: usize) -> bool {
    matches!(pod.hold, Hold::Granted(bill) if scene.allotments.get(workload).is_some_and(|a| bill > a.share.bill))
}

/// (c) The newest pods of workloads that have more than their slots.
fn surplus(scene: &Scene<'_>) -> Vec<Candidate> {
    let mut found = pods_where(scene, |pod, workload| {
        matches!(pod.hold, Hold::Granted(_))
            && scene.allotments.get(workload).is_some_and(|allotment| {
                let standing = scene.ledger.workloads.get(workload);
                standing.is_some_and(|s| {
                    s.admitted > allotment.share.slots
                        && s.draining < allotment.share.unavailable.max(Pods::ONE)
                })
            })
    });
    found.sort_by_key(|&(_, pod)| (Reverse(pod.created), pod.ready, pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Surplus }).collect()
}

/// Staying pods of known workloads for which `rule` holds.
fn pods_where<'a>(scene: &Scene<'a>, rule: impl Fn(&Pod, usize) -> bool) -> Vec<(usize, &'a Pod)> {
    let mut found = Vec::new();
    for (index, pod) in scene.pods.iter().enumerate() {
        if !pod.terminating && pod.workload.is_some_and(|workload| rule(pod, workload)) {
            found.push((index, pod));
        }
    }
    found
}

/// At most max(1, V) pods of a workload go at a time, and only while ready − 1 ≥ settled − max(1, V).
fn may_lose_one(scene: &Scene<'_>, workload: usize) -> bool {
    let (Some(allotment), Some(standing)) =
        (scene.allotments.get(workload), scene.ledger.workloads.get(workload))
    else {
        return false;
    };
    let at_once = allotment.share.unavailable.max(Pods::ONE);
    let ready_after = i64::from(standing.ready.get()) - 1;
    standing.draining < at_once
        && ready_after >= i64::from(allotment.settled.get()) - i64::from(at_once.get())
}

/// How far the pods of a workload are above slots × bill.
fn above_share(scene: &Scene<'_>, workload: usize) -> i128 {
    let (Some(allotment), Some(standing)) =
        (scene.allotments.get(workload), scene.ledger.workloads.get(workload))
    else {
        return 0;
    };
    i128::from(standing.admitted_bills.get())
        - i128::from(allotment.share.bill.get()) * i128::from(allotment.share.slots.get())
}

#[cfg(test)]
mod tests {
    use super::super::amount::Instances;
    use super::super::grant::{Grant, Refusal};
    use super::super::ledger::Unadopted;
    use super::super::plan::Share;
    use super::*;

    /// Four replicas of which one may be missing, 2 connections each, settled at 4.
    fn four() -> Allotment {
        let share = Share {
            size: Connections::new(2),
            min: Connections::ONE,
            instances: Instances::ONE,
            bill: Connections::new(2),
            pods: Pods::new(4),
            slots: Pods::new(4),
            rho: Pods::ZERO,
            surge: Pods::ONE,
            unavailable: Pods::ONE,
        };
        Allotment { share, settled: Pods::new(4) }
    }

    fn pod(uid: &str, bill: u64) -> Pod {
        Pod {
            uid: uid.to_owned(),
            name: uid.to_owned(),
            workload: Some(0),
            created: 0,
            age: 100,
            hold: Hold::Granted(Connections::new(bill)),
            ready: true,
            terminating: false,
            current: true,
            instances: Instances::ONE,
        }
    }

    fn waiting(uid: &str) -> Pod {
        Pod { hold: Hold::Waiting, ready: false, ..pod(uid, 0) }
    }

    /// Pods, of which those without a hold were refused for want of `missing` connections.
    struct Case {
        pods: Vec<Pod>,
        allotments: Vec<Allotment>,
        missing: u64,
        usable: u64,
        feasible: bool,
        eviction: bool,
        granted: Vec<Grant>,
    }

    fn case(pods: Vec<Pod>) -> Case {
        let allotments = vec![four(), four()];
        Case {
            pods,
            allotments,
            missing: 2,
            usable: 100,
            feasible: true,
            eviction: true,
            granted: Vec::new(),
        }
    }

    impl Case {
        fn room(&self) -> Room {
            let unadopted = vec![Unadopted::default(); self.allotments.len()];
            let ledger = Ledger::of(&self.pods, &unadopted, &[]);
            let missing = Connections::new(self.missing);
            let waits = self.pods.iter().enumerate().filter(|(_, pod)| pod.waits());
            let refused = waits.map(|(i, _)| (i, Refusal::NoRoom { missing })).collect();
            let scene = Scene {
                usable: Connections::new(self.usable),
                ledger: &ledger,
                allotments: &self.allotments,
                pods: &self.pods,
                feasible: self.feasible,
                eviction: self.eviction,
            };
            room(&scene, &Grants { granted: self.granted.clone(), refused })
        }

        fn candidates(&self) -> Vec<(&str, Cause)> {
            let room = self.room();
            room.candidates.iter().map(|c| (self.pods[c.pod].uid.as_str(), c.cause)).collect()
        }
    }

    #[test]
    fn nobody_goes_while_nobody_is_refused() {
        let room = case(vec![pod("large", 9), pod("b", 2), pod("c", 2), pod("d", 2)]).room();
        assert_eq!(room, Room::default());
    }

    #[test]
    fn an_oversize_pod_makes_way_for_one_that_was_refused() {
        let room = case(vec![pod("a", 2), pod("large", 3), pod("c", 2), pod("d", 2), waiting("e")]).room();
        let large = Candidate { pod: 1, cause: Cause::Oversize };
        let missing = Some(Connections::new(2));
        assert_eq!(room, Room { candidates: vec![large], draining: false, missing });
    }

    #[test]
    fn an_oversize_pod_makes_way_when_more_is_committed_than_is_usable() {
        let over = Case { usable: 8, ..case(vec![pod("a", 2), pod("large", 3), pod("c", 2), pod("d", 2)]) };
        assert_eq!(over.candidates(), [("large", Cause::Oversize)]);
        assert_eq!(over.room().missing, Some(Connections::ONE));
        assert_eq!(Case { usable: 9, ..over }.room(), Room::default());
    }

    #[test]
    fn nobody_goes_while_draining_pods_give_back_what_is_missing() {
        let draining = Pod { terminating: true, ..pod("draining", 3) };
        let pods = vec![pod("a", 9), pod("b", 9), pod("c", 9), pod("d", 9), draining, waiting("e")];
        let covered = Case { missing: 3, ..case(pods) };
        let missing = Some(Connections::new(3));
        assert_eq!(covered.room(), Room { candidates: vec![], draining: true, missing });
        // One more is missing, but the workload loses no second pod at the same time.
        assert_eq!(Case { missing: 4, ..covered }.room().candidates, []);
    }

    #[test]
    fn the_workload_furthest_above_its_share_gives_first_and_in_it_unready_large_and_new_pods() {
        let new = Pod { created: 7, ..pod("new", 5) };
        let unready = Pod { ready: false, ..pod("unready", 3) };
        let neighbour = |uid: &str| Pod { workload: Some(1), ..pod(uid, 4) };
        let mut pods = vec![neighbour("v1"), neighbour("v2"), neighbour("v3"), neighbour("v4")];
        pods.extend([pod("old", 5), new, unready, pod("large", 9), pod("last", 3), waiting("w")]);
        let expected = ["unready", "large", "new", "old", "last", "v1", "v2", "v3", "v4"];
        assert_eq!(case(pods).candidates(), expected.map(|uid| (uid, Cause::Oversize)));
    }

    #[test]
    fn an_oversize_pod_stays_while_fewer_than_the_settled_count_are_ready() {
        let unready = Pod { ready: false, age: 599, ..pod("unready", 2) };
        let mut starting = case(vec![pod("large", 9), pod("b", 2), pod("c", 2), unready, waiting("e")]);
        assert_eq!(starting.candidates(), []);
        starting.pods[3].ready = true;
        assert_eq!(starting.candidates(), [("large", Cause::Oversize)]);
    }

    #[test]
    fn an_oversize_pod_goes_all_the_same_when_an_image_never_becomes_ready() {
        let never = Pod { ready: false, age: 600, ..pod("never", 2) };
        let stuck = case(vec![pod("large", 9), pod("b", 2), pod("c", 2), never, waiting("e")]);
        assert_eq!(stuck.candidates(), [("large", Cause::Oversize)]);
    }

    #[test]
    fn an_oversize_pod_goes_all_the_same_when_its_own_lost_sibling_cannot_come_back() {
        let stuck = || case(vec![pod("large", 9), pod("b", 2), pod("c", 2), waiting("lost")]);
        assert_eq!(stuck().candidates(), [("large", Cause::Oversize)]);

        let granted = vec![Grant { pod: 3, size: Connections::ONE, bill: Connections::ONE }];
        assert_eq!(Case { granted, ..stuck() }.candidates(), [], "a grant is on its way");

        let mut draining = stuck();
        draining.pods.push(Pod { workload: Some(1), terminating: true, ..pod("draining", 1) });
        assert_eq!(draining.candidates(), [], "a pod is on its way out");

        let mut unborn = stuck();
        unborn.pods[3].workload = Some(1);
        assert_eq!(unborn.candidates(), [], "the successor is still to be made");
    }

    #[test]
    fn a_neighbour_that_may_give_spares_the_workload_that_is_short_of_ready_pods() {
        let mut pods: Vec<Pod> = ["v1", "v2", "v3", "v4"]
            .into_iter()
            .map(|uid| Pod { workload: Some(1), ..pod(uid, 2) })
            .collect();
        pods[2].hold = Hold::Granted(Connections::new(3));
        pods.extend([pod("large", 9), pod("b", 2), pod("c", 2), waiting("lost")]);
        assert_eq!(case(pods).candidates(), [("v3", Cause::Oversize)]);
    }

    #[test]
    fn an_unready_superseded_pod_is_deleted_for_a_newer_one_of_its_workload() {
        let bad = Pod { ready: false, current: false, age: 60, ..pod("bad", 1) };
        let found = |bad: Pod, waits: Pod| {
            let case = Case { eviction: false, ..case(vec![bad, waits]) };
            case.candidates().into_iter().map(|(uid, cause)| (uid.to_owned(), cause)).collect::<Vec<_>>()
        };
        assert_eq!(found(bad.clone(), waiting("e")), [("bad".to_owned(), Cause::Superseded)]);
        assert_eq!(found(Pod { age: 59, ..bad.clone() }, waiting("e")), []);
        assert_eq!(found(Pod { ready: true, ..bad.clone() }, waiting("e")), []);
        assert_eq!(found(Pod { current: true, ..bad.clone() }, waiting("e")), []);
        assert_eq!(found(bad.clone(), Pod { current: false, ..waiting("e") }), []);
        assert_eq!(found(bad, Pod { workload: Some(1), ..waiting("e") }), []);
    }

    #[test]
    fn an_escaped_pod_goes_once_a_younger_one_came_through_the_gate() {
        let escaped = Pod { hold: Hold::Escaped(Connections::new(15)), ..pod("escaped", 0) };
        let younger = Pod { created: 1, ..pod("younger", 2) };
        let pods = vec![escaped, pod("b", 2), pod("c", 2), pod("d", 2)];
        assert_eq!(case(pods.clone()).candidates(), [], "its successor might escape too");
        let pods: Vec<Pod> = pods.into_iter().chain([younger]).collect();
        assert_eq!(case(pods.clone()).candidates(), [("escaped", Cause::Escaped)]);
        assert_eq!(Case { eviction: false, ..case(pods) }.candidates(), []);
    }

    #[test]
    fn pods_beyond_the_slots_go_newest_first_when_not_everything_fits() {
        let of = |uid: &str, created| Pod { created, ..pod(uid, 2) };
        let pods = vec![of("a", 1), of("b", 5), of("c", 3), of("d", 4), of("e", 2), waiting("f")];
        let surplus = Case { feasible: false, ..case(pods) };
        assert_eq!(surplus.candidates(), ["b", "d", "c", "e", "a"].map(|uid| (uid, Cause::Surplus)));
        assert_eq!(Case { feasible: true, ..surplus }.candidates(), []);
        let mut within = case(vec![of("a", 1), of("b", 5), of("c", 3), of("d", 4), waiting("f")]);
        within.feasible = false;
        assert_eq!(within.candidates(), []);
    }

    #[test]
    fn without_leave_to_evict_oversize_and_surplus_pods_stay() {
        let pods = vec![pod("a", 9), pod("b", 9), pod("c", 9), pod("d", 9), pod("e", 9), waiting("f")];
        assert_eq!(Case { eviction: false, feasible: false, ..case(pods) }.candidates(), []);
    }

    #[test]
    fn a_pod_whose_grant_is_under_way_is_left_alone() {
        let in_flight = Pod { hold: Hold::InFlight(Connections::new(9)), ..pod("in flight", 0) };
        let pods = vec![in_flight, pod("b", 2), pod("c", 2), pod("d", 2), pod("e", 2), waiting("f")];
        assert_eq!(case(pods).candidates(), []);
    }
}
