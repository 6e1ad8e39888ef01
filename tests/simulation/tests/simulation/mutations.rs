//! The simulation can fail: with one rule of the protocol left out, it finds what the rule is there for.

use poolbudget::budget::decide::decide;
use poolbudget_simulation::judge::Fault;
use poolbudget_simulation::mutation::{Mutation, decide_without};
use poolbudget_simulation::plan::{Action, Plan};
use poolbudget_simulation::run;
use proptest::prelude::*;

use crate::situations::{EXTREME, USUAL, situation};

proptest! {
    /// What is left out is a rule, and not a step that the mutations forgot to take over.
    #[test]
    fn with_nothing_left_out_the_mutated_decision_is_the_decision(
        situation in prop_oneof![situation(USUAL, 4), situation(EXTREME, 4)],
    ) {
        let (ours, mutated) = (decide(&situation), decide_without(Mutation::None, &situation));
        prop_assert_eq!(ours.grants, mutated.grants);
        prop_assert_eq!(ours.reclaim, mutated.reclaim);
    }
}

/// The first of these schedules that breaks a promise breaks that one.
fn finds(mutation: Mutation, schedules: impl Iterator<Item = Plan>, fault: Fault) {
    let mut broken = schedules
        .filter_map(|plan| run(&plan, mutation, false).violation.map(|found| (plan.seed, found.fault)));
    let Some((seed, found)) = broken.next() else { panic!("they all keep every promise") };
    println!("{mutation:?} is missed by seed {seed}");
    assert_eq!(found, fault, "seed {seed}");
}

/// Schedules of every sort.
fn any(count: u64) -> impl Iterator<Item = Plan> {
    (0..count).map(Plan::of)
}

/// Those in which leaders change.
fn contested(count: u64) -> impl Iterator<Item = Plan> {
    (0..count).map(Plan::contested)
}

/// The schedules themselves are not what is wrong.
#[test]
fn with_every_rule_contested_schedules_keep_every_promise() {
    for plan in contested(500) {
        let violation = run(&plan, Mutation::None, false).violation;
        assert!(violation.is_none(), "seed {}: {violation:?}", plan.seed);
    }
}

#[test]
fn without_a_slot_for_the_surge_pod_some_rollout_never_moves() {
    finds(Mutation::WithoutR1, any(200), Fault::Stuck);
}

#[test]
fn with_shares_counted_in_connections_some_pod_waits_for_ever() {
    finds(Mutation::WithoutR2, any(200), Fault::Stuck);
}

#[test]
fn without_room_for_lost_pods_some_pod_waits_for_ever() {
    finds(Mutation::WithoutR3AndLastResort, any(500), Fault::Stuck);
}

#[test]
fn without_the_last_resort_some_pod_waits_for_ever() {
    let mended = any(2_000).filter(|plan| !plan.stays_bad);
    finds(Mutation::WithoutLastResort, mended, Fault::Stuck);
}

#[test]
fn without_the_last_resort_an_image_that_never_becomes_ready_holds_up_others() {
    let spoiled = any(10_000).filter(|plan| plan.stays_bad);
    finds(Mutation::WithoutLastResort, spoiled, Fault::Stuck);
}

#[test]
fn without_persisted_grants_a_fail_over_goes_over() {
    finds(Mutation::GrantsNotPersisted, contested(1_000), Fault::Over);
}

#[test]
fn with_the_list_before_the_epoch_a_fail_over_goes_over() {
    finds(Mutation::ListBeforeEpoch, contested(1_000), Fault::Over);
}

#[test]
fn with_terminating_pods_forgotten_the_sum_goes_over() {
    finds(Mutation::TerminatingForgotten, any(100), Fault::Over);
}

#[test]
fn without_a_word_on_what_lingers_the_sum_goes_over() {
    finds(Mutation::LingerForgotten, any(200), Fault::Over);
}

#[test]
fn where_pods_of_before_adoption_hold_all_there_is_and_stay_some_adoption_waits_for_ever() {
    finds(Mutation::AdoptedStay, any(500), Fault::Stuck);
}

#[test]
fn with_pods_of_before_adoption_on_the_bill_some_adoption_waits_for_ever() {
    finds(Mutation::AdoptedOnTheBill, any(200), Fault::Stuck);
}

#[test]
fn without_a_word_of_its_node_what_lives_on_there_is_granted_again() {
    let does = |plan: &Plan, what: fn(&Action) -> bool| plan.actions.iter().any(|(_, action)| what(action));
    let lost = |plan: &Plan| does(plan, |action| matches!(action, Action::LoseNode(..)));
    let ended_by_force = any(20_000).filter(move |plan| {
        lost(plan) && does(plan, |action| matches!(action, Action::ForcePod(..) | Action::DeletePod(_)))
    });
    finds(Mutation::NodesNotAsked, ended_by_force, Fault::Over);
}
