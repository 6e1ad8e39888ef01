//! The classes of grants, case by case.

use super::*;
use crate::budget::amount::Instances;
use crate::budget::ledger::{Hold, Ledger, Standing, Unadopted};
use crate::budget::rollout::Nature;

/// A workload of `size` per instance, with slots for 4 and a baseline of 2.
fn workload(size: u64, rho: u32) -> Assessment {
    let share = Share {
        size: Connections::new(size),
        min: Connections::ONE,
        instances: Instances::ONE,
        bill: Connections::new(size),
        pods: Pods::new(4),
        slots: Pods::new(4),
        rho: Pods::new(rho),
        surge: Pods::ONE,
        unavailable: Pods::ONE.minus(Pods::new(rho)),
        nature: Nature::Service,
        one_by_one: false,
        hopeless: false,
    };
    Assessment {
        baseline: Pods::new(2),
        unadopted: Unadopted::default(),
        standing: Standing::default(),
        share,
        rightful: share,
    }
}

fn waiting(workload: usize, created: i64) -> Pod {
    Pod {
        uid: format!("uid-{created}"),
        name: format!("pod-{created}"),
        created,
        age: 5,
        ready: false,
        ..Pod::sample(workload, Hold::Waiting)
    }
}

fn granted(workload: usize, bill: u64) -> Pod {
    Pod { hold: Hold::Granted(Connections::new(bill)), ready: true, ..waiting(workload, 0) }
}

fn outcome(usable: u64, workloads: &[Assessment], pods: &[Pod]) -> Grants {
    decided(Connections::new(usable), workloads, pods)
}

/// The grants, with what the pods hold.
fn decided(bounds: impl Into<Bounds>, workloads: &[Assessment], pods: &[Pod]) -> Grants {
    let standings = Standing::of_each(pods, workloads.iter().map(|w| w.unadopted));
    let with = |(workload, standing): (&Assessment, Standing)| Assessment { standing, ..*workload };
    let workloads: Vec<Assessment> = workloads.iter().zip(standings).map(with).collect();
    grants(bounds, Ledger::of(pods, &[]).committed, &workloads, pods)
}

/// (creation time, bill) of each grant.
fn bills(usable: u64, workloads: &[Assessment], pods: &[Pod]) -> Vec<(i64, u64)> {
    let granted = outcome(usable, workloads, pods).granted;
    granted.iter().map(|g| (pods[g.pod].created, g.bill.get())).collect()
}

fn no_room(missing: u64) -> Refusal {
    Refusal::NoRoom { missing: Connections::new(missing) }
}

#[test]
fn a_lost_pod_takes_the_largest_size_that_fits() {
    let pods = [granted(0, 3), waiting(0, 1)];
    let with = |usable| bills(usable, &[workload(3, 0)], &pods);
    assert_eq!(
        [with(7), with(6), with(5), with(4)],
        [vec![(1, 3)], vec![(1, 3)], vec![(1, 2)], vec![(1, 1)]]
    );
    assert_eq!(outcome(3, &[workload(3, 0)], &pods).refused, [(1, no_room(1))]);
}

#[test]
fn a_lost_pod_takes_more_than_the_smallest_size_only_from_what_other_lost_pods_can_do_without() {
    let mut two = workload(4, 0);
    two.share.min = Connections::new(2);
    let pods = [granted(0, 3), waiting(0, 1), granted(1, 4), waiting(1, 2)];
    let with = |usable| bills(usable, &[workload(3, 0), two], &pods);
    assert_eq!(with(14), [(1, 3), (2, 4)]);
    assert_eq!(with(12), [(1, 3), (2, 2)]);
    assert_eq!(with(11), [(1, 2), (2, 2)]);
    assert_eq!(with(10), [(1, 1), (2, 2)]);
    // Not even the smallest sizes of both fit: the first one gets it.
    assert_eq!(with(8), [(1, 1)]);
}

#[test]
fn a_lost_pod_never_comes_back_below_the_smallest_size() {
    let mut two = workload(3, 0);
    two.share.min = Connections::new(2);
    assert_eq!(outcome(4, &[two], &[granted(0, 3), waiting(0, 1)]).refused, [(1, no_room(1))]);
}

#[test]
fn a_lost_pod_pays_for_its_own_instances() {
    let four = Pod { instances: Instances::of(4, 1), ..waiting(0, 1) };
    let mut wide = workload(2, 0);
    (wide.share.instances, wide.share.bill) = (Instances::of(4, 1), Connections::new(8));
    let pods = [granted(0, 2), four];
    assert_eq!(bills(10, &[wide], &pods), [(1, 8)]);
    assert_eq!(bills(9, &[wide], &pods), [(1, 4)]);
    assert_eq!(outcome(5, &[wide], &pods).refused, [(1, no_room(1))]);
}

#[test]
fn no_pod_gets_less_than_its_app_obeys_so_it_waits_for_more_room() {
    let pods = [Pod { least: Connections::new(2), ..waiting(0, 1) }];
    assert_eq!(bills(2, &[workload(1, 0)], &pods), [(1, 2)]);
    assert_eq!(outcome(1, &[workload(1, 0)], &pods).refused, [(0, no_room(1))]);
}

#[test]
fn a_pod_with_more_instances_than_planned_is_not_born_oversize() {
    let pods = [granted(0, 6), Pod { instances: Instances::of(3, 1), ..waiting(0, 1) }];
    assert_eq!(bills(100, &[workload(6, 0)], &pods), [(1, 6)]);
}

#[test]
fn other_pods_are_granted_the_planned_size_or_nothing() {
    let pods = [granted(0, 3), granted(0, 3), waiting(0, 1)];
    assert_eq!(bills(9, &[workload(3, 0)], &pods), [(1, 3)]);
    assert_eq!(outcome(8, &[workload(3, 0)], &pods).refused, [(2, no_room(1))]);
}

#[test]
fn a_surge_pod_leaves_the_room_of_lost_pods_alone() {
    let (surging, short) = (workload(3, 1), workload(2, 0));
    let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2)];
    assert_eq!(bills(13, &[surging, short], &pods), [(1, 3)]);
    assert_eq!(outcome(12, &[surging, short], &pods).refused, [(2, no_room(1))]);
}

#[test]
fn any_other_pod_leaves_the_room_of_surge_pods_alone_too() {
    let (growing, surging) = (workload(3, 0), workload(2, 1));
    let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2), granted(1, 2)];
    assert_eq!(bills(15, &[growing, surging], &pods), [(1, 3)]);
    assert_eq!(outcome(14, &[growing, surging], &pods).refused, [(2, no_room(1))]);
}

#[test]
fn who_is_refused_for_want_of_room_is_told_the_whole_sum() {
    let (growing, surging) = (workload(3, 0), workload(2, 1));
    let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2), granted(1, 2)];
    let want = Want {
        pod: 2,
        class: Class::Rest,
        bill: Connections::new(3),
        committed: Connections::new(10),
        kept: Connections::new(2),
        missing: Connections::ONE,
    };
    assert_eq!(outcome(14, &[growing, surging], &pods).wants, [want]);
}

#[test]
fn lost_pods_come_before_older_ones_of_other_classes() {
    let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2), waiting(1, 2)];
    assert_eq!(bills(13, &[workload(3, 0), workload(2, 0)], &pods), [(2, 2), (1, 3)]);
    assert_eq!(bills(12, &[workload(3, 0), workload(2, 0)], &pods), [(2, 2)]);
}

#[test]
fn a_pod_beyond_the_slots_waits_for_its_own_workload() {
    let pods = [granted(0, 1), granted(0, 1), granted(0, 1), granted(0, 1), waiting(0, 1)];
    assert_eq!(outcome(100, &[workload(1, 0)], &pods).refused, [(4, Refusal::NoSlot)]);
}

#[test]
fn a_pod_of_an_unknown_workload_waits() {
    let pods = [Pod { workload: None, ..waiting(0, 1) }, waiting(7, 2)];
    let refused = outcome(100, &[workload(1, 0)], &pods).refused;
    assert_eq!(refused, [(0, Refusal::NoWorkload), (1, Refusal::NoWorkload)]);
}

#[test]
fn a_younger_pod_passes_one_that_does_not_fit_until_that_has_waited_long() {
    let (large, small) = (workload(5, 0), workload(1, 0));
    let stand = [granted(0, 5), granted(0, 5), granted(1, 1), granted(1, 1)];
    let with = |age| {
        let queue = [Pod { age, ..waiting(0, 1) }, waiting(1, 2)];
        let outcome = outcome(14, &[large, small], &[&stand[..], &queue].concat());
        (outcome.granted.len(), outcome.refused)
    };
    assert_eq!(with(29), (1, vec![(4, no_room(3))]));
    assert_eq!(with(30), (0, vec![(4, no_room(3)), (5, Refusal::Behind)]));
}

#[test]
fn pods_that_stand_from_before_the_label_keep_their_successors_from_being_new() {
    let unadopted = Unadopted {
        pods: Pods::new(2),
        ready: Pods::new(2),
        connections: Connections::new(30),
        yields: true,
    };
    let pods = [waiting(0, 1)];
    let adopted = Assessment { unadopted, ..workload(3, 1) };
    let grants = |usable| outcome(usable, &[adopted], &pods);
    // A surge pod: the full size or nothing, though nothing is committed.
    assert_eq!(grants(3).granted.len(), 1);
    assert_eq!(grants(2).refused, [(0, no_room(1))]);
}

#[test]
fn the_first_entitled_pod_that_was_refused_says_how_much_is_missing() {
    let stand = [granted(0, 3), granted(0, 3), granted(0, 3), granted(0, 3), granted(1, 9)];
    let pods = [&stand[..], &[waiting(0, 1), waiting(1, 2), waiting(1, 3)]].concat();
    let outcome = outcome(21, &[workload(3, 0), workload(9, 0)], &pods);
    assert_eq!(outcome.shortfall(), Some(Connections::ONE));
}

#[test]
fn nothing_is_granted_into_a_limit_that_is_the_largest_number_there_is() {
    let mut huge = workload(u64::MAX, 0);
    huge.share.min = Connections::MAX;
    let pods = [Pod { instances: Instances::of(2, 1), ..waiting(0, 1) }];
    assert_eq!(outcome(u64::MAX, &[huge], &pods).granted, []);
}

/// The workload of [`workload`] as a Job: it has no baseline.
fn task(size: u64) -> Assessment {
    let service = workload(size, 0);
    Assessment { share: Share { nature: Nature::Task, ..service.share }, baseline: Pods::ZERO, ..service }
}

#[test]
fn a_task_passes_older_surge_pods_and_all_others_but_lost_ones() {
    // Workload 0 has its baseline of 2; its third pod would be a surge pod. Workload 1 has lost one of two.
    let workloads = [workload(2, 1), workload(2, 1), task(2)];
    let standing = [granted(0, 2), granted(0, 2), granted(1, 2)];
    let queue = [waiting(0, 1), waiting(2, 2), waiting(1, 3)];
    let pods: Vec<Pod> = standing.into_iter().chain(queue).collect();
    let at = |usable: u64| {
        outcome(usable, &workloads, &pods).granted.iter().map(|grant| grant.pod).collect::<Vec<_>>()
    };
    assert_eq!([at(8), at(10), at(12)], [vec![5], vec![5, 4], vec![5, 4, 3]]);
}

#[test]
fn a_task_leaves_the_room_of_lost_pods_alone_but_not_that_of_surge_pods() {
    let workloads = [workload(2, 1), task(2)];
    let pods = [granted(0, 2), waiting(1, 1)];
    let at = |usable: u64| outcome(usable, &workloads, &pods).granted.len();
    assert_eq!([at(5), at(6)], [0, 1]);
}

#[test]
fn nobody_without_a_claim_passes_a_task_that_has_waited_long() {
    let workloads = [Assessment { baseline: Pods::ZERO, ..workload(1, 0) }, task(4)];
    let grant_with = |age: u64| {
        let pods = [waiting(0, 1), Pod { age, ..waiting(1, 2) }];
        outcome(3, &workloads, &pods).granted.len()
    };
    assert_eq!([grant_with(29), grant_with(30)], [1, 0]);
}

/// A draining pod with this bill.
fn drains(workload: usize, bill: u64) -> Pod {
    Pod { terminating: true, ready: false, ..granted(workload, bill) }
}

#[test]
fn a_lost_pod_waits_for_the_room_of_its_own_predecessor_rather_than_be_small() {
    let one = workload(8, 1);
    let lost = |age| Pod { age, ..waiting(0, 7) };
    assert_eq!(bills(12, &[one], &[drains(0, 8), lost(5)]), []);
    assert_eq!(bills(12, &[one], &[lost(5)]), [(7, 8)], "it is gone");
    assert_eq!(bills(12, &[one], &[drains(0, 8), lost(PATIENCE_FOR_SIZE)]), [(7, 3)], "not for ever");
    let overdue = Pod { overdue: true, ..drains(0, 8) };
    assert_eq!(bills(12, &[one], &[overdue, lost(5)]), [(7, 3)], "nobody knows when that ends");
    assert_eq!(
        bills(12, &[one, one], &[drains(1, 8), lost(5)]),
        [(7, 1)],
        "another workload's is no promise"
    );
    let outcome = outcome(12, &[one], &[drains(0, 8), lost(5)]);
    assert_eq!(outcome.shortfall(), Some(Connections::new(5)));
}

#[test]
fn on_the_way_down_lost_pods_alone_come_back_within_what_was_held() {
    let two = workload(5, 2);
    let pods = [granted(0, 15), waiting(0, 7), waiting(0, 8)];
    let bounds = |lost| Bounds { usable: Connections::new(13), lost: Connections::new(lost) };
    let granted = |lost| decided(bounds(lost), &[two], &pods).granted.len();
    assert_eq!([13, 15, 16, 30].map(granted), [0, 0, 1, 1], "the second one is not lost");
}
