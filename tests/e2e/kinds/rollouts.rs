//! Argo Rollouts. Their controller does not run here: its part, two ReplicaSets of which the first goes when the second is
//! ready, is played by the test. The pods are made by the real ReplicaSet controller.

use serde_json::{Value, json};
use testkit::eventually;
use testkit::objects::{BAD_IMAGE, autoscaler, budget, deployment};

use super::{governed, plain};
use crate::installed::{Installed, SETTLES, SHOP};

/// The resource as far as the operator and kubectl need it.
fn definition() -> String {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({
        "name": "v1alpha1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced", "versions": [version],
            "names": {"kind": "Rollout", "listKind": "RolloutList", "plural": "rollouts", "singular": "rollout"}},
    })
    .to_string()
}

/// A blueGreen Rollout of two.
fn rollout() -> Value {
    let mut object: Value =
        serde_json::from_str(&plain(deployment(SHOP, "api")).replicas(2).to_string()).unwrap();
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!("Rollout");
    object["spec"]["strategy"] = json!({"blueGreen": {"activeService": "api"}});
    object
}

/// The ReplicaSet of a revision, as the controller of Rollouts makes it of a template.
fn revision(rollout: &Value, mut template: Value, number: u32) -> String {
    let hash = json!({"app": "api", "rollouts-pod-template-hash": format!("r{number}")});
    for (key, value) in hash.as_object().unwrap() {
        template["metadata"]["labels"][key] = value.clone();
    }
    let owner = json!([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api", "controller": true,
        "uid": rollout["metadata"]["uid"]}]);
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"namespace": SHOP, "name": format!("api-r{number}"), "ownerReferences": owner,
            "annotations": {"rollout.argoproj.io/revision": number.to_string()}},
        "spec": {"replicas": 2, "selector": {"matchLabels": hash}, "template": template},
    })
    .to_string()
}

impl Installed {
    /// A cluster that knows Rollouts, with a budget of so many usable connections.
    async fn with_rollouts(usable: u64) -> Self {
        let shop = Self::start().await;
        shop.budget_of(usable).await;
        shop.apply(&definition()).await;
        shop.cluster
            .kubectl(&["wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=30s"])
            .await
            .unwrap();
        shop
    }

    /// Labels the Rollout, and waits until its template has the label too.
    async fn label_rollout(&self) {
        // The API server takes a while to know a new kind in its policies, and refuses (503) what they would change.
        eventually(SETTLES, "the Rollout is labelled", async || {
            self.try_kubectl(&["label", "--overwrite", "rollout", "api", "poolbudget.dev/budget=main"]).await
        })
        .await;
        eventually(SETTLES, "the label stands in the template", async || {
            let labels = self.rollout().await["spec"]["template"]["metadata"]["labels"].clone();
            if labels["poolbudget.dev/budget"] == "main" { Ok(()) } else { Err(labels.to_string()) }
        })
        .await;
    }

    async fn rollout(&self) -> Value {
        serde_json::from_str(&self.kubectl(&["get", "rollout", "api", "-o", "json"]).await).unwrap()
    }

    /// The controller of Rollouts makes the ReplicaSet of a revision, and says that it has acted on the newest spec.
    async fn roll_out(&self, number: u32) {
        let rollout = self.rollout().await;
        let lender = rollout.pointer("/spec/workloadRef/name").and_then(Value::as_str);
        let template = match lender {
            Some(name) => {
                let lender = self.kubectl(&["get", "deployment", name, "-o", "json"]).await;
                serde_json::from_str::<Value>(&lender).unwrap()["spec"]["template"].clone()
            }
            None => rollout["spec"]["template"].clone(),
        };
        self.apply(&revision(&rollout, template, number)).await;
        let observed =
            json!({"status": {"observedGeneration": rollout["metadata"]["generation"].to_string()}});
        let patch =
            ["patch", "rollout", "api", "--subresource=status", "--type=merge", "-p", &observed.to_string()];
        self.kubectl(&patch).await;
    }

    /// Rolls the Rollout out with another image.
    async fn roll_out_image(&self, number: u32, image: &str) {
        let image =
            json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]);
        self.kubectl(&["patch", "rollout", "api", "--type=json", "-p", &image.to_string()]).await;
        self.roll_out(number).await;
    }
}

#[tokio::test]
async fn a_rollout_is_governed_from_when_its_kind_is_installed_and_keeps_room_for_a_second_set() {
    let shop = Installed::with_rollouts(8).await;
    shop.apply(&rollout().to_string()).await;
    shop.label_rollout().await;
    shop.roll_out(1).await;
    shop.holds(&[("Rollout", "api", 2)]).await;
    let share = shop.share("Rollout", "api").await.expect("a share");
    assert_eq!((share["slots"].as_i64(), share["perPod"].as_i64()), (Some(4), Some(2)));

    shop.roll_out(2).await;
    shop.runs("api", "shop/app:1", 4).await;
    shop.recorder.assert_never_over().await;
    shop.kubectl(&["scale", "replicaset", "api-r1", "--replicas=0"]).await;
    shop.holds(&[("Rollout", "api", 2)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rollout_that_takes_the_template_of_a_deployment_is_governed_by_its_own_replicas_and_autoscaler() {
    let shop = Installed::with_rollouts(24).await;
    shop.apply(&governed(deployment(SHOP, "api")).replicas(0).to_string()).await;
    let mut borrower = rollout();
    borrower["spec"].as_object_mut().unwrap().remove("template");
    borrower["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"});
    let mut scaler: Value = serde_json::from_str(&autoscaler(SHOP, "api", 2, 6)).unwrap();
    scaler["spec"]["scaleTargetRef"] =
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api"});
    shop.apply(&scaler.to_string()).await;
    shop.apply(&borrower.to_string()).await;
    shop.roll_out(1).await;
    shop.holds(&[("Rollout", "api", 2)]).await;
    // A second set of up to six, and room for none of the Deployment's own.
    let share = shop.share("Rollout", "api").await.expect("a share");
    assert_eq!((share["slots"].as_i64(), share["perPod"].as_i64()), (Some(12), Some(2)), "{share}");
    let lender = shop.share("Deployment", "api").await.expect("a share");
    assert_eq!(lender["slots"].as_i64(), Some(0), "{lender}");
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn pods_of_a_revision_that_never_became_ready_make_room_for_those_of_the_newest() {
    let shop = Installed::with_rollouts(8).await;
    shop.apply(&rollout().to_string()).await;
    shop.label_rollout().await;
    shop.roll_out_image(1, BAD_IMAGE).await;
    eventually(SETTLES, "its pods hold what there is for one of two sets", async || {
        let totals = shop.recorder.totals(SHOP, "main");
        if totals.connections == 4 { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
    // No connection is left for the next one, nobody else scales the failed one down, and no pod may be evicted. The old
    // limit stays the recorder's: it judges rises.
    let lower = json!({"limit": {"connections": 4}, "reserved": 0, "evictionPolicy": "Forbidden"});
    shop.apply(&budget(SHOP, "main", &lower)).await;
    shop.roll_out_image(2, "shop/app:2").await;
    shop.awaits_event("Reclaimed", "it is not ready and has an older revision").await;
    shop.kubectl(&["scale", "replicaset", "api-r1", "--replicas=0"]).await;
    shop.runs("api", "shop/app:2", 2).await;
    shop.holds(&[("Rollout", "api", 2)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}
