//! Argo Rollouts with the template of another object: what governs them, and what is said if that object is missing.

use super::*;
use crate::cluster::workload::RolloutView;

/// A Rollout of four with a ReplicaSet of its own, and the Deployment that lends its template.
fn shop(label: &Value, template: Option<&Value>, revision: bool) -> Shop {
    let shop = Shop::new(&json!({}), &json!({}));
    shop.see::<RolloutView>(json!({
        "metadata": {"name": "api", "namespace": "shop", "uid": "r", "labels": label},
        "spec": {"replicas": 4, "strategy": {"blueGreen": {}},
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }));
    let of = |labels: &Value| json!({"metadata": {"labels": labels}, "spec": {"containers": [container()]}});
    if let Some(labels) = template {
        shop.see::<DeploymentView>(json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "d"},
            "spec": {"replicas": 0, "template": of(labels)},
        }));
    }
    if revision {
        shop.see::<ReplicaSetView>(json!({
            "metadata": {"name": "api-1", "namespace": "shop", "uid": "s",
                "annotations": {"rollout.argoproj.io/revision": "1"},
                "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "api", "uid": "r",
                    "controller": true}]},
            "spec": {"replicas": 1, "template": of(&main())},
        }));
    }
    shop
}

fn main() -> Value {
    json!({"poolbudget.dev/budget": "main"})
}

#[test]
fn a_rollout_is_in_the_budget_of_the_template_that_it_takes_before_its_first_pod_and_after() {
    for (label, revision) in [(json!({}), false), (json!({}), true), (main(), false)] {
        let shop = shop(&label, Some(&main()), revision);
        shop.tells(
            "rollout/api",
            "4 replicas, 0 with a grant, 0 waiting; a pod of it gets 1 + 0 = 1 connection",
        );
        shop.tells("rollout/api", "8 = 4 replicas + 4 for the surge pods");
    }
}

#[test]
fn where_the_template_is_not_there_that_of_the_newest_revision_counts() {
    let shop = shop(&json!({}), None, true);
    shop.tells("rollout/api", "4 replicas");
    shop.tells("rollout/api", "it uses the pod template of Deployment/web, which does not exist");
}

#[test]
fn a_label_on_the_rollout_alone_is_told_with_where_it_belongs() {
    let unlabelled = shop(&main(), Some(&json!({})), false);
    unlabelled.tells("rollout/api", "its pod template, which is that of Deployment/web, does not");
    let missing = shop(&main(), None, false);
    missing.tells("rollout/api", "it uses the pod template of Deployment/web, which does not exist");
}
