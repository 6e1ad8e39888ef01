//! Argo Rollouts. Their controller does not run here: its part, two ReplicaSets of which the first goes when the second is
//! ready, is played by the test. The pods are made by the real ReplicaSet controller.

use serde_json::{Value, json};

use super::plain;
use crate::installed::{Installed, SETTLES, SHOP};
use crate::support::eventually;
use crate::support::objects::deployment;

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
fn rollout() -> String {
    let mut object: Value =
        serde_json::from_str(&plain(deployment(SHOP, "api")).replicas(2).to_string()).unwrap();
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!("Rollout");
    object["spec"]["strategy"] = json!({"blueGreen": {"activeService": "api"}});
    object.to_string()
}

/// The ReplicaSet of a revision, as the controller of Rollouts makes it.
fn revision(rollout: &Value, number: u32) -> String {
    let hash = json!({"app": "api", "rollouts-pod-template-hash": format!("r{number}")});
    let mut template = rollout["spec"]["template"].clone();
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
    async fn rollout(&self) -> Value {
        serde_json::from_str(&self.kubectl(&["get", "rollout", "api", "-o", "json"]).await).unwrap()
    }

    /// The controller of Rollouts makes the ReplicaSet of a revision, and says that it has acted on the newest spec.
    async fn roll_out(&self, number: u32) {
        let rollout = self.rollout().await;
        self.apply(&revision(&rollout, number)).await;
        let observed =
            json!({"status": {"observedGeneration": rollout["metadata"]["generation"].to_string()}});
        let patch =
            ["patch", "rollout", "api", "--subresource=status", "--type=merge", "-p", &observed.to_string()];
        self.kubectl(&patch).await;
    }
}

#[tokio::test]
async fn a_rollout_is_governed_from_when_its_kind_is_installed_and_keeps_room_for_a_second_set() {
    let shop = Installed::start().await;
    shop.budget_of(8).await;
    shop.apply(&definition()).await;
    shop.cluster
        .kubectl(&["wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=30s"])
        .await
        .unwrap();
    shop.apply(&rollout()).await;
    // The API server takes a while to know a new kind in its policies, and refuses (503) what they would change.
    eventually(SETTLES, "the Rollout is labelled", async || {
        let label = ["-n", SHOP, "label", "rollout", "api", "poolbudget.dev/budget=main"];
        shop.cluster.kubectl(&label).await.map_err(|error| error.to_string())
    })
    .await;
    eventually(SETTLES, "the label stands in the template", async || {
        let labels = shop.rollout().await["spec"]["template"]["metadata"]["labels"].clone();
        if labels["poolbudget.dev/budget"] == "main" { Ok(()) } else { Err(labels.to_string()) }
    })
    .await;
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
