//! Leaders that die, and leaders that do not know yet that there is another one.

use poolbudget_simulation::cluster::Kind;
use poolbudget_simulation::judge::Fault;
use poolbudget_simulation::mutation::Mutation;
use poolbudget_simulation::plan::Action::{
    Crash, CutWatch, Delay, Eviction, ForcePod, KillAtWrite, LoseNode, RollOut, Scale, Split,
};
use poolbudget_simulation::weather::{Call, Moment};
use testkit::model::deployment::Strategy;

use crate::story::{GOOD, Story, rolling};

/// A rollout and two scale-ups at a full limit: several batches of grants, pods that make room, and time for a take-over
/// or two in between. Processes die where they are told to.
fn survives(deaths: &[(u32, Moment)]) {
    let mut story = Story::new(12).deployment(2, rolling(1, 0)).deployment(1, Strategy::default());
    for (write, moment) in deaths {
        story = story.then(0, KillAtWrite(*write, *moment));
    }
    let story = story.then(0, RollOut(0, GOOD)).then(0, Scale(1, 4)).then(60, Scale(1, 5));
    story.holds_and(|outcome| outcome.tally.deaths == deaths.len() as u64);
}

#[test]
fn a_leader_may_die_between_any_two_writes() {
    for write in 1..=16 {
        for moment in [Moment::Before, Moment::After] {
            survives(&[(write, moment)]);
        }
    }
}

#[test]
fn its_successor_may_die_between_any_two_writes_of_the_take_over() {
    for (first, second) in (1..=6).flat_map(|first| (1..=4).map(move |second| (first, second))) {
        for moment in [Moment::Before, Moment::After] {
            survives(&[(first, Moment::After), (second, moment)]);
        }
    }
}

/// A pod is granted everything, and the patch is slow. Its leader dies; its successor finds five more pods that want a
/// part.
#[test]
fn a_slow_patch_that_crosses_a_fail_over_is_on_the_bill_of_the_next_leader() {
    let story = Story::new(10)
        .deployment(0, rolling(0, 1))
        .deployment(0, rolling(0, 1))
        .then(0, Delay(Call::PatchPod, 30, 22_000))
        .then(0, Scale(0, 1))
        .then(1, Crash(0))
        .then(12, Scale(1, 5));
    story.holds();
    story.breaks_without(Mutation::GrantsNotPersisted, Fault::Over, 10);
}

/// The old leader does not know that it leads no more. While its successor reads, it opens a gate and forgets that the
/// grant was in flight. The successor's watch stands still for longer than what no pod accounts for is kept on the bill.
#[test]
fn a_grant_of_an_older_leader_during_the_take_over_is_seen_by_the_newer_one() {
    let story = Story::new(10)
        .deployment(0, rolling(0, 1))
        .then(0, Eviction(0, false))
        .then(1, Delay(Call::PatchPod, 1, 4_000))
        .then(0, Scale(0, 1))
        .then(1, Scale(0, 5))
        .then(1, Delay(Call::ReadBudget, 2, 6_000))
        .then(0, Split(5))
        .then(1, CutWatch(1, Kind::Pods as usize, 120));
    story.holds();
    story.breaks_without(Mutation::ListBeforeEpoch, Fault::Over, 45);
}

/// Its kubelet is away and ends nothing. Its successor knows by the status alone on which node it was.
#[test]
fn what_went_while_nobody_led_keeps_its_room_until_its_kubelet_is_heard_of() {
    let story = Story::new(4)
        .deployment(2, rolling(0, 1))
        // The first pod is on node 1.
        .then(0, LoseNode(1, 400))
        .then(1, Crash(0))
        .then(2, ForcePod(0, 1_000));
    let goes_on = |story: Story| story.then(30, Scale(0, 4)).then(40, Scale(0, 3));
    let once = goes_on(story.clone());
    once.holds();
    once.breaks_without(Mutation::NodesNotAsked, Fault::Over, 50);
    // The next one dies, too, before that.
    goes_on(story.then(20, Crash(1))).holds();
}

/// It is bound when its leader writes no status any more: nobody has ever said on which node it was.
#[test]
fn what_went_while_nobody_led_and_was_just_granted_keeps_its_room_though_nobody_knows_its_node() {
    let story = Story::new(2)
        .deployment(0, rolling(0, 1))
        .then(0, Delay(Call::PatchPod, 1, 1_500))
        .then(0, Scale(0, 1))
        .then(1, Delay(Call::WriteStatus, 4, 40_000))
        .then(4, LoseNode(1, 400))
        .then(0, Crash(0))
        .then(2, ForcePod(0, 1_000))
        .then(70, Scale(0, 2));
    story.holds();
}
