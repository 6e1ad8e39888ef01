//! The simulation can fail: with one rule of the protocol left out, it finds what the rule is there for.

use crate::simulator::judge::Fault;
use crate::simulator::mutation::Mutation;
use crate::simulator::plan::Plan;
use crate::simulator::run;

/// The first schedule that breaks a promise, of so many, breaks that one.
fn finds(mutation: Mutation, schedules: fn(u64) -> Plan, within: u64, fault: Fault) {
    let mut broken = (0..within)
        .filter_map(|seed| run(&schedules(seed), mutation, false).violation.map(|found| (seed, found.fault)));
    let Some((seed, found)) = broken.next() else { panic!("{within} schedules keep every promise") };
    println!("{mutation:?} is missed by seed {seed}");
    assert_eq!(found, fault, "seed {seed}");
}

/// The schedules themselves are not what is wrong.
#[test]
fn with_every_rule_contested_schedules_keep_every_promise() {
    for seed in 0..500 {
        let violation = run(&Plan::contested(seed), Mutation::None, false).violation;
        assert!(violation.is_none(), "seed {seed}: {violation:?}");
    }
}

#[test]
fn without_a_slot_for_the_surge_pod_some_rollout_never_moves() {
    finds(Mutation::WithoutR1, Plan::of, 200, Fault::Stuck);
}

#[test]
fn with_shares_counted_in_connections_some_pod_waits_for_ever() {
    finds(Mutation::WithoutR2, Plan::of, 200, Fault::Stuck);
}

#[test]
fn without_room_for_lost_pods_some_pod_waits_for_ever() {
    finds(Mutation::WithoutR3AndLastResort, Plan::of, 500, Fault::Stuck);
}

#[test]
fn without_the_last_resort_some_pod_waits_for_ever() {
    finds(Mutation::WithoutLastResort, Plan::of, 2_000, Fault::Stuck);
}

#[test]
fn without_persisted_grants_a_fail_over_goes_over() {
    finds(Mutation::GrantsNotPersisted, Plan::contested, 2_000, Fault::Over);
}

#[test]
fn with_the_list_before_the_epoch_a_fail_over_goes_over() {
    finds(Mutation::ListBeforeEpoch, Plan::contested, 10_000, Fault::Over);
}

#[test]
fn with_terminating_pods_forgotten_the_sum_goes_over() {
    finds(Mutation::TerminatingForgotten, Plan::of, 100, Fault::Over);
}

#[test]
fn with_pods_of_before_adoption_on_the_bill_some_adoption_waits_for_ever() {
    finds(Mutation::AdoptedOnTheBill, Plan::of, 200, Fault::Stuck);
}
