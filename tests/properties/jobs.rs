//! The models of the Job and CronJob controllers, case by case.

use std::time::Duration;

use testkit::model::cron_job::{Concurrency, CronJob, Pass};
use testkit::model::job::{Change, End, Job, Pod};

use crate::controllers::template;

const NOW: Duration = Duration::from_secs(1_000);

const fn running(uid: u32) -> Pod {
    Pod { uid, bound: true, ready: true, terminating: false, ended: None }
}

const fn terminating(uid: u32) -> Pod {
    Pod { terminating: true, ..running(uid) }
}

const fn ended(uid: u32, end: End) -> Pod {
    Pod { ended: Some(end), ready: false, ..running(uid) }
}

fn job(parallelism: u32, completions: Option<u32>) -> Job {
    Job::new(parallelism, completions, template(0))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn as_many_pods_work_at_a_time_as_may_and_as_are_left_to_do() {
    let made = |completions, pods: &[Pod]| job(3, completions).sync(pods, NOW);
    assert_eq!(made(Some(5), &[]), Change::Create(3));
    assert_eq!(made(Some(2), &[]), Change::Create(2));
    assert_eq!(made(None, &[running(0)]), Change::Create(2));
    let three_done = [0, 1, 2].map(|uid| ended(uid, End::Complete));
    assert_eq!(made(Some(5), &three_done), Change::Create(2));
}

#[test]
fn a_job_is_complete_when_enough_pods_have_succeeded_and_none_is_left() {
    let mut job = job(2, Some(2));
    assert_eq!(job.sync(&[ended(0, End::Complete), running(1)], NOW), Change::Nothing);
    assert_eq!((job.succeeded, job.finished), (1, None));
    job.sync(&[ended(0, End::Complete), ended(1, End::Complete)], NOW);
    assert_eq!((job.succeeded, job.finished), (2, Some(End::Complete)));
    assert_eq!(job.wanted(), 0);
}

#[test]
fn without_completions_the_first_success_makes_no_more_pods_and_the_last_one_completes_the_job() {
    let mut job = job(3, None);
    assert_eq!(job.sync(&[ended(0, End::Complete), running(1)], NOW), Change::Nothing);
    assert_eq!((job.wanted(), job.finished), (1, None));
    job.sync(&[ended(0, End::Complete), ended(1, End::Failed)], NOW);
    assert_eq!(job.finished, Some(End::Complete));
}

#[test]
fn a_terminating_pod_is_replaced_at_once_or_when_it_is_gone() {
    let replaced = |replaces_terminating, pods: &[Pod]| {
        let mut job = Job { replaces_terminating, ..job(2, Some(4)) };
        // Long after the failure that a deletion counts as.
        job.sync(pods, NOW);
        job.sync(pods, NOW + seconds(10))
    };
    let pods = [running(0), terminating(1)];
    assert_eq!(replaced(true, &pods), Change::Create(1));
    assert_eq!(replaced(false, &pods), Change::Nothing);
    assert_eq!(replaced(false, &pods[..1]), Change::Create(1));
}

#[test]
fn after_each_failure_in_a_row_it_waits_twice_as_long() {
    let mut job = job(1, Some(1));
    let failed = |count| (0..count).map(|uid| ended(uid, End::Failed)).collect::<Vec<_>>();
    assert_eq!(job.sync(&failed(1), NOW), Change::Wait(seconds(10)));
    assert_eq!(job.sync(&failed(1), NOW + seconds(9)), Change::Wait(seconds(1)));
    assert_eq!(job.sync(&failed(1), NOW + seconds(10)), Change::Create(1));
    assert_eq!(job.sync(&failed(3), NOW), Change::Wait(seconds(40)));
}

#[test]
fn too_many_failures_end_a_job_and_its_pods() {
    let mut job = Job { backoff_limit: 1, ..job(2, Some(2)) };
    let failed = [ended(0, End::Failed), ended(1, End::Failed)];
    let with = |pod: Pod| [&failed[..], &[pod]].concat();
    assert_eq!(job.sync(&with(running(2)), NOW), Change::Delete(vec![2]));
    assert_eq!((job.sync(&with(terminating(2)), NOW), job.finished), (Change::Nothing, None));
    assert_eq!((job.sync(&failed, NOW), job.finished), (Change::Nothing, Some(End::Failed)));
}

#[test]
fn a_pod_that_ended_counts_once() {
    let mut job = job(1, Some(3));
    for _ in 0..3 {
        job.sync(&[ended(7, End::Complete)], NOW);
    }
    assert_eq!(job.succeeded, 1);
}

#[test]
fn a_job_that_is_suspended_or_narrowed_loses_those_that_have_done_least() {
    let pods =
        [running(0), Pod { bound: false, ready: false, ..running(1) }, Pod { ready: false, ..running(2) }];
    let narrowed = |parallelism| job(parallelism, Some(9)).sync(&pods, NOW);
    assert_eq!(narrowed(2), Change::Delete(vec![1]));
    assert_eq!(narrowed(1), Change::Delete(vec![1, 2]));
    let suspended = Job { suspended: true, ..job(3, Some(9)) }.sync(&pods, NOW);
    assert_eq!(suspended, Change::Delete(vec![1, 2, 0]));
}

fn every_minute(concurrency: Concurrency) -> CronJob {
    CronJob { active: vec![4, 5], ..CronJob::new(seconds(60), concurrency, NOW) }
}

#[test]
fn a_run_begins_when_it_is_due_and_once() {
    let mut cron_job = every_minute(Concurrency::Allow);
    let mut at = |after| cron_job.sync(|_| true, NOW + seconds(after));
    assert_eq!(at(59), Pass { next: seconds(1), ..Pass::default() });
    assert_eq!(at(61), Pass { begins: true, next: seconds(59), ..Pass::default() });
    assert_eq!(at(62), Pass { next: seconds(58), ..Pass::default() });
    // Of runs that were missed only the last one is made up for.
    assert_eq!(at(250), Pass { begins: true, next: seconds(50), ..Pass::default() });
    assert!(!at(251).begins);
}

#[test]
fn what_becomes_of_runs_that_are_not_done_is_for_the_policy_to_say() {
    let pass = |concurrency, runs: fn(u32) -> bool| {
        let Pass { replaced, begins, .. } = every_minute(concurrency).sync(runs, NOW + seconds(60));
        (replaced, begins)
    };
    assert_eq!(pass(Concurrency::Allow, |_| true), (vec![], true));
    assert_eq!(pass(Concurrency::Forbid, |job| job == 5), (vec![], false));
    assert_eq!(pass(Concurrency::Forbid, |_| false), (vec![], true));
    assert_eq!(pass(Concurrency::Replace, |job| job == 5), (vec![5], true));
}

#[test]
fn a_run_that_was_held_up_begins_when_the_one_before_is_done() {
    let mut cron_job = every_minute(Concurrency::Forbid);
    assert!(!cron_job.sync(|_| true, NOW + seconds(60)).begins);
    assert!(cron_job.sync(|_| false, NOW + seconds(75)).begins);
    assert!(!cron_job.sync(|_| false, NOW + seconds(76)).begins);
}

#[test]
fn nothing_begins_while_it_is_suspended() {
    let mut cron_job = CronJob { suspended: true, ..every_minute(Concurrency::Replace) };
    assert_eq!(cron_job.sync(|_| true, NOW + seconds(60)), Pass { next: seconds(60), ..Pass::default() });
}
