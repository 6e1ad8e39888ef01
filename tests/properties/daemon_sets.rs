//! The model of the DaemonSet controller, case by case.

use testkit::model::IntOrPercent::{self, Int, Percent};

use crate::controllers::template;
use testkit::model::daemon_set::Change::{Create, Delete};
use testkit::model::daemon_set::{Change, DaemonSet, Pod, Update};

const NODES: [usize; 4] = [0, 1, 2, 3];

const fn rolling(max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Update {
    Update::Rolling { max_surge, max_unavailable }
}

/// One in a rollout from template 0 to template 1.
fn rolled(update: Update) -> DaemonSet {
    DaemonSet { template: template(1), ..DaemonSet::new(update, template(0)) }
}

const fn ready(node: usize, template: u32) -> Pod {
    Pod { node, template, ready: true, terminating: false, ended: false, age: template as u64 }
}

const fn sick(node: usize, template: u32) -> Pod {
    Pod { ready: false, ..ready(node, template) }
}

const fn terminating(node: usize, template: u32) -> Pod {
    Pod { terminating: true, ..ready(node, template) }
}

fn on_all(template: u32) -> Vec<Pod> {
    NODES.map(|node| ready(node, template)).to_vec()
}

fn pass(mut set: DaemonSet, pods: &[Pod]) -> Vec<Change> {
    set.sync(&NODES, pods)
}

const BESIDE: Update = rolling(Int(1), Int(0));
const IN_PLACE: Update = rolling(Int(0), Int(1));

#[test]
fn every_node_gets_a_pod() {
    assert_eq!(pass(rolled(IN_PLACE), &[]), NODES.map(Create));
    assert_eq!(pass(rolled(IN_PLACE), &[ready(1, 1), sick(3, 1)]), [0, 2].map(Create));
}

#[test]
fn a_node_that_it_does_not_run_on_loses_its_pod() {
    let mut set = rolled(IN_PLACE);
    assert_eq!(set.sync(&[0, 1], &[ready(0, 1), ready(1, 1), ready(2, 1), terminating(3, 1)]), [Delete(2)]);
}

#[test]
fn without_surge_a_successor_comes_when_its_predecessor_is_gone() {
    let three = [ready(0, 1), ready(1, 1), ready(2, 1)];
    let with = |pod: Pod| pass(rolled(IN_PLACE), &[&three[..], &[pod]].concat());
    assert_eq!(with(terminating(3, 1)), []);
    assert_eq!(with(Pod { ended: true, ..terminating(3, 1) }), [Create(3)]);
    assert_eq!(with(Pod { ended: true, ..ready(3, 1) }), [Delete(3)]);
}

#[test]
fn with_surge_a_successor_comes_as_soon_as_its_predecessor_goes() {
    let pods = [ready(0, 1), ready(1, 1), ready(2, 1), terminating(3, 1)];
    assert_eq!(pass(rolled(BESIDE), &pods), [Create(3)]);
}

#[test]
fn a_rollout_in_place_deletes_what_may_be_missing() {
    assert_eq!(pass(rolled(IN_PLACE), &on_all(0)), [Delete(0)]);
    assert_eq!(pass(rolled(rolling(Int(0), Int(3))), &on_all(0)), [0, 1, 2].map(Delete));
    let going = [terminating(0, 0), ready(1, 0), ready(2, 0), ready(3, 0)];
    assert_eq!(pass(rolled(IN_PLACE), &going), []);
    let coming = [sick(0, 1), ready(1, 0), ready(2, 0), ready(3, 0)];
    assert_eq!(pass(rolled(IN_PLACE), &coming), []);
}

/// Percentages are rounded up, other than those of a Deployment that may be missing.
#[test]
fn percentages_are_rounded_up() {
    let deleted = |share| pass(rolled(rolling(Int(0), Percent(share))), &on_all(0)).len();
    assert_eq!([1, 25, 26, 50, 51, 100].map(deleted), [1, 1, 2, 2, 3, 4]);
    let made = |share| pass(rolled(rolling(Percent(share), Int(0))), &on_all(0)).len();
    assert_eq!([1, 25, 26, 100].map(made), [1, 1, 2, 4]);
}

#[test]
fn when_both_numbers_come_to_nothing_one_pod_may_be_missing() {
    assert_eq!(pass(rolled(rolling(Int(0), Percent(0))), &on_all(0)), [Delete(0)]);
}

#[test]
fn old_pods_that_are_not_ready_are_replaced_whatever_else_is_missing() {
    let pods = [sick(0, 1), sick(1, 0), sick(2, 0), ready(3, 0)];
    assert_eq!(pass(rolled(IN_PLACE), &pods), [1, 2].map(Delete));
    assert_eq!(pass(rolled(BESIDE), &pods), [1, 2, 3].map(Create));
}

#[test]
fn a_rollout_beside_makes_the_new_pod_first_and_deletes_the_old_one_when_it_is_ready() {
    assert_eq!(pass(rolled(BESIDE), &on_all(0)), [Create(0)]);
    let waits = [&on_all(0)[..], &[sick(0, 1)]].concat();
    assert_eq!(pass(rolled(BESIDE), &waits), []);
    let comes = [&on_all(0)[..], &[ready(0, 1)]].concat();
    assert_eq!(pass(rolled(BESIDE), &comes), [Delete(0)]);
}

#[test]
fn of_two_pods_on_a_node_of_which_none_is_ready_the_new_one_stays() {
    let pods = [sick(0, 0), sick(0, 1), ready(1, 1), ready(2, 1), ready(3, 1)];
    assert_eq!(pass(rolled(BESIDE), &pods), [Delete(0)]);
}

#[test]
fn without_surge_the_older_of_two_pods_on_a_node_stays() {
    let pods = [&on_all(0)[..], &[ready(2, 1)]].concat();
    assert_eq!(pass(rolled(IN_PLACE), &pods), [Delete(4)]);
}

#[test]
fn pods_are_left_to_their_user_where_the_strategy_says_so() {
    assert_eq!(pass(rolled(Update::OnDelete), &on_all(0)), []);
    assert_eq!(pass(rolled(Update::OnDelete), &on_all(0)[1..]), [Create(0)]);
}
