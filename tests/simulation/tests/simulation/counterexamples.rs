//! The stories that other protocols fail on. Where a rule is what keeps one from going wrong, it goes wrong without it.

use poolbudget_simulation::Outcome;
use poolbudget_simulation::cluster::Facts;
use poolbudget_simulation::judge::Fault;
use poolbudget_simulation::mutation::Mutation;
use poolbudget_simulation::plan::Action::{
    CrashPod, DeletePod, ForcePod, Limit, LoseNode, Observe, RollOut, Scale,
};
use testkit::model::deployment::Strategy;

use crate::story::{BAD, GOOD, Story, least_ready, most_replicas, processes, rolling};

/// Its pods are there before it is adopted.
const UNLABELLED: Facts = Facts { budget: None, ..GOOD };

/// Whoever rewrites templates in answer to what he sees holds 184 connections here.
#[test]
fn a_template_that_grew_while_there_were_no_replicas_fits_when_they_come_back() {
    let story = Story::new(16)
        .deployment(3, Strategy::default())
        .then(0, Scale(0, 0))
        .then(1, RollOut(0, processes(4)))
        .then(0, Scale(0, 4));
    story.holds();
    story.breaks_without(Mutation::TerminatingForgotten, Fault::Over, 10);
}

#[test]
fn a_bad_image_its_fix_a_lost_node_and_an_eviction_in_one_grace_period_fit_at_the_smallest_size() {
    let story = Story::new(2)
        .deployment(1, Strategy::default())
        .then(0, RollOut(0, BAD))
        .then(8, RollOut(0, GOOD))
        // The first pod is on node 1.
        .then(4, LoseNode(1, 90))
        .then(4, DeletePod(0));
    story.holds();
    story.breaks_without(Mutation::TerminatingForgotten, Fault::Over, 10);
}

#[test]
fn two_pods_that_fill_the_limit_make_way_for_a_scale_up_that_may_miss_none() {
    for second in [GOOD, BAD] {
        let story =
            Story::new(8).deployment(1, Strategy::default()).then(0, RollOut(0, second)).then(1, Scale(0, 3));
        // A gate alone grants first come, first served, and never moves here: somebody has to be sent away.
        story.holds_and(|outcome| outcome.tally.restarts > 0);
    }
}

/// The controller scales the ReplicaSet that there is, whose pods are four times as large.
#[test]
fn a_smaller_template_and_more_replicas_in_one_breath_grow_the_old_revision_first() {
    let story = Story::new(20)
        .with(2, rolling(1, 0), processes(4), None)
        .then(0, RollOut(0, GOOD))
        .then(0, Scale(0, 4));
    story.holds_and(|outcome| most_replicas(&outcome.cluster, 0, 0) == 4);
}

/// Two pods of 3 connections, and a neighbour that wants the whole rest and more. Of pods that are made within a second
/// its own come first in the queue, by their name.
fn a_hungry_neighbour_of_two_large_pods() -> Story {
    Story::new(10)
        .deployment(0, Strategy::default())
        .with(2, rolling(0, 1), GOOD, Some(3))
        .then(0, Scale(0, 8))
}

#[test]
fn a_large_pod_that_makes_way_for_a_neighbour_gets_its_place_back() {
    let story = a_hungry_neighbour_of_two_large_pods();
    story.holds_and(|outcome| least_ready(&outcome.cluster, 1, 2) == 1);
    story.hangs_without(Mutation::WithoutR3AndLastResort);
}

#[test]
fn without_room_for_lost_pods_the_one_that_made_way_loses_its_last_ready_pod() {
    let story = a_hungry_neighbour_of_two_large_pods();
    story.leads_to(Mutation::WithoutR3, |outcome| least_ready(&outcome.cluster, 1, 2) == 0);
}

#[test]
fn a_rollout_that_may_miss_no_pod_moves_at_a_full_limit() {
    let story = Story::new(6).deployment(3, rolling(1, 0)).then(0, RollOut(0, GOOD));
    story.holds();
    story.hangs_without(Mutation::WithoutR1);
}

#[test]
fn a_pod_that_holds_the_whole_share_of_its_workload_makes_way_for_its_siblings() {
    let story = Story::new(6).deployment(1, rolling(0, 1)).then(0, Scale(0, 3));
    story.holds();
    story.hangs_without(Mutation::WithoutR2);
}

#[test]
fn a_bad_image_beside_a_rollout_at_a_full_limit_holds_up_only_its_own() {
    let story = Story::new(12)
        .deployment(2, Strategy::default())
        .deployment(2, Strategy::default())
        .then(0, RollOut(0, BAD))
        .then(0, RollOut(1, GOOD));
    story.holds();
    // The old revision stands.
    story.nobody_mends_images().holds_and(|outcome| least_ready(&outcome.cluster, 0, 2) == 2);
}

#[test]
fn two_workloads_are_adopted_within_a_second() {
    for first in [Strategy::default(), rolling(0, 1), Strategy::Recreate] {
        let story = Story::new(13)
            .with(2, first, UNLABELLED, None)
            .with(2, rolling(1, 0), UNLABELLED, None)
            .then(0, RollOut(0, GOOD))
            .then(0, RollOut(1, GOOD));
        story.holds();
        story.hangs_without(Mutation::AdoptedOnTheBill);
    }
}

#[test]
fn a_workload_is_adopted_beside_one_that_holds_the_whole_limit() {
    Story::new(13)
        .deployment(4, Strategy::default())
        .with(4, rolling(1, 2), UNLABELLED, None)
        .then(0, RollOut(1, GOOD))
        .holds();
}

#[test]
fn a_rollout_changes_the_processes_of_its_pods_in_both_directions() {
    for strategy in [Strategy::default(), rolling(0, 1), rolling(1, 0), Strategy::Recreate] {
        for pause in [0, 1, 60] {
            Story::new(16)
                .with(3, strategy, processes(2), None)
                .then(0, RollOut(0, processes(4)))
                .then(pause, RollOut(0, processes(2)))
                .holds();
        }
    }
}

/// Both workloads have a pod too many of their share, and a lost one; whoever is served first takes the room.
#[test]
fn a_limit_lowered_while_a_pod_is_lost_leaves_nobody_waiting_for_ever() {
    let story = Story::new(26)
        .deployment(3, rolling(0, 1))
        .deployment(1, Strategy::Recreate)
        .then(0, Scale(1, 5))
        .then(2, Limit(0, 9))
        .then(0, LoseNode(1, 60));
    story.holds();
}

/// Its kubelet ends the pod only when it is back and learns that it is gone, long after the grace period.
#[test]
fn a_pod_that_is_deleted_by_force_on_a_node_that_is_away_keeps_its_room_until_that_is_heard_of() {
    for strategy in [rolling(0, 1), rolling(1, 0)] {
        let story = Story::new(4)
            .deployment(2, strategy)
            // The first pod is on node 1.
            .then(0, LoseNode(1, 400))
            .then(0, ForcePod(0, 1_000))
            .then(30, Scale(0, 4))
            .then(30, Scale(0, 3));
        story.holds();
        story.breaks_without(Mutation::NodesNotAsked, Fault::Over, 50);
    }
}

/// A query runs to its end, though its client is gone.
#[test]
fn what_a_pod_leaves_open_keeps_its_room_however_the_pod_went() {
    for goes in [DeletePod(0), ForcePod(0, 1_000), CrashPod(0), RollOut(0, GOOD)] {
        let story = Story::new(4).lingering(30).deployment(2, rolling(0, 1)).then(0, goes);
        let story = story.then(2, Scale(0, 4)).then(55, Scale(0, 3));
        story.holds();
        story.breaks_without(Mutation::LingerForgotten, Fault::Over, 10);
    }
}

/// It was cut off, so its pods went on until the machine was switched off, and their queries after that.
#[test]
fn what_a_machine_leaves_open_that_is_gone_keeps_its_room() {
    let story = Story::new(4).lingering(30).deployment(2, rolling(0, 1));
    let story = story.then(0, LoseNode(1, 400)).then(0, ForcePod(0, 1_000)).then(90, Scale(0, 4));
    story.then(40, Scale(0, 3)).holds();
}

/// Of the first one no old pod is ready, so none can be ended; those of the second one hold what its new pods lack.
#[test]
fn a_workload_whose_old_pods_never_got_a_connection_does_not_hold_up_the_adoption_of_another() {
    Story::new(13)
        .with(0, rolling(1, 0), UNLABELLED, None)
        .with(2, rolling(1, 0), UNLABELLED, None)
        .full()
        .then(0, Scale(0, 2))
        .then(20, RollOut(0, GOOD))
        .then(0, RollOut(1, GOOD))
        .holds();
}

/// The old pods hold all connections, and the new one becomes ready only with one of them.
#[test]
fn a_full_database_is_adopted() {
    for replicas in [1, 3] {
        let story = Story::new(13).with(replicas, rolling(1, 0), UNLABELLED, None).full();
        let story = story.then(0, RollOut(0, GOOD));
        story.holds();
        story.hangs_without(Mutation::AdoptedStay);
    }
}

/// Each pod holds 15 by its own env, and all together several times what there is.
#[test]
fn pods_that_nobody_held_make_way_one_by_one_when_the_mode_becomes_gate() {
    for replicas in [2, 3, 6] {
        let story = Story::new(13).deployment(replicas, rolling(0, 1)).observed().then(0, Observe(0, false));
        let ready = |outcome: &Outcome| least_ready(&outcome.cluster, 0, replicas as usize);
        story.holds_and(|outcome| ready(outcome) + 1 >= replicas as usize);
        story.leads_to(Mutation::WithoutTheWayDown, |outcome| ready(outcome) == 0);
    }
}

#[test]
fn a_mode_that_is_changed_there_and_back_between_two_looks_holds() {
    for pause in [0, 1, 5] {
        Story::new(13)
            .deployment(3, rolling(1, 0))
            .deployment(2, rolling(0, 1))
            .then(0, Observe(0, true))
            .then(pause, Scale(0, 5))
            .then(pause, Observe(0, false))
            .then(pause, RollOut(1, GOOD))
            .then(pause, Scale(0, 2))
            .holds();
    }
}
