//! The model of the workload controllers, where a real cluster cannot be asked: sizes that are too large to try,
//! instants that pass too fast, and clocks.

use std::time::Duration;

use poolbudget::budget::amount::Pods;
use poolbudget::budget::rollout;
use proptest::prelude::{prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as _;
use testkit::model::IntOrPercent;
use testkit::model::deployment::{Deployment, Strategy, Template};
use testkit::model::replica_set::{Change, Phase, Pod, Report, batches, change, report};

pub(crate) fn template(id: u32) -> Template {
    Template { id, good: true, processes: 1, labelled: true }
}

const fn rolling(max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Strategy {
    Strategy::RollingUpdate { max_surge, max_unavailable }
}

fn pods(surge: u32, unavailable: u32) -> Strategy {
    rolling(IntOrPercent::Int(surge), IntOrPercent::Int(unavailable))
}

fn sizes(deployment: &Deployment) -> Vec<i64> {
    deployment.sets.iter().map(|set| set.replicas).collect()
}

/// All pods that are asked for are there and available.
fn fulfil(deployment: &mut Deployment) {
    for set in &mut deployment.sets {
        (set.pods, set.available) = (set.replicas, set.replicas);
    }
}

fn settled(replicas: u32, strategy: Strategy) -> Deployment {
    let mut deployment = Deployment::new(replicas, strategy, template(0));
    deployment.sync(|_| false);
    fulfil(&mut deployment);
    deployment
}

#[test]
fn a_scaling_to_what_a_rollout_without_surge_has_just_left_is_stuck() {
    let mut deployment = settled(3, pods(0, 1));
    deployment.template = template(1);
    deployment.sync(|_| true);
    assert_eq!(sizes(&deployment), [2, 0]);
    deployment.replicas = 2;
    assert_eq!(deployment.sync(|_| true), []);
    assert!(deployment.is_stuck());
    deployment.replicas = 1;
    assert!(!deployment.is_stuck());
    deployment.sync(|_| true);
    assert_eq!(sizes(&deployment), [1, 0]);
}

#[test]
fn a_set_without_replicas_that_still_reports_pods_lends_none_to_a_rollout() {
    let mut deployment = settled(3, pods(1, 0));
    for id in [1, 2] {
        deployment.template = template(id);
        deployment.sync(|_| true);
    }
    deployment.sync(|_| true);
    assert_eq!(sizes(&deployment), [3, 0, 1]);
    deployment.sets[1].available = 1;
    deployment.sets[2].available = 1;
    deployment.sync(|_| true);
    assert_eq!(sizes(&deployment), [2, 0, 1], "the pod that set 1 still reports is going already");
}

#[test]
fn a_pass_that_creates_a_set_or_renews_its_revision_is_not_the_one_that_observes() {
    let mut deployment = settled(2, pods(1, 0));
    assert!(!deployment.observed);
    deployment.sync(|_| true);
    assert!(deployment.observed);
    deployment.template = template(1);
    deployment.observed = false;
    deployment.sync(|_| true);
    assert!(!deployment.observed);
    deployment.sync(|_| true);
    deployment.template = template(0);
    deployment.observed = false;
    let writes = deployment.sync(|_| true);
    assert_eq!((writes.len(), writes[0].set, writes[0].revision), (1, 0, 3));
    assert!(!deployment.observed);
}

fn int_or_percent() -> impl proptest::strategy::Strategy<Value = IntOrPercent> {
    prop_oneof![(0u32..40).prop_map(IntOrPercent::Int), (0u32..=150).prop_map(IntOrPercent::Percent)]
}

/// The same number to the operator.
fn ours(number: IntOrPercent) -> rollout::IntOrPercent {
    match number {
        IntOrPercent::Int(pods) => rollout::IntOrPercent::Int(pods),
        IntOrPercent::Percent(percent) => rollout::IntOrPercent::Percent(percent),
    }
}

proptest! {
    /// What the plan keeps slots for is what the controller does: no pod more at any instant, no pod fewer.
    #[test]
    fn a_rollout_goes_as_far_as_the_strategy_says(
        replicas in 1u32..60, surge in int_or_percent(), unavailable in int_or_percent(),
    ) {
        let mut deployment = settled(replicas, rolling(surge, unavailable));
        let strategy =
            rollout::Strategy::RollingUpdate { max_surge: ours(surge), max_unavailable: ours(unavailable) };
        deployment.template = template(1);
        let (mut old, mut new, mut most) = (i64::from(replicas), 0, 0);
        for _ in 0..4 {
            for write in deployment.sync(|_| true) {
                *(if write.set == 0 { &mut old } else { &mut new }) = write.replicas;
                most = most.max(old + new);
            }
            (deployment.sets[0].pods, deployment.sets[0].available) = (old, old);
        }
        let wanted = i64::from(replicas);
        let added = i64::from(strategy.surge(Pods::new(replicas)).get());
        let missing = i64::from(strategy.unavailable(Pods::new(replicas)).get());
        prop_assert_eq!(most, wanted + added.min(wanted));
        prop_assert_eq!(old, wanted - missing);
    }
}

fn running(uid: u64, node: u32) -> Pod {
    Pod {
        node: Some(node),
        phase: Phase::Running,
        ready: Some(Duration::ZERO),
        ..Pod::new(uid, Duration::ZERO)
    }
}

#[test]
fn pods_are_made_in_batches_that_double() {
    assert!(batches(0).is_empty());
    assert_eq!(batches(1), [1]);
    assert_eq!(batches(12), [1, 2, 4, 5]);
}

#[test]
fn one_pass_makes_or_deletes_five_hundred_pods_at_most() {
    let now = Duration::from_secs(60);
    assert_eq!(change(2_000, &[], &[], now), Change::Create(500));
    let pods: Vec<Pod> = (0..700).map(|uid| running(uid, 0)).collect();
    let Change::Delete(gone) = change(0, &pods, &pods, now) else { panic!("too many") };
    assert_eq!(gone.len(), 500);
}

#[test]
fn pods_that_terminate_or_have_ended_are_replaced_and_not_reported() {
    let now = Duration::from_secs(60);
    let leaving = Pod { terminating: true, ..running(0, 0) };
    let failed = Pod { phase: Phase::Failed, ready: None, ..running(1, 0) };
    let pods = [leaving, failed, running(2, 0)];
    let expected = Report { replicas: 1, ready: 1, available: 1, terminating: 1 };
    assert_eq!(report(&pods, Duration::ZERO, now), expected);
    assert_eq!(change(3, &pods, &pods, now), Change::Create(2));
}

#[test]
fn a_pod_is_available_when_it_has_been_ready_for_long_enough() {
    let available =
        |now| report(&[running(0, 0)], Duration::from_secs(10), Duration::from_secs(now)).available;
    assert_eq!([9, 10].map(available), [0, 1]);
    assert_eq!(report(&[running(0, 0)], Duration::ZERO, Duration::ZERO).available, 1);
}

#[test]
fn a_node_is_crowded_by_the_pods_of_the_other_revisions_too() {
    let pods = [running(0, 1), running(1, 2)];
    let other = [running(2, 2), Pod { terminating: true, ..running(3, 1) }];
    let related: Vec<Pod> = pods.iter().chain(&other).cloned().collect();
    assert_eq!(change(1, &pods, &related, Duration::from_secs(60)), Change::Delete(vec![1]));
}

#[test]
fn of_pods_of_about_the_same_age_the_uid_decides() {
    let ready = |uid, at| Pod { ready: Some(Duration::from_secs(at)), ..running(uid, 0) };
    // Ready for 90 and for 80 seconds: one power of two. For 90 and for 20: the younger one goes.
    let close = [ready(1, 10), ready(2, 20)];
    let apart = [ready(1, 10), ready(2, 80)];
    let now = Duration::from_secs(100);
    assert_eq!(change(1, &close, &close, now), Change::Delete(vec![0]));
    assert_eq!(change(1, &apart, &apart, now), Change::Delete(vec![1]));
}
