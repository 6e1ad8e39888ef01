//! The stories that other protocols fail on, each under many interleavings of the controllers.

use poolbudget::budget::basis::Basis;
use poolbudget::budget::rollout::{IntOrPercent, Strategy};

use super::cluster::{App, Cluster};
use super::operator::Rules;
use super::schedule::{Failure, Run};

const ORDERS: u64 = 40;

fn rolling(surge: u32, unavailable: u32) -> Strategy {
    Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(surge),
        max_unavailable: IntOrPercent::Int(unavailable),
    }
}

fn app(replicas: u32, strategy: Strategy) -> App {
    App::new(replicas, strategy)
}

fn unlabelled(replicas: u32, strategy: Strategy) -> App {
    let mut app = app(replicas, strategy);
    app.deployment.template.labelled = false;
    app
}

/// Sizes follow the replicas of now, so that a scale-up finds pods that are too large.
fn current(available: u64, apps: Vec<App>) -> Cluster {
    let mut cluster = Cluster::new(available, apps);
    cluster.basis = Basis::Current;
    cluster
}

fn in_many_orders(cluster: &Cluster, rules: Rules, story: impl Fn(&mut Run)) {
    for seed in 0..ORDERS {
        let mut run = Run::new(cluster.clone(), seed);
        run.rules = rules;
        story(&mut run);
    }
}

fn settles(run: &mut Run) {
    if let Err(Failure::Over(why) | Failure::Hang(why)) = run.settle() {
        panic!("{why}");
    }
}

fn hangs(run: &mut Run) {
    assert!(matches!(run.settle(), Err(Failure::Hang(_))));
}

fn ready(run: &Run, app: usize) -> usize {
    run.cluster.pods.iter().filter(|pod| pod.app == app && pod.ready && !pod.terminating).count()
}

#[test]
fn a_template_that_grew_while_there_were_no_replicas_fits_when_they_come_back() {
    let cluster = Cluster::new(16, vec![app(3, Strategy::default())]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.scale(0, 0);
        run.wait(5);
        run.cluster.roll_out(0, true, 4);
        run.cluster.scale(0, 4);
        settles(run);
    });
}

#[test]
fn a_bad_image_its_fix_a_lost_node_and_an_eviction_at_once_are_survived_at_the_smallest_limit() {
    let cluster = Cluster::new(2, vec![app(1, Strategy::default())]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.roll_out(0, false, 1);
        run.wait(8);
        run.cluster.roll_out(0, true, 1);
        run.wait(4);
        run.cluster.lose(0);
        run.wait(4);
        if !run.cluster.pods.is_empty() {
            run.cluster.end(0);
        }
        settles(run);
    });
}

#[test]
fn two_pods_that_fill_the_limit_make_way_for_a_scale_up_that_may_miss_none() {
    let cluster = current(8, vec![app(1, Strategy::default())]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.roll_out(0, true, 1);
        while run.cluster.held() < 8 {
            run.wait(1);
        }
        run.cluster.scale(0, 3);
        settles(run);
    });
}

#[test]
fn a_smaller_template_and_more_replicas_in_one_breath_grow_the_old_revision_first() {
    let mut large = app(2, rolling(1, 0));
    large.deployment.template.processes = 4;
    let cluster = Cluster::new(20, vec![large]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.roll_out(0, true, 1);
        run.cluster.scale(0, 4);
        run.cluster.sync_deployment(0);
        assert_eq!(run.cluster.apps[0].deployment.sets[0].replicas, 4, "the controller scales what there is");
        settles(run);
    });
}

/// Two pods of 3 connections, and a workload that wants the whole rest and more.
fn two_large_pods_and_a_hungry_neighbour() -> Cluster {
    let mut large = app(2, rolling(0, 1));
    large.max = Some(3);
    current(10, vec![large, app(0, Strategy::default())])
}

#[test]
fn a_large_pod_that_makes_way_for_a_neighbour_gets_its_place_back() {
    in_many_orders(&two_large_pods_and_a_hungry_neighbour(), Rules::All, |run| {
        settles(run);
        run.cluster.scale(1, 8);
        while !run.cluster.settled() {
            run.rounds(1);
            assert!(ready(run, 0) >= 1, "evictions took more than may be missing");
        }
    });
}

#[test]
fn without_room_for_lost_pods_a_neighbour_takes_the_place_of_the_one_that_made_way() {
    in_many_orders(&two_large_pods_and_a_hungry_neighbour(), Rules::WithoutR3AndLastResort, |run| {
        settles(run);
        run.cluster.scale(1, 8);
        hangs(run);
    });
}

#[test]
fn without_room_for_lost_pods_the_one_that_made_way_has_no_ready_pod_left() {
    in_many_orders(&two_large_pods_and_a_hungry_neighbour(), Rules::WithoutR3, |run| {
        settles(run);
        run.cluster.scale(1, 8);
        while ready(run, 0) > 0 {
            assert!(!run.cluster.settled());
            run.rounds(1);
        }
    });
}

#[test]
fn a_rollout_that_may_miss_no_pod_moves_at_a_full_limit() {
    let cluster = Cluster::new(6, vec![app(3, rolling(1, 0))]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.roll_out(0, true, 1);
        settles(run);
    });
}

#[test]
fn without_a_slot_for_its_surge_pod_a_rollout_that_may_miss_no_pod_never_moves() {
    let cluster = Cluster::new(6, vec![app(3, rolling(1, 0))]);
    in_many_orders(&cluster, Rules::WithoutR1, |run| {
        settles(run);
        run.cluster.roll_out(0, true, 1);
        hangs(run);
    });
}

#[test]
fn a_pod_that_holds_the_whole_share_of_its_workload_makes_way_for_its_siblings() {
    in_many_orders(&current(6, vec![app(1, rolling(0, 1))]), Rules::All, |run| {
        settles(run);
        assert_eq!(run.cluster.held(), 6);
        run.cluster.scale(0, 3);
        settles(run);
    });
}

#[test]
fn counted_in_connections_a_pod_that_holds_the_whole_share_keeps_its_siblings_waiting() {
    in_many_orders(&current(6, vec![app(1, rolling(0, 1))]), Rules::WithoutR2, |run| {
        settles(run);
        run.cluster.scale(0, 3);
        hangs(run);
    });
}

#[test]
fn a_bad_image_beside_a_rollout_at_a_full_limit_holds_up_only_its_own() {
    let cluster = Cluster::new(12, vec![app(2, Strategy::default()), app(2, Strategy::default())]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.roll_out(0, false, 1);
        run.cluster.roll_out(1, true, 1);
        settles(run);
        assert!(ready(run, 0) >= 2, "the old revision stands");
        run.cluster.roll_out(0, true, 1);
        settles(run);
    });
}

#[test]
fn two_workloads_are_adopted_within_a_second() {
    for first in [Strategy::default(), rolling(0, 1), Strategy::Recreate] {
        let cluster = Cluster::new(13, vec![unlabelled(2, first), unlabelled(2, rolling(1, 0))]);
        in_many_orders(&cluster, Rules::All, |run| {
            run.rounds(8);
            run.cluster.adopt(0);
            run.cluster.adopt(1);
            settles(run);
        });
    }
}

#[test]
fn a_workload_is_adopted_beside_one_that_holds_the_whole_limit() {
    let cluster = current(13, vec![app(4, Strategy::default()), unlabelled(4, rolling(1, 2))]);
    in_many_orders(&cluster, Rules::All, |run| {
        run.rounds(30);
        run.cluster.adopt(1);
        settles(run);
    });
}

#[test]
fn a_rollout_changes_the_processes_of_its_pods_in_both_directions() {
    for strategy in [Strategy::default(), rolling(0, 1), rolling(1, 0), Strategy::Recreate] {
        let mut two = app(3, strategy);
        two.deployment.template.processes = 2;
        in_many_orders(&Cluster::new(16, vec![two]), Rules::All, |run| {
            settles(run);
            run.cluster.roll_out(0, true, 4);
            settles(run);
            run.cluster.roll_out(0, true, 2);
            settles(run);
        });
    }
}

/// Both workloads have a pod too many of its share and a lost one; whoever is served first takes the room.
#[test]
fn a_limit_lowered_while_a_pod_is_lost_leaves_nobody_waiting_for_ever() {
    let cluster = current(26, vec![app(3, rolling(0, 1)), app(1, Strategy::Recreate)]);
    in_many_orders(&cluster, Rules::All, |run| {
        settles(run);
        run.cluster.scale(1, 5);
        run.wait(5);
        run.cluster.available = 9;
        run.cluster.lose(0);
        settles(run);
    });
}
