//! The decision in a closed loop with the Deployment and ReplicaSet controllers: never over the limit, and
//! everything comes to rest.
//!
//! Deterministic: a seed is a schedule. `POOLBUDGET_SCHEDULES=100000 cargo test --test properties schedules`
//! tries more of them; a failing one is named by its seed and tells its story.

mod cluster;
mod counterexamples;
mod operator;
mod schedule;

use crate::model::{deployment, random};
use operator::Rules;
use schedule::{End, Failure, story};

/// Tries that many schedules, or as many as the environment asks for.
fn check(end: End, usual: u64) {
    let count = std::env::var("POOLBUDGET_SCHEDULES").map_or(usual, |text| text.parse().unwrap());
    let failed = (0..count).find_map(|seed| story(seed, Rules::All, end).err());
    if let Some(Failure::Over(why) | Failure::Hang(why)) = failed {
        panic!("{why}");
    }
}

#[test]
fn schedules_never_exceed_the_limit_and_always_settle() {
    check(End::Mended, 2_000);
}

#[test]
fn schedules_with_an_image_that_never_becomes_ready_settle_all_other_workloads() {
    check(End::OneBadImage, 1_000);
}

#[test]
fn schedules_in_which_pods_escape_the_gate_settle_after_the_next_rollout() {
    check(End::GateRestored, 1_000);
}

/// The model would notice: with the rule taken away it finds a schedule that fails as the rule says.
fn finds(rules: Rules, end: End, failure: fn(&Failure) -> bool) -> bool {
    (0..1_000).any(|seed| story(seed, rules, end).is_err_and(|found| failure(&found)))
}

const fn hang(failure: &Failure) -> bool {
    matches!(failure, Failure::Hang(_))
}

#[test]
fn without_a_slot_for_the_surge_pod_some_schedule_hangs() {
    assert!(finds(Rules::WithoutR1, End::Mended, hang));
}

#[test]
fn with_shares_counted_in_connections_some_schedule_hangs() {
    assert!(finds(Rules::WithoutR2, End::Mended, hang));
}

#[test]
fn without_room_for_lost_pods_some_schedule_hangs() {
    assert!(finds(Rules::WithoutR3AndLastResort, End::Mended, hang));
}

#[test]
fn without_the_last_resort_some_schedule_hangs() {
    assert!(finds(Rules::WithoutLastResort, End::Mended, hang));
    assert!(finds(Rules::WithoutLastResort, End::OneBadImage, hang));
}

#[test]
fn without_the_bills_of_draining_pods_some_schedule_exceeds_the_limit() {
    assert!(finds(Rules::WithoutDraining, End::Mended, |failure| matches!(failure, Failure::Over(_))));
}
