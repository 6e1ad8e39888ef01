//! What the accounts of the chart have rights for and no other test here makes them do. `tests/chart/used.rs` counts it.

use serde_json::json;
use testkit::eventually;
use testkit::install::{RELEASE, SYSTEM};
use testkit::objects::{BAD_IMAGE, budget, nano_session};

use crate::installed::{Installed, SETTLES, SHOP};
use crate::lifecycle::run_release_hook;
use crate::main_job::{app, governed};

#[tokio::test]
async fn a_full_database_a_pod_deleted_by_force_and_an_uninstall_before_anybody_led() {
    let mut shop = Installed::without_operator().await;
    an_uninstall_before_anybody_led(&shop).await;
    shop.install().await;
    shop.add_operator("poolbudget-0").await;
    a_database_full_of_pods_from_before_the_label(&shop).await;
    a_pod_deleted_by_force(&shop).await;
    a_pod_gone_from_a_node_that_nobody_knows(&mut shop).await;
    // The first of the old pods ends without another one in its place.
    eventually(SETTLES, "an old ReplicaSet is scaled down", async || {
        let events =
            shop.kubectl(&["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}"]).await;
        if events.contains("ForeignPodEnded") { Ok(()) } else { Err(events) }
    })
    .await;
}

/// The release job makes the Lease that it keeps.
async fn an_uninstall_before_anybody_led(shop: &Installed) {
    let uninstall = shop.cluster.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--timeout", "3m"]);
    let (uninstalled, ()) = tokio::join!(uninstall, run_release_hook(shop));
    uninstalled.unwrap();
    // Nobody waits here until it has expired.
    shop.cluster.kubectl(&["delete", "lease", RELEASE, "-n", SYSTEM]).await.unwrap();
}

/// Its new pods cannot connect, which is what a bad image looks like from outside.
async fn a_database_full_of_pods_from_before_the_label(shop: &Installed) {
    shop.apply(&app("api", 2).to_string()).await;
    shop.complete("api", 2).await;
    shop.nano_budget().await;
    let change = json!({
        "metadata": {"labels": {"poolbudget.dev/budget": "main"}},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": BAD_IMAGE}]}}},
    });
    shop.kubectl(&["patch", "deployment", "api", "-p", &change.to_string()]).await;
    shop.awaits("ForeignPods", "True", "RunWithoutGrant").await;
}

/// Its connections count until its kubelet was heard of.
async fn a_pod_deleted_by_force(shop: &Installed) {
    shop.apply(&budget(SHOP, "other", &nano_session(2))).await;
    let web = governed("web", 1).label("poolbudget.dev/budget", "other").to_string();
    shop.apply(&web).await;
    shop.complete("web", 1).await;
    delete_web_by_force(shop).await;
    shop.complete("web", 1).await;
}

async fn delete_web_by_force(shop: &Installed) {
    let pods = ["get", "pods", "-l", "app=web", "-o", "name"];
    let pod = shop.kubectl(&pods).await;
    shop.kubectl(&["delete", pod.trim(), "--force", "--grace-period=0"]).await;
}

/// The last leader died before it wrote that the pod was on a node.
async fn a_pod_gone_from_a_node_that_nobody_knows(shop: &mut Installed) {
    shop.operators[0].kill().unwrap();
    delete_web_by_force(shop).await;
    let nowhere = r#"{"status":{"ledger":{"nodes":null}}}"#;
    shop.write_status("other", nowhere).await;
    shop.add_operator("poolbudget-1").await;
    shop.complete("web", 1).await;
}
