//! The operator and the control plane die at any moment; the sum stays under the limit and everything settles.

use std::time::Duration;

use testkit::{Version, eventually};

use crate::installed::{Installed, SHOP, on_every_version};
use crate::main_job::governed;

on_every_version! {
    the_operator_killed_at_any_moment_of_a_scale_event_leaves_nothing_over_and_nothing_stuck,
    when_the_leader_dies_the_other_replica_goes_on,
    a_leader_that_is_told_to_end_hands_over_within_seconds,
    the_api_server_and_etcd_killed_under_a_rollout_change_nothing_of_the_promise,
}

/// Moments, in milliseconds after a change, at which something is killed: spread over the life of a grant.
const MOMENTS: [u64; 8] = [0, 7, 15, 30, 60, 120, 400, 900];

async fn the_operator_killed_at_any_moment_of_a_scale_event_leaves_nothing_over_and_nothing_stuck(
    version: Version,
) {
    let mut shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).drains_in_ms(1000).to_string()).await;
    shop.apply(&governed("web", 2).rolling(1, 0).to_string()).await;
    shop.settles(&[("api", 2), ("web", 2)]).await;
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        let replicas = if round % 2 == 0 { 5 } else { 2 };
        shop.scale("api", replicas).await;
        shop.set_image("web", &format!("app:{round}")).await;
        // The moment is the point of this test: nothing observable marks it.
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let operator = shop.operators.first_mut().expect("an operator");
        operator.kill().unwrap();
        operator.start_again().unwrap();
        // Where the webhook gates, a write of a workload is refused while nobody serves it.
        shop.cluster.until_gated().await.unwrap();
    }
    shop.settles(&[("api", 2), ("web", 2)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

async fn when_the_leader_dies_the_other_replica_goes_on(version: Version) {
    let mut shop = Installed::start_on(version).await;
    shop.add_operator("poolbudget-1").await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    let leader = leader(&shop).await;
    let index = usize::from(leader == "poolbudget-1");
    shop.scale("api", 5).await;
    shop.operators.get_mut(index).expect("the leader").kill().unwrap();
    shop.scale("api", 6).await;
    shop.settles(&[("api", 6)]).await;
    assert_ne!(self::leader(&shop).await, leader);
    let epoch = shop.budget().await["status"]["ledger"]["epoch"].as_i64().expect("epoch");
    assert!(epoch >= 2, "epoch {epoch}");
}

async fn a_leader_that_is_told_to_end_hands_over_within_seconds(version: Version) {
    let mut shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    shop.add_operator("poolbudget-1").await;
    let first = shop.operators.first_mut().expect("the leader");
    first.terminate().unwrap();
    let ended = first.wait(Duration::from_secs(30)).await.unwrap();
    assert!(ended.success(), "{ended}");
    // The Lease was given up: its whole life need not pass.
    eventually(Duration::from_secs(12), "the other replica leads", async || {
        let holder = leader(&shop).await;
        if holder == "poolbudget-1" { Ok(()) } else { Err(holder) }
    })
    .await;
    shop.scale("api", 4).await;
    shop.settles(&[("api", 4)]).await;
}

async fn the_api_server_and_etcd_killed_under_a_rollout_change_nothing_of_the_promise(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 4).drains_in_ms(1000).to_string()).await;
    shop.settles(&[("api", 4)]).await;
    shop.set_image("api", "app:2").await;
    shop.cluster.kill_apiserver().unwrap();
    shop.cluster.start_apiserver().await.unwrap();
    shop.scale("api", 6).await;
    shop.cluster.kill_etcd().unwrap();
    shop.cluster.start_etcd().await.unwrap();
    shop.cluster.wait_ready().await.unwrap();
    shop.set_image("api", "app:3").await;
    shop.settles(&[("api", 6)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
    assert_eq!(shop.recorder.totals(SHOP, "main").granted, 6);
}

/// The holder of the Lease; empty when nobody holds it.
async fn leader(shop: &Installed) -> String {
    let args = [
        "get",
        "lease",
        "poolbudget",
        "-n",
        testkit::install::SYSTEM,
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    shop.cluster.kubectl(&args).await.unwrap()
}
