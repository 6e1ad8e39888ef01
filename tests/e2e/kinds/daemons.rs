//! DaemonSets, ReplicaSets and bare pods. The cluster has two nodes.

use serde_json::json;
use testkit::objects::{daemon_set, pod, replica_set};

use super::{governed, plain};
use crate::installed::{Installed, SHOP};

#[tokio::test]
async fn a_daemon_set_is_adopted_and_rolled_out_with_and_without_surge_while_its_operator_dies() {
    let mut shop = Installed::start().await;
    shop.apply(&plain(daemon_set(SHOP, "agent")).drains_in_ms(800).to_string()).await;
    shop.runs("agent", "shop/app:1", 2).await;
    shop.budget_of(7).await;
    shop.kubectl(&["label", "daemonset", "agent", "poolbudget.dev/budget=main"]).await;
    shop.awaits("ForeignPods", "True", "RunWithoutGrant").await;
    shop.holds(&[("DaemonSet", "agent", 2)]).await;
    shop.awaits("ForeignPods", "False", "NoForeignPods").await;
    let surging = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    shop.apply(&governed(daemon_set(SHOP, "surge")).spec("updateStrategy", surging).to_string()).await;
    shop.holds(&[("DaemonSet", "agent", 2), ("DaemonSet", "surge", 2)]).await;
    // Two nodes and, of the second, the pod that stands beside its predecessor.
    let share = shop.share("DaemonSet", "surge").await.expect("a share");
    assert_eq!(share["slots"].as_i64(), Some(3));
    shop.kubectl(&["set", "image", "daemonset/agent", "daemonset/surge", "app=app:2"]).await;
    shop.kill_operator();
    shop.runs("agent", "app:2", 2).await;
    shop.runs("surge", "app:2", 2).await;
    shop.holds(&[("DaemonSet", "agent", 2), ("DaemonSet", "surge", 2)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn replica_sets_and_bare_pods_are_workloads_of_their_own() {
    let shop = Installed::start().await;
    shop.budget_of(12).await;
    shop.apply(&governed(replica_set(SHOP, "web")).replicas(2).to_string()).await;
    shop.apply(&governed(pod(SHOP, "one")).label("poolbudget.dev/workload", "crawlers").to_string()).await;
    shop.apply(&governed(pod(SHOP, "two")).label("poolbudget.dev/workload", "crawlers").to_string()).await;
    shop.holds(&[("ReplicaSet", "web", 2), ("Pod", "crawlers", 2)]).await;
    shop.kubectl(&["scale", "replicaset", "web", "--replicas=4"]).await;
    shop.holds(&[("ReplicaSet", "web", 4), ("Pod", "crawlers", 2)]).await;
    shop.kubectl(&["delete", "pod", "two", "--wait=false"]).await;
    shop.holds(&[("ReplicaSet", "web", 4), ("Pod", "crawlers", 1)]).await;
}
