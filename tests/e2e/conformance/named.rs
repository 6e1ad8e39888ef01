//! One script for each peculiarity of the Deployment controller, with the sizes to which it leads.

use testkit::model::deployment::Strategy;

use super::script::{Class, Script, Step, edit, percent, pods, roll_out, scale};
use super::{assert_conforms, recordings};

/// Runs it on both and compares the sizes at the end, by template.
async fn leads_to(
    name: &str,
    replicas: u32,
    strategy: Strategy,
    steps: impl IntoIterator<Item = Step>,
    sizes: &[(u32, i64)],
) {
    let steps = steps.into_iter().collect();
    let script = Script { name: name.to_owned(), replicas, strategy, steps };
    let recordings = recordings(name, vec![script]).await;
    assert_conforms(&recordings);
    let rest = &recordings[0].acts.last().unwrap().rest;
    let mut real: Vec<(u32, i64)> = rest.sets.iter().map(|set| (set.template, set.spec.replicas)).collect();
    real.sort_unstable();
    assert_eq!(real, sizes, "{}", recordings[0]);
}

#[tokio::test]
async fn a_rollout_that_is_scaled_keeps_its_proportions() {
    let steps = [Step::Ready(0, 10), roll_out(1), scale(15)];
    leads_to("proportion", 10, pods(3, 2), steps, &[(0, 11), (1, 7)]).await;
}

#[tokio::test]
async fn what_rounding_leaves_over_goes_to_the_largest_and_oldest_set() {
    let less = edit().strategy(pods(1, 0)).replicas(6).into();
    let steps = [Step::Ready(0, 4), roll_out(1), less];
    leads_to("leftover", 4, pods(4, 0), steps, &[(0, 3), (1, 4)]).await;
}

#[tokio::test]
async fn what_rounding_gives_too_much_is_missing_from_the_smallest_set() {
    let steps = [Step::Ready(0, 4), roll_out(1), Step::Ready(1, 1), roll_out(2), scale(9)];
    leads_to("too-much", 4, pods(2, 1), steps, &[(0, 4), (1, 1), (2, 6)]).await;
}

#[tokio::test]
async fn of_equal_sets_the_older_shrinks_first_and_the_younger_grows_first() {
    let steps = [Step::Ready(0, 4), roll_out(1), Step::Ready(1, 2), scale(3), scale(8)];
    leads_to("equal", 4, pods(1, 0), steps, &[(0, 4), (1, 5)]).await;
}

#[tokio::test]
async fn pods_of_an_old_set_that_are_not_ready_go_before_any_new_one_is_ready() {
    let steps = [Step::Ready(0, 4), Step::Fail(0), Step::Fail(0), roll_out(1)];
    leads_to("unhealthy", 6, pods(2, 3), steps, &[(0, 3), (1, 5)]).await;
}

#[tokio::test]
async fn where_neither_surge_nor_loss_is_left_by_rounding_one_pod_may_be_missing() {
    let steps = [Step::Ready(0, 5), roll_out(1)];
    leads_to("rounding", 5, percent(0, 10), steps, &[(0, 4), (1, 1)]).await;
}

#[tokio::test]
async fn a_surge_is_rounded_up_and_a_loss_down() {
    let steps = [Step::Ready(0, 7), roll_out(1)];
    leads_to("up-down", 7, percent(25, 25), steps, &[(0, 6), (1, 3)]).await;
}

#[tokio::test]
async fn a_recreation_waits_for_the_last_pod_that_is_leaving() {
    let begin = [Step::Ready(0, 2), roll_out(1)];
    leads_to("lingers", 3, Strategy::Recreate, begin.clone(), &[(0, 0)]).await;
    let end = begin.into_iter().chain([Step::Release]);
    leads_to("released", 3, Strategy::Recreate, end, &[(0, 0), (1, 3)]).await;
}

#[tokio::test]
async fn a_recreation_that_is_undone_does_not_wait_for_its_own_pods() {
    let steps = [Step::Ready(0, 3), roll_out(1), roll_out(0)];
    leads_to("undone", 3, Strategy::Recreate, steps, &[(0, 3)]).await;
}

#[tokio::test]
async fn a_paused_deployment_is_scaled_and_not_rolled_out() {
    let paused = edit().paused(true).into();
    let steps = [Step::Ready(0, 3), paused, roll_out(1), scale(5)];
    leads_to("paused", 3, percent(25, 25), steps.clone(), &[(0, 5)]).await;
    let resumed = steps.into_iter().chain([edit().paused(false).into()]);
    leads_to("resumed", 3, percent(25, 25), resumed, &[(0, 4), (1, 3)]).await;
}

#[tokio::test]
async fn a_paused_rollout_is_scaled_in_proportion() {
    let steps = [Step::Ready(0, 4), roll_out(1), edit().paused(true).into(), scale(10)];
    leads_to("paused-part", 4, pods(2, 0), steps, &[(0, 8), (1, 4)]).await;
}

#[tokio::test]
async fn a_paused_deployment_without_pods_grows_its_youngest_set_whatever_its_template_is() {
    let steps = [roll_out(1), edit().paused(true).into(), roll_out(2), scale(3)];
    leads_to("paused-empty", 0, percent(25, 25), steps, &[(0, 0), (1, 3)]).await;
}

#[tokio::test]
async fn an_undone_rollout_deletes_the_new_pods_and_fills_the_old_set() {
    let steps = [Step::Ready(0, 8), roll_out(1), Step::Ready(1, 1), roll_out(0), Step::Ready(0, 3)];
    leads_to("undo", 8, percent(25, 25), steps, &[(0, 8), (1, 0)]).await;
}

#[tokio::test]
async fn a_rollout_over_a_rollout_takes_from_the_unready_set_first() {
    let steps = [Step::Ready(0, 6), roll_out(1), roll_out(2)];
    leads_to("rollover", 6, pods(2, 1), steps, &[(0, 5), (1, 0), (2, 3)]).await;
}

#[tokio::test]
async fn a_rollout_that_is_scaled_to_zero_leaves_nothing_and_grows_only_the_new_set() {
    let steps = [Step::Ready(0, 4), roll_out(1), scale(0), scale(3)];
    leads_to("zero", 4, pods(1, 1), steps, &[(0, 0), (1, 3)]).await;
}

#[tokio::test]
async fn a_surge_that_shrinks_takes_no_pod_back() {
    let steps = [Step::Ready(0, 4), roll_out(1), edit().strategy(pods(1, 0)).into()];
    leads_to("surge-less", 4, pods(4, 0), steps, &[(0, 4), (1, 4)]).await;
}

#[tokio::test]
async fn a_set_that_is_resized_by_hand_is_put_right() {
    let steps = [Step::Ready(0, 3), roll_out(1), Step::Ready(1, 3), Step::Ready(1, 3), Step::Resize(0, 2)];
    leads_to("by-hand", 3, pods(3, 0), steps, &[(0, 0), (1, 3)]).await;
}

#[tokio::test]
async fn a_lost_pod_stops_a_rollout_that_may_miss_none() {
    let steps = [Step::Ready(0, 3), roll_out(1), Step::Delete(0, Class::Ready), Step::Ready(1, 1)];
    leads_to("lost", 3, pods(1, 0), steps, &[(0, 2), (1, 2)]).await;
}

/// A flaw of the controller: every pass is taken for a scaling, and none scales several sets that are recreated.
#[tokio::test]
async fn a_rollout_that_is_scaled_while_it_becomes_a_recreation_is_stuck() {
    let both = edit().strategy(Strategy::Recreate).replicas(5).into();
    let steps = [Step::Ready(0, 3), roll_out(1), both, Step::Ready(1, 1), Step::Delete(0, Class::Ready)];
    leads_to("stuck", 3, pods(1, 0), steps, &[(0, 3), (1, 1)]).await;
}

/// The same flaw: a single set that has the right size is left alone, together with what it notes.
#[tokio::test]
async fn a_set_of_the_right_size_with_an_outdated_note_stops_every_rollout_until_the_next_scaling() {
    let steps = [Step::Ready(0, 3), Step::Note(0, 4), roll_out(1)];
    leads_to("outdated", 3, pods(1, 0), steps.clone(), &[(0, 3)]).await;
    let scaled = steps.into_iter().chain([scale(2)]);
    leads_to("updated", 3, pods(1, 0), scaled, &[(0, 2), (1, 1)]).await;
}
