//! The model of the StatefulSet controller, case by case.

use proptest::prelude::{any, prop_assert, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy};
use testkit::model::IntOrPercent;
use testkit::model::stateful_set::Change::{Create, Delete};
use testkit::model::stateful_set::{Change, Pod, StatefulSet, Update};

use crate::controllers::template;

const ONE_BY_ONE: Update = Update::Rolling { partition: 0, max_unavailable: None };

const fn rolling(partition: u32, most: u32) -> Update {
    Update::Rolling { partition, max_unavailable: Some(IntOrPercent::Int(most)) }
}

fn ordered(replicas: u32, update: Update) -> StatefulSet {
    StatefulSet::new(replicas, false, update, template(0))
}

fn parallel(replicas: u32, update: Update) -> StatefulSet {
    StatefulSet::new(replicas, true, update, template(0))
}

/// Ready pods of that template, with ordinals from 0 on.
fn ready(count: u32, template: u32) -> Vec<Pod> {
    let ready = |ordinal| Pod { ordinal, template, ready: true, terminating: false, ended: false };
    (0..count).map(ready).collect()
}

/// Of these ordinals the pods are not ready.
fn sick(mut pods: Vec<Pod>, ordinals: &[u32]) -> Vec<Pod> {
    pods.iter_mut().filter(|pod| ordinals.contains(&pod.ordinal)).for_each(|pod| pod.ready = false);
    pods
}

fn terminating(mut pods: Vec<Pod>, ordinals: &[u32]) -> Vec<Pod> {
    pods.iter_mut().filter(|pod| ordinals.contains(&pod.ordinal)).for_each(|pod| pod.terminating = true);
    pods
}

fn without(mut pods: Vec<Pod>, ordinal: u32) -> Vec<Pod> {
    pods.retain(|pod| pod.ordinal != ordinal);
    pods
}

/// A set of three that rolls from template 0 to template 1.
fn rolled(mut set: StatefulSet) -> StatefulSet {
    set.template = template(1);
    set
}

#[test]
fn pods_that_come_in_order_wait_for_the_one_before() {
    let made = |pods: &[Pod]| ordered(3, ONE_BY_ONE).sync(pods);
    assert_eq!(made(&[]), [Create(0, template(0))]);
    assert_eq!(made(&sick(ready(1, 0), &[0])), []);
    assert_eq!(made(&ready(1, 0)), [Create(1, template(0))]);
    assert_eq!(made(&without(ready(3, 0), 0)), [Create(0, template(0))]);
    assert_eq!(made(&terminating(ready(3, 0), &[0])), []);
}

#[test]
fn parallel_pods_wait_for_nobody_but_for_their_own_predecessor() {
    let made = |pods: &[Pod]| parallel(3, ONE_BY_ONE).sync(pods);
    assert_eq!(made(&[]), [0, 1, 2].map(|ordinal| Create(ordinal, template(0))));
    assert_eq!(made(&terminating(sick(ready(2, 0), &[0]), &[1])), [Create(2, template(0))]);
}

#[test]
fn a_set_that_shrinks_in_order_loses_the_highest_while_all_others_are_ready() {
    let gone = |pods: &[Pod]| ordered(1, ONE_BY_ONE).sync(pods);
    assert_eq!(gone(&ready(4, 0)), [Delete(3)]);
    assert_eq!(gone(&terminating(ready(4, 0), &[3])), []);
    assert_eq!(gone(&sick(ready(4, 0), &[0])), []);
    assert_eq!(gone(&sick(ready(4, 0), &[3])), [Delete(3)]);
    assert_eq!(gone(&sick(ready(4, 0), &[2])), [Delete(3)]);
}

/// Neither of two pods that are too many and not ready is the one that the controller would take.
#[test]
fn a_set_that_shrinks_in_order_waits_for_the_highest_when_a_lower_one_is_not_ready_either() {
    assert_eq!(ordered(1, ONE_BY_ONE).sync(&sick(ready(3, 0), &[1, 2])), []);
}

#[test]
fn a_parallel_set_shrinks_at_once() {
    assert_eq!(parallel(1, ONE_BY_ONE).sync(&sick(ready(4, 0), &[0, 3])), [3, 2, 1].map(Delete));
}

#[test]
fn a_rollout_goes_one_by_one_from_the_highest_and_waits_for_each() {
    let rolls = |pods: &[Pod]| rolled(ordered(3, ONE_BY_ONE)).sync(pods);
    assert_eq!(rolls(&ready(3, 0)), [Delete(2)]);
    assert_eq!(rolls(&terminating(ready(3, 0), &[2])), []);
    assert_eq!(rolls(&ready(2, 0)), [Create(2, template(1))]);
    let mut half = ready(3, 0);
    half[2].template = 1;
    assert_eq!(rolls(&sick(half.clone(), &[2])), []);
    assert_eq!(rolls(&half), [Delete(1)]);
}

/// A pod of a revision that never becomes ready stops a set whose pods come in order, also when it is rolled back.
#[test]
fn a_bad_revision_has_to_be_deleted_by_its_user_where_pods_come_in_order() {
    let mut pods = sick(ready(3, 0), &[2]);
    pods[2].template = 1;
    let back = |set: StatefulSet| StatefulSet { template: template(2), ..set };
    assert_eq!(back(ordered(3, ONE_BY_ONE)).sync(&pods), []);
    assert_eq!(back(parallel(3, ONE_BY_ONE)).sync(&pods), [Delete(2)]);
}

#[test]
fn ordinals_below_the_partition_stay_and_come_back_as_they_were() {
    let set = || rolled(ordered(3, Update::Rolling { partition: 2, max_unavailable: None }));
    assert_eq!(set().sync(&ready(3, 0)), [Delete(2)]);
    let mut half = ready(3, 0);
    half[2].template = 1;
    assert_eq!(set().sync(&half), []);
    assert_eq!(set().sync(&without(half.clone(), 1)), [Create(1, template(0))]);
    assert_eq!(set().sync(&without(half, 2)), [Create(2, template(1))]);
}

#[test]
fn a_rollout_is_complete_when_every_pod_is_new_and_ready() {
    let mut set = rolled(ordered(2, ONE_BY_ONE));
    set.sync(&sick(ready(2, 1), &[0]));
    assert_eq!(set.current, template(0));
    set.sync(&ready(2, 1));
    assert_eq!(set.current, template(1));
}

#[test]
fn as_many_may_be_missing_as_the_gate_lets_say() {
    let rolls = |most, pods: &[Pod]| rolled(parallel(4, rolling(0, most))).sync(pods);
    assert_eq!(rolls(2, &ready(4, 0)), [3, 2].map(Delete));
    assert_eq!(rolls(2, &sick(ready(4, 0), &[0])), [Delete(3)]);
    assert_eq!(rolls(2, &terminating(ready(4, 0), &[3])), [Delete(2)]);
    assert_eq!(rolls(2, &sick(ready(4, 0), &[0, 1])), []);
    let percent =
        |share| Update::Rolling { partition: 0, max_unavailable: Some(IntOrPercent::Percent(share)) };
    let rolls = |share| rolled(ordered(4, percent(share))).sync(&ready(4, 0)).len();
    assert_eq!([10, 49, 50, 99].map(rolls), [1, 1, 2, 3]);
}

#[test]
fn pods_that_their_user_deletes_come_back_as_new_ones() {
    let set = || rolled(ordered(2, Update::OnDelete));
    assert_eq!(set().sync(&ready(2, 0)), []);
    assert_eq!(set().sync(&without(ready(2, 0), 0)), [Create(0, template(1))]);
}

fn update() -> impl Strategy<Value = Update> {
    let most = prop_oneof![Just(None), (0u32..5).prop_map(|most| Some(IntOrPercent::Int(most)))];
    let rolling = (0u32..4, most)
        .prop_map(|(partition, max_unavailable)| Update::Rolling { partition, max_unavailable });
    prop_oneof![Just(Update::OnDelete), rolling]
}

fn pod(ordinal: u32) -> impl Strategy<Value = Option<Pod>> {
    let flags = (0u32..3, any::<bool>(), any::<bool>(), any::<bool>());
    proptest::option::of(flags.prop_map(move |(template, ready, terminating, ended)| Pod {
        ordinal,
        template,
        ready: ready && !ended,
        terminating,
        ended,
    }))
}

proptest! {
    /// Whatever there is: no name twice, nothing deleted twice, and where pods come in order one change at a time.
    #[test]
    fn a_pass_never_makes_a_pod_that_is_there(
        replicas in 0u32..6, parallel: bool, update in update(),
        pods in (0u32..8).map(pod).collect::<Vec<_>>(),
    ) {
        let pods: Vec<Pod> = pods.into_iter().flatten().collect();
        let mut set = StatefulSet::new(replicas, parallel, update, template(0));
        set.template = template(1);
        let changes = set.sync(&pods);
        for change in &changes {
            match change {
                Create(ordinal, _) => {
                    prop_assert!(*ordinal < replicas && pods.iter().all(|pod| pod.ordinal != *ordinal));
                }
                Delete(place) => prop_assert!(!pods[*place].terminating),
            }
        }
        let rolls = matches!(update, Update::Rolling { max_unavailable: Some(_), .. });
        let deletions = changes.iter().filter(|change| matches!(change, Change::Delete(_))).count();
        prop_assert!(parallel || changes.len() <= 1 || (rolls && deletions == changes.len()));
    }
}
