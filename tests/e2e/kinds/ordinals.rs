//! StatefulSets: a successor has the name of its predecessor, and an ordered one makes one pod at a time.

use testkit::objects::stateful_set;

use super::{governed, plain};
use crate::installed::{Installed, SHOP};

#[tokio::test]
async fn stateful_sets_are_adopted_scaled_and_rolled_out_while_their_operator_dies() {
    let mut shop = Installed::start().await;
    shop.apply(&plain(stateful_set(SHOP, "db")).replicas(2).drains_in_ms(800).to_string()).await;
    shop.runs("db", "shop/app:1", 2).await;
    shop.budget_of(13).await;
    shop.kubectl(&["label", "statefulset", "db", "poolbudget.dev/budget=main"]).await;
    let foreign = shop.awaits("ForeignPods", "True", "RunWithoutGrant").await;
    assert!(foreign.contains("pods of StatefulSet/db, created before it was labelled"), "{foreign}");
    shop.holds(&[("StatefulSet", "db", 2)]).await;
    shop.awaits("ForeignPods", "False", "NoForeignPods").await;

    let quick = governed(stateful_set(SHOP, "quick")).replicas(3).spec("podManagementPolicy", "Parallel");
    shop.apply(&quick.to_string()).await;
    shop.holds(&[("StatefulSet", "db", 2), ("StatefulSet", "quick", 3)]).await;
    // 5 pods and no surge: 13 / 5 of a pod.
    let share = shop.share("StatefulSet", "db").await.expect("a share");
    assert_eq!((share["slots"].as_i64(), share["ceiling"].as_i64()), (Some(2), Some(2)));

    shop.kubectl(&["scale", "statefulset", "db", "--replicas=4"]).await;
    shop.kubectl(&["set", "image", "statefulset/quick", "app=app:2"]).await;
    shop.kill_operator();
    shop.holds(&[("StatefulSet", "db", 4), ("StatefulSet", "quick", 3)]).await;
    shop.runs("quick", "app:2", 3).await;
    shop.kubectl(&["set", "image", "statefulset/db", "app=app:2"]).await;
    shop.kubectl(&["scale", "statefulset", "quick", "--replicas=1"]).await;
    shop.runs("db", "app:2", 4).await;
    shop.holds(&[("StatefulSet", "db", 4), ("StatefulSet", "quick", 1)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn an_ordered_stateful_set_that_is_scaled_down_while_its_first_pod_waits_gets_there() {
    let shop = Installed::start().await;
    shop.budget_of(3).await;
    shop.apply(&governed(stateful_set(SHOP, "db")).replicas(3).to_string()).await;
    shop.holds(&[("StatefulSet", "db", 3)]).await;
    // Nothing is left for the first pod when it comes again, and its controller ends no other before it is ready.
    shop.budget_of(2).await;
    shop.recorder.limit(SHOP, "main", 3);
    shop.kubectl(&["delete", "pod", "db-0", "--wait=false"]).await;
    shop.kubectl(&["scale", "statefulset", "db", "--replicas=1"]).await;
    shop.holds(&[("StatefulSet", "db", 1)]).await;
}

#[tokio::test]
async fn pods_below_a_partition_stay_and_are_not_taken_for_old_ones() {
    let shop = Installed::start().await;
    shop.budget_of(13).await;
    let strategy = serde_json::json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    let db = governed(stateful_set(SHOP, "db")).replicas(3).spec("updateStrategy", strategy);
    shop.apply(&db.to_string()).await;
    shop.holds(&[("StatefulSet", "db", 3)]).await;
    shop.kubectl(&["set", "image", "statefulset/db", "app=app:2"]).await;
    testkit::eventually(crate::installed::SETTLES, "the last pod is new", async || {
        // While it is replaced there is none.
        let path = "jsonpath={.spec.containers[0].image}";
        let image = shop.try_kubectl(&["get", "pod", "db-2", "-o", path]).await?;
        if image == "app:2" { Ok(()) } else { Err(image) }
    })
    .await;
    shop.holds(&[("StatefulSet", "db", 3)]).await;
    shop.kubectl(&["scale", "statefulset", "db", "--replicas=4"]).await;
    shop.holds(&[("StatefulSet", "db", 4)]).await;
}
