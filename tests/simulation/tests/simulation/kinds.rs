//! Stories of the kinds whose controllers act otherwise than those of Deployments.

use kube::runtime::watcher::Event;
use poolbudget_simulation::Outcome;
use poolbudget_simulation::cluster::{Facts, Kind};
use poolbudget_simulation::mutation::Mutation;
use poolbudget_simulation::plan::Action::{
    Crash, CutWatch, DeletePod, ForcePod, LoseNode, Observe, Outage, RollOut, Scale, Undo,
};
use poolbudget_simulation::workload::{Form, Maker, Task};
use testkit::model::IntOrPercent::{Int, Percent};
use testkit::model::cron_job::Concurrency;
use testkit::model::job::End;
use testkit::model::{daemon_set, stateful_set};

use crate::story::{GOOD, Story, least_ready, processes, rolling};

const RELEASED: Facts = Facts { budget: None, ..GOOD };

const IN_TURN: stateful_set::Update = stateful_set::Update::Rolling { partition: 0, max_unavailable: None };

const fn stateful(parallel: bool, update: stateful_set::Update) -> Form {
    Form::StatefulSet { parallel, update }
}

const fn daemons(surge: u32, unavailable: u32) -> Form {
    let (max_surge, max_unavailable) = (Int(surge), Int(unavailable));
    Form::DaemonSet(daemon_set::Update::Rolling { max_surge, max_unavailable })
}

const fn task(completions: u32) -> Task {
    Task { completions: Some(completions), replaces_terminating: true }
}

/// When the gate of the first pod opened whose name begins like this, as a place in the order of events.
fn opened(outcome: &Outcome, beginning: &str) -> Option<usize> {
    outcome.cluster.log.pods.iter().position(|(_, event)| {
        let Event::Apply(pod) = event else { return false };
        let name = pod.metadata.name.as_deref().unwrap();
        name.starts_with(beginning) && pod.spec.scheduling_gates.is_empty()
    })
}

fn succeeded(outcome: &Outcome, app: usize) -> bool {
    matches!(&outcome.cluster.apps[app].maker, Maker::Job(job) if job.finished == Some(End::Complete))
}

/// Its pods fill the limit: a successor has the room of its predecessor, and no other.
#[test]
fn a_stateful_set_rolls_at_a_full_limit_one_pod_after_the_other() {
    let several = |most| stateful_set::Update::Rolling { partition: 0, max_unavailable: Some(most) };
    for parallel in [false, true] {
        for update in [IN_TURN, several(Int(2)), several(Percent(50))] {
            let story =
                Story::new(4).workload(4, stateful(parallel, update), GOOD, None).then(0, RollOut(0, GOOD));
            let most_missing = if update == IN_TURN { 1 } else { 2 };
            story.holds_and(|outcome| least_ready(&outcome.cluster, 0, 4) >= 4 - most_missing);
        }
    }
}

#[test]
fn a_stateful_set_that_grows_and_shrinks_at_once_never_holds_more_than_it_may() {
    for parallel in [false, true] {
        Story::new(6)
            .workload(2, stateful(parallel, IN_TURN), GOOD, None)
            .then(0, Scale(0, 6))
            .then(5, Scale(0, 1))
            .then(1, RollOut(0, processes(2)))
            .then(1, Scale(0, 3))
            .holds();
    }
}

/// The successor bears the name of a pod whose end nobody has told the leader.
#[test]
fn a_pod_that_takes_the_name_of_one_that_was_deleted_by_force_does_not_take_its_place_on_the_bill() {
    for cut in [1, 5] {
        let story = Story::new(6)
            .workload(2, stateful(true, IN_TURN), GOOD, Some(3))
            .then(0, CutWatch(0, Kind::Pods as usize, cut))
            .then(0, ForcePod(0, 1_000))
            .then(0, ForcePod(0, 1_000))
            .then(8, Crash(0));
        story.holds();
    }
}

/// Its status says for a moment that a pod is missing, while its successor is there and another one is from before the label.
#[test]
fn a_stateful_set_that_is_half_adopted_when_its_sizes_come_into_force_comes_down() {
    for parallel in [false, true] {
        for wait in 0..4 {
            Story::new(5)
                .observed()
                .workload(3, stateful(parallel, IN_TURN), RELEASED, None)
                .then(0, RollOut(0, GOOD))
                .then(wait, DeletePod(1))
                .then(0, Observe(0, false))
                .holds();
        }
    }
}

/// Its highest pod waits at the gate when the label goes. A set whose pods come in order does nothing about the others
/// before that one is ready.
#[test]
fn a_stateful_set_that_leaves_its_budget_while_it_grows_can_roll_away() {
    Story::new(8)
        .workload(2, stateful(false, IN_TURN), GOOD, None)
        .then(0, Scale(0, 6))
        .then(6, RollOut(0, RELEASED))
        .holds();
}

#[test]
fn a_daemon_set_rolls_at_a_full_limit_in_place_and_beside() {
    for (surge, unavailable, usable) in [(0, 1, 3), (0, 2, 3), (1, 0, 4), (2, 0, 4)] {
        let story = Story::new(usable)
            .workload(3, daemons(surge, unavailable), GOOD, None)
            .then(0, RollOut(0, GOOD))
            .then(3, RollOut(0, processes(1)));
        story.holds_and(|outcome| least_ready(&outcome.cluster, 0, 3) + unavailable as usize >= 3);
    }
}

#[test]
fn a_daemon_set_that_may_miss_no_pod_hangs_without_its_surge_slot() {
    let story = Story::new(3 + 1).workload(3, daemons(1, 0), GOOD, None).then(0, RollOut(0, GOOD));
    story.hangs_without(Mutation::WithoutR1);
}

/// Pods that were not replaced yet are of the newest template again, but bear the number of an older one.
#[test]
fn a_daemon_set_that_is_rolled_back_half_way_settles() {
    Story::new(6)
        .workload(3, daemons(0, 1), GOOD, None)
        .then(0, RollOut(0, GOOD))
        .then(5, Undo(0, 1))
        .holds();
}

#[test]
fn a_daemon_set_whose_node_is_lost_and_comes_back_gets_its_pod_again() {
    for away in [20, 70, 200] {
        Story::new(4)
            .workload(3, daemons(0, 1), GOOD, None)
            .then(0, LoseNode(1, away))
            .then(10, RollOut(0, GOOD))
            .holds();
    }
}

/// 6 of 8 connections are held by one that may keep them for now, 1 by the pod that is to be replaced. One is left, and
/// the surge pod is the older one of those that wait for it.
#[test]
fn a_migration_passes_before_a_surge_pod_where_only_one_of_them_fits() {
    let story = Story::new(8)
        .deployment(1, rolling(0, 1))
        .with(1, rolling(1, 0), GOOD, Some(1))
        .workload(0, Form::Job(task(1)), GOOD, Some(1))
        .then(0, Outage(8))
        .then(0, RollOut(1, GOOD))
        .then(3, Scale(2, 1));
    story.holds_and(|outcome| {
        let (migration, surge) = (opened(outcome, "w2-2-"), opened(outcome, "w1-3-"));
        succeeded(outcome, 2) && migration.is_some() && migration < surge
    });
}

#[test]
fn what_a_pod_that_is_done_has_held_goes_to_the_next_one() {
    let story = Story::new(2).workload(0, Form::Job(task(6)), GOOD, None).then(0, Scale(0, 2));
    story.holds_and(|outcome| succeeded(outcome, 0));
}

#[test]
fn a_job_whose_pods_are_lost_gets_others_at_once_or_when_they_are_gone_and_fits_either_way() {
    for replaces_terminating in [true, false] {
        let lost = Task { completions: Some(4), replaces_terminating };
        Story::new(4)
            .workload(0, Form::Job(lost), GOOD, None)
            .then(0, Scale(0, 4))
            .then(2, DeletePod(0))
            .then(1, ForcePod(1, 900))
            .then(1, LoseNode(0, 80))
            .holds();
    }
}

#[test]
fn runs_of_a_cron_job_that_overlap_or_replace_each_other_fit() {
    for concurrency in [Concurrency::Allow, Concurrency::Forbid, Concurrency::Replace] {
        Story::new(5)
            .workload(2, Form::CronJob(task(3), 10, concurrency), GOOD, None)
            .deployment(1, rolling(1, 0))
            .then(45, RollOut(1, GOOD))
            .then(5, Scale(1, 2))
            .then(30, Scale(1, 1))
            .holds();
    }
}
