//! Which pods are ended, case by case.

use super::*;
use crate::budget::amount::Instances;
use crate::budget::grant::{Grant, Refusal};
use crate::budget::ledger::{Standing, Unadopted};
use crate::budget::plan::Share;

/// Four replicas of which one may be missing, 2 connections each, with a baseline of 4.
fn four() -> Assessment {
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
        nature: Nature::Service,
        one_by_one: false,
        hopeless: false,
    };
    assessment(share, 4)
}

fn assessment(share: Share, baseline: u32) -> Assessment {
    Assessment {
        baseline: Pods::new(baseline),
        unadopted: Unadopted::default(),
        standing: Standing::default(),
        share,
        rightful: share,
    }
}

fn pod(uid: &str, bill: u64) -> Pod {
    Pod { uid: uid.to_owned(), name: uid.to_owned(), ..Pod::sample(0, Hold::Granted(Connections::new(bill))) }
}

fn waiting(uid: &str) -> Pod {
    Pod { hold: Hold::Waiting, ready: false, ..pod(uid, 0) }
}

/// Pods; those without a hold were refused because `missing` connections were missing.
struct Case {
    pods: Vec<Pod>,
    workloads: Vec<Assessment>,
    missing: u64,
    usable: u64,
    feasible: bool,
    eviction: bool,
    granted: Vec<Grant>,
    refusal: Option<Refusal>,
}

fn case(pods: Vec<Pod>) -> Case {
    let workloads = vec![four(), four()];
    let (granted, refusal) = (Vec::new(), None);
    Case { pods, workloads, missing: 2, usable: 100, feasible: true, eviction: true, granted, refusal }
}

impl Case {
    fn reclaim(&self) -> Reclaim {
        let ledger = Ledger::of(&self.pods, &[]);
        let standings = Standing::of_each(&self.pods, self.workloads.iter().map(|w| w.unadopted));
        let with = |(workload, standing): (&Assessment, Standing)| Assessment { standing, ..*workload };
        let workloads: Vec<Assessment> = self.workloads.iter().zip(standings).map(with).collect();
        let missing = Connections::new(self.missing);
        let waits = self.pods.iter().enumerate().filter(|(_, pod)| pod.waits());
        let refusal = self.refusal.unwrap_or(Refusal::NoRoom { missing });
        let refused = waits.map(|(i, _)| (i, refusal)).collect();
        let holdings = Holdings {
            available: Connections::new(self.usable),
            ledger: &ledger,
            workloads: &workloads,
            pods: &self.pods,
            fits: self.feasible,
            ever_fits: self.feasible,
            eviction: self.eviction,
        };
        reclaim(&holdings, &Grants { granted: self.granted.clone(), refused, ..Grants::default() })
    }

    fn candidates(&self) -> Vec<(&str, Cause)> {
        let found = self.reclaim();
        found.candidates.iter().map(|c| (self.pods[c.pod].uid.as_str(), c.cause)).collect()
    }
}

#[test]
fn nobody_goes_while_nobody_is_refused() {
    let found = case(vec![pod("large", 9), pod("b", 2), pod("c", 2), pod("d", 2)]).reclaim();
    assert_eq!(found, Reclaim::default());
}

#[test]
fn an_oversize_pod_makes_way_for_one_that_was_refused() {
    let found = case(vec![pod("a", 2), pod("large", 3), pod("c", 2), pod("d", 2), waiting("e")]).reclaim();
    let large = Candidate { pod: 1, cause: Cause::Oversize };
    let missing = Some(Connections::new(2));
    assert_eq!(found, Reclaim { candidates: vec![large], draining: false, missing, foreign: None });
}

#[test]
fn an_oversize_pod_makes_way_when_more_is_committed_than_is_usable() {
    let over = Case { usable: 8, ..case(vec![pod("a", 2), pod("large", 3), pod("c", 2), pod("d", 2)]) };
    assert_eq!(over.candidates(), [("large", Cause::Oversize)]);
    assert_eq!(over.reclaim().missing, Some(Connections::ONE));
    assert_eq!(Case { usable: 9, ..over }.reclaim(), Reclaim::default());
}

#[test]
fn nobody_goes_while_draining_pods_give_back_what_is_missing() {
    let draining = Pod { terminating: true, ..pod("draining", 3) };
    let pods = vec![pod("a", 9), pod("b", 9), pod("c", 9), pod("d", 9), draining, waiting("e")];
    let covered = Case { missing: 3, ..case(pods) };
    let missing = Some(Connections::new(3));
    assert_eq!(covered.reclaim(), Reclaim { candidates: vec![], draining: true, missing, foreign: None });
    // One more is missing, but the workload must not lose a second pod at the same time.
    assert_eq!(Case { missing: 4, ..covered }.reclaim().candidates, []);
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
fn an_oversize_pod_stays_while_fewer_than_the_baseline_are_ready() {
    let unready = Pod { ready: false, age: 599, ..pod("unready", 2) };
    let mut starting = case(vec![pod("large", 9), pod("b", 2), pod("c", 2), unready, waiting("e")]);
    assert_eq!(starting.candidates(), []);
    starting.pods[3].ready = true;
    assert_eq!(starting.candidates(), [("large", Cause::Oversize)]);
}

#[test]
fn an_oversize_pod_goes_all_the_same_when_an_image_never_becomes_ready() {
    let never = Pod { ready: false, age: 600, ..pod("never", 2) };
    let mut stuck = case(vec![pod("large", 9), pod("b", 2), pod("c", 2), never, waiting("e")]);
    assert_eq!(stuck.candidates(), [("large", Cause::Oversize)]);
    stuck.pods[3].hold = Hold::InFlight(Connections::new(2));
    assert_eq!(stuck.candidates(), [], "it has not even begun");
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
    let mut pods: Vec<Pod> =
        ["v1", "v2", "v3", "v4"].into_iter().map(|uid| Pod { workload: Some(1), ..pod(uid, 2) }).collect();
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
    let of = |uid: &str, created| Pod { created, ..pod(uid, 2) };
    let pods = vec![Pod { created: 2, ..escaped }, of("b", 1), of("c", 1), of("d", 1)];
    assert_eq!(case(pods.clone()).candidates(), [], "its successor might escape too");
    for created in [2, 3] {
        let younger = of("of the same second, or younger", created);
        let pods = pods.clone().into_iter().chain([younger]).collect();
        assert_eq!(case(pods).candidates(), [("escaped", Cause::Escaped)]);
    }
    let pods: Vec<Pod> = pods.into_iter().chain([of("younger", 3)]).collect();
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

/// An escaped pod and an unready pod take the only two slots, and another pod waits for a slot.
fn without_a_slot(unready: Pod) -> Case {
    let two = assessment(Share { slots: Pods::new(2), ..four().share }, 4);
    let escaped = Pod { hold: Hold::Escaped(Connections::new(15)), ..pod("escaped", 0) };
    let waits = Pod { created: 1, ..waiting("waits") };
    let (workloads, refusal) = (vec![two, two], Some(Refusal::NoSlot));
    Case { workloads, refusal, feasible: false, ..case(vec![escaped, unready, waits]) }
}

#[test]
fn a_superseded_pod_makes_way_for_one_that_waits_for_its_slot() {
    let superseded = without_a_slot(Pod { ready: false, current: false, ..pod("superseded", 2) });
    assert_eq!(superseded.candidates(), [("superseded", Cause::Superseded)]);
    assert_eq!(Case { feasible: true, ..superseded }.candidates(), []);
}

#[test]
fn an_escaped_pod_that_takes_the_slots_of_others_goes_when_nothing_else_can_change() {
    let sick = |age| without_a_slot(Pod { ready: false, age, ..pod("sick", 2) });
    assert_eq!(sick(DEADLINE - 1).candidates(), [], "it may still become ready");
    assert_eq!(sick(DEADLINE).candidates(), [("escaped", Cause::Escaped)]);
    assert_eq!(Case { eviction: false, ..sick(DEADLINE) }.candidates(), []);
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

#[test]
fn a_pod_beyond_the_replicas_goes_when_another_of_its_workload_waits_for_room() {
    let last = Pod { leaving: true, ..pod("last", 2) };
    assert_eq!(
        case(vec![last.clone(), pod("b", 2), waiting("first")]).candidates(),
        [("last", Cause::Leaving)]
    );
    let others = Pod { workload: Some(1), ..waiting("first") };
    assert_eq!(case(vec![last, pod("b", 2), others]).candidates(), []);
}

#[test]
fn pods_that_wait_beyond_the_replicas_go_where_one_would_have_to_be_ready_before_another_goes() {
    let last = |uid| Pod { leaving: true, ..waiting(uid) };
    let sick = Pod { leaving: true, ready: false, ..pod("sick", 2) };
    let candidates = |one_by_one: bool, beyond: Vec<Pod>| {
        let workload = assessment(Share { one_by_one, ..four().share }, 4);
        let pods = [pod("a", 2), pod("b", 2)].into_iter().chain(beyond).collect();
        let case = Case { workloads: vec![workload], eviction: false, refusal: None, ..case(pods) };
        case.candidates().into_iter().map(|(uid, cause)| (uid.to_owned(), cause)).collect::<Vec<_>>()
    };
    let stalled = |uid: &str| (uid.to_owned(), Cause::Stalled);
    assert_eq!(candidates(true, vec![last("d"), last("c")]), ["c", "d"].map(stalled));
    assert_eq!(candidates(true, vec![last("d"), sick]), ["d"].map(stalled));
    assert_eq!(candidates(true, vec![last("d")]), []);
    assert_eq!(candidates(false, vec![last("d"), last("c")]), []);
}

#[test]
fn pods_that_nobody_replaces_and_pods_at_work_stay_though_they_are_oversize() {
    for nature in [Nature::Task, Nature::Loose] {
        let workload = assessment(Share { nature, ..four().share }, 0);
        let case = Case { workloads: vec![workload], ..case(vec![pod("a", 5), pod("b", 5), waiting("c")]) };
        assert_eq!(case.candidates(), []);
    }
}

#[test]
fn where_pods_come_one_by_one_a_single_one_that_waits_is_all_that_can() {
    let stale = Pod { ready: false, age: 700, ..pod("b", 5) };
    let two_lost = case(vec![pod("a", 5), stale, waiting("c")]);
    assert_eq!(two_lost.candidates(), []);
    let one_by_one = assessment(Share { one_by_one: true, ..four().share }, 4);
    let two_lost = Case { workloads: vec![one_by_one], ..two_lost };
    assert_eq!(two_lost.candidates(), [("b", Cause::Oversize), ("a", Cause::Oversize)]);
}

/// Two workloads that are adopted: the pods from before their labels, and a new pod of each that is not Ready.
fn adopted(first: Unadopted, second: Unadopted) -> Case {
    let new = |workload| Pod { ready: false, ..Pod::sample(workload, Hold::Granted(Connections::ONE)) };
    let workloads = [first, second].map(|unadopted| Assessment { unadopted, ..four() }).to_vec();
    Case { usable: 13, workloads, ..case(vec![new(0), new(1)]) }
}

fn before(pods: u32, connections: u64, yields: bool) -> Unadopted {
    let (pods, connections) = (Pods::new(pods), Connections::new(connections));
    Unadopted { pods, ready: pods, connections, yields }
}

#[test]
fn a_pod_from_before_the_label_may_go_when_not_all_can_be_open_at_once() {
    let none = Unadopted::default();
    let found = |connections| adopted(before(4, connections, true), none).reclaim().foreign;
    assert_eq!(found(12), Some(HeldUp { workload: 0, may_end: true }));
    assert_eq!(found(11), None, "all of them fit: it is not that");
    let mut young = adopted(before(4, 15, true), none);
    young.pods[0].started = adoption::PATIENCE - 1;
    assert_eq!(young.reclaim().foreign, None, "it may still be starting");
    let mut ready = adopted(before(4, 15, true), none);
    ready.pods[0].ready = true;
    assert_eq!(ready.reclaim().foreign, None);
}

#[test]
fn who_cannot_be_helped_is_told_all_the_same_and_comes_after_who_can() {
    let found = |first, second| adopted(first, second).reclaim().foreign;
    let told = |workload| Some(HeldUp { workload, may_end: false });
    assert_eq!(found(before(4, 15, false), Unadopted::default()), told(0), "another one like it would come");
    assert_eq!(found(before(2, 15, true), Unadopted::default()), told(0), "too few are Ready to miss one");
    assert_eq!(found(before(4, 15, false), before(4, 15, true)), Some(HeldUp { workload: 1, may_end: true }));
}
