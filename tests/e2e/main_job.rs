//! The main job: what a user does to workloads, and what their pods may hold meanwhile. On every version.

use testkit::Version;
use testkit::objects::{Workload, autoscaler, budget, deployment, nano_session};

use crate::installed::{Installed, SHOP, on_every_version};

on_every_version! {
    two_running_deployments_are_adopted_by_rolling_updates,
    scale_events_need_nothing_but_the_scale_command,
    an_autoscalers_ceiling_sizes_the_pods_so_that_scaling_below_it_replaces_none,
    rollouts_move_at_a_full_budget_with_pods_that_drain_for_seconds,
    an_image_that_never_becomes_ready_stops_its_own_rollout_only,
    every_strategy_scales_and_rolls_out,
    weights_processes_and_what_does_not_fit,
}

/// A Deployment as a user has it before poolbudget: SQLAlchemy's defaults as literals.
pub fn app(name: &str, replicas: u32) -> Workload {
    deployment(SHOP, name).replicas(replicas).env("DB_POOL_SIZE", "5").env("DB_MAX_OVERFLOW", "10")
}

async fn two_running_deployments_are_adopted_by_rolling_updates(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.apply(&app("api", 2).to_string()).await;
    shop.apply(&app("web", 2).to_string()).await;
    shop.complete("api", 2).await;
    shop.complete("web", 2).await;
    shop.nano_budget().await;
    shop.kubectl(&["label", "deployment", "api", "web", "poolbudget.dev/budget=main"]).await;
    let foreign = shop.awaits("ForeignPods", "True", "RunWithoutGrant").await;
    assert!(foreign.contains("may hold"), "{foreign}");
    shop.settles(&[("api", 2), ("web", 2)]).await;
    shop.awaits("ForeignPods", "False", "NoForeignPods").await;
    let pods = shop.recorder.pods(SHOP, "main");
    assert_eq!(pods.len(), 4);
    assert_eq!(shop.recorder.totals(SHOP, "main").granted, 4);
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

/// A labelled Deployment from the start.
pub fn governed(name: &str, replicas: u32) -> Workload {
    app(name, replicas).label("poolbudget.dev/budget", "main")
}

/// The granted sizes of the live pods of a budget, ascending.
fn sizes(shop: &Installed) -> Vec<u64> {
    let mut sizes: Vec<u64> =
        shop.recorder.pods(SHOP, "main").iter().map(|pod| pod.bill.connections).collect();
    sizes.sort_unstable();
    sizes
}

async fn scale_events_need_nothing_but_the_scale_command(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).drains_in_ms(1500).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    // 13 usable, 2 pods and the surge pod of a rollout: 4 each.
    assert_eq!(sizes(&shop), [4, 4]);
    for replicas in [6, 1, 4] {
        shop.scale("api", replicas).await;
        shop.settles(&[("api", replicas)]).await;
    }
    // Size for four without a surge slot (25 % of 4 may be unavailable): 3 each at most.
    assert!(sizes(&shop).iter().sum::<u64>() <= 13, "{:?}", sizes(&shop));
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

async fn an_autoscalers_ceiling_sizes_the_pods_so_that_scaling_below_it_replaces_none(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&autoscaler(SHOP, "api", 2, 6)).await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    assert_eq!(sizes(&shop), [2, 2]);
    let names = |shop: &Installed| -> Vec<String> {
        shop.recorder.pods(SHOP, "main").iter().map(|pod| pod.name.clone()).collect()
    };
    let before = names(&shop);
    shop.scale("api", 6).await;
    shop.settles(&[("api", 6)]).await;
    let after = names(&shop);
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} was replaced: {after:?}");
    // A higher ceiling: the sizes shrink, and room is made pod by pod when the pods are there.
    shop.apply(&autoscaler(SHOP, "api", 2, 12)).await;
    shop.scale("api", 12).await;
    shop.settles(&[("api", 12)]).await;
    // No more pods are sent away than the others need: the thirteenth connection stays where it was.
    assert_eq!(sizes(&shop), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
}

async fn rollouts_move_at_a_full_budget_with_pods_that_drain_for_seconds(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 4).drains_in_ms(3000).to_string()).await;
    shop.apply(&governed("web", 3).drains_in_ms(2000).rolling(1, 0).to_string()).await;
    shop.settles(&[("api", 4), ("web", 3)]).await;
    shop.set_image("api", "app:2").await;
    shop.set_image("web", "app:2").await;
    shop.settles(&[("api", 4), ("web", 3)]).await;
    shop.kubectl(&["rollout", "undo", "deployment/api"]).await;
    shop.settles(&[("api", 4), ("web", 3)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

async fn an_image_that_never_becomes_ready_stops_its_own_rollout_only(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 3).to_string()).await;
    shop.apply(&governed("web", 2).to_string()).await;
    shop.settles(&[("api", 3), ("web", 2)]).await;
    shop.set_image("api", "app:bad").await;
    shop.set_image("web", "app:2").await;
    shop.complete("web", 2).await;
    // Mended before its patience ends, and scaled meanwhile.
    shop.scale("web", 3).await;
    shop.set_image("api", "app:3").await;
    shop.settles(&[("api", 3), ("web", 3)]).await;
}

async fn every_strategy_scales_and_rolls_out(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    let strategies = [
        governed("quarter", 1).rolling("25%", "25%"),
        governed("surge", 1).rolling(1, 0),
        governed("swap", 1).rolling(0, 1),
        governed("recreate", 1).recreate(),
    ];
    for workload in &strategies {
        shop.apply(&workload.to_string()).await;
    }
    let names = ["quarter", "surge", "swap", "recreate"];
    shop.settles(&names.map(|name| (name, 1))).await;
    for name in names {
        shop.scale(name, 2).await;
        shop.set_image(name, "app:2").await;
    }
    shop.settles(&names.map(|name| (name, 2))).await;
    for name in names {
        shop.set_image(name, "app:3").await;
    }
    shop.settles(&names.map(|name| (name, 2))).await;
}

async fn weights_processes_and_what_does_not_fit(version: Version) {
    let shop = Installed::start_on(version).await;
    shop.recorder.limit(SHOP, "main", 13);
    let mut spec = nano_session(2);
    spec["workloads"] = serde_json::json!([{"name": "api", "weight": 2}]);
    shop.apply(&budget(SHOP, "main", &spec)).await;
    shop.apply(&governed("api", 1).recreate().to_string()).await;
    shop.apply(&governed("web", 1).recreate().to_string()).await;
    shop.settles(&[("api", 1), ("web", 1)]).await;
    // Two to one: 9 + 4.
    assert_eq!(sizes(&shop), [4, 9]);

    // Four processes per pod, by a rollout: old and new pods differ.
    shop.kubectl(&["annotate", "deployment", "web", "poolbudget.dev/processes=4"]).await;
    shop.settles(&[("api", 1), ("web", 1)]).await;
    let web =
        shop.recorder.pods(SHOP, "main").into_iter().find(|pod| pod.name.starts_with("web")).expect("web");
    assert_eq!(web.bill.connections % 4, 0, "{web:?}");

    // Twenty replicas can never fit.
    shop.scale("api", 20).await;
    let message = shop.awaits("Feasible", "False", "DoesNotFit").await;
    assert!(message.contains("Deployment/api: 20 pods"), "{message}");
    assert!(message.contains("13 usable"), "{message}");
    assert!(message.contains("largest safe replicas"), "{message}");
    shop.awaits("Settled", "False", "Infeasible").await;
    shop.recorder.assert_never_over().await;
    shop.scale("api", 3).await;
    shop.settles(&[("api", 3), ("web", 1)]).await;
    shop.awaits("Feasible", "True", "Fits").await;
}
