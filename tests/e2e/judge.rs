//! The recorder fails what is over, on a real cluster. What it counts is tried in `tests/support`.

use testkit::ledger::Totals;
use testkit::objects::{self, granted_pod};
use testkit::{Recorder, eventually};

use crate::world::{SHARED, SOON, until_pod_ready};

#[tokio::test]
async fn the_recorder_sees_grants_made_by_hand_and_the_one_that_is_too_much() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("hand").await.unwrap();
    let early = granted_pod("hand", "early", "main", 5, 5);
    cluster.apply(&early.to_string()).await.unwrap();

    let recorder = Recorder::start(cluster).await.unwrap();
    recorder.limit("hand", "main", 13);
    let waiting = objects::pod("hand", "waiting")
        .label(objects::BUDGET_LABEL, "main")
        .gate("poolbudget.dev/connections");
    let small = granted_pod("hand", "small", "main", 1, 2).drains_in_ms(1000);
    cluster.apply(&objects::documents(&[waiting, small])).await.unwrap();
    until_pod_ready(&client, "hand", "small").await;
    recorder.assert_never_over().await;
    let totals = Totals { connections: 13, granted: 2, waiting: 1, ..Totals::default() };
    assert_eq!(totals, recorder.totals("hand", "main"));

    // While the deleted pod drains it still counts, so its successor comes too early.
    cluster.kubectl(&["delete", "pod/small", "-n", "hand", "--wait=false"]).await.unwrap();
    cluster.apply(&granted_pod("hand", "hasty", "main", 1, 0).to_string()).await.unwrap();
    recorder.caught_up().await;
    assert_eq!((13, 14), (recorder.first_over().unwrap().limit, recorder.first_over().unwrap().connections));
    assert_eq!(14, recorder.peak("hand", "main"));
    eventually(SOON, "the drained pod is off the bill", async || {
        let sum = recorder.totals("hand", "main").connections;
        (sum == 11).then_some(()).ok_or_else(|| format!("the sum is {sum}"))
    })
    .await;
    let verdict = tokio::spawn(async move { recorder.assert_never_over().await }).await;
    assert!(verdict.unwrap_err().is_panic());
}
