//! What users and controllers do to governed workloads, and what becomes of it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use testkit::admission::{Refusal, refusal};
use testkit::objects::{self, deployment};
use testkit::{Cluster, eventually};

use super::{BEFORE, BUDGET, GATE, SOON, bind, gates, installed, operator};

async fn read(client: &Client, namespace: &str, name: &str) -> Deployment {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    deployments.get(name).await.unwrap()
}

fn budget_of_template(deployment: &Deployment) -> Option<String> {
    let labels = deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    labels.and_then(|labels| labels.get(BUDGET)).cloned()
}

async fn pods(client: &Client, namespace: &str, selector: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.list(&ListParams::default().labels(selector)).await.unwrap().items
}

async fn until_pods(client: &Client, namespace: &str, selector: &str, count: usize) -> Vec<Pod> {
    eventually(SOON, &format!("{count} pods with {selector} in {namespace}"), async || {
        let found = pods(client, namespace, selector).await;
        if found.len() == count { Ok(found) } else { Err(format!("there are {}", found.len())) }
    })
    .await
}

async fn until_ready(cluster: &Cluster, namespace: &str, selector: &str) {
    let arguments =
        ["wait", "pod", "-l", selector, "-n", namespace, "--for=condition=Ready", "--timeout=60s"];
    cluster.kubectl(&arguments).await.unwrap();
}

async fn label(cluster: &Cluster, namespace: &str, change: &str) {
    cluster.kubectl(&["label", "deployment", "api", "-n", namespace, change]).await.unwrap();
}

fn grant() -> Patch<serde_json::Value> {
    Patch::Merge(json!({
        "metadata": {"annotations": {
            "poolbudget.dev/pool-size": "2",
            "poolbudget.dev/max-overflow": "1",
            "poolbudget.dev/connections": "3",
        }},
        "spec": {"schedulingGates": null},
    }))
}

#[tokio::test]
async fn a_pod_of_a_labelled_deployment_waits_at_the_gate_until_the_operator_opens_it() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("wait").await.unwrap();
    cluster.apply(&deployment("wait", "api").label(BUDGET, "main").to_string()).await.unwrap();
    let born = until_pods(&client, "wait", "app=api", 1).await;
    assert_eq!(gates(&born[0]), [GATE]);
    let name = born[0].metadata.name.clone().unwrap();
    let granting: Api<Pod> = Api::namespaced(operator(cluster).await, "wait");
    granting.patch(&name, &PatchParams::default(), &grant()).await.unwrap();
    until_ready(cluster, "wait", BUDGET).await;
}

#[tokio::test]
async fn labelling_a_running_deployment_is_a_rolling_update_through_the_gate() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("adopt").await.unwrap();
    let workload = deployment("adopt", "api").env("DB_POOL_SIZE", "5").replicas(2);
    cluster.apply(&workload.to_string()).await.unwrap();
    until_pods(&client, "adopt", "app=api", 2).await;
    until_ready(cluster, "adopt", "app=api").await;
    label(cluster, "adopt", "poolbudget.dev/budget=main").await;
    let surge = until_pods(&client, "adopt", BUDGET, 1).await;
    assert_eq!(gates(&surge[0]), [GATE]);
    let remembered = surge[0].metadata.annotations.as_ref().unwrap().get("poolbudget.dev/replaced-env");
    assert_eq!(remembered.map(String::as_str), Some(r#"{"DB_POOL_SIZE":"5"}"#));
    assert_eq!(pods(&client, "adopt", "app=api").await.len(), 3, "the old pods run on");
}

#[tokio::test]
async fn a_manifest_that_never_had_the_label_is_applied_again_without_taking_it_away() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    for (namespace, flag) in [("apply-client", "--server-side=false"), ("apply-server", "--server-side=true")]
    {
        cluster.create_namespace(namespace).await.unwrap();
        let file = cluster.folder().file(&format!("{namespace}.json"));
        let manifest = |image: &str| deployment(namespace, "api").replicas(0).image(image).to_string();
        let apply = ["apply", flag, "-f", file.to_str().unwrap()];
        std::fs::write(&file, manifest("shop/app:1")).unwrap();
        cluster.kubectl(&apply).await.unwrap();
        label(cluster, namespace, "poolbudget.dev/budget=main").await;
        std::fs::write(&file, manifest("shop/app:2")).unwrap();
        cluster.kubectl(&apply).await.unwrap();
        let after = read(&client, namespace, "api").await;
        assert_eq!(budget_of_template(&after).as_deref(), Some("main"), "{flag}");
        let spec = after.spec.template.spec.unwrap();
        assert_eq!(spec.containers[0].image.as_deref(), Some("shop/app:2"), "{flag}");
    }
}

#[tokio::test]
async fn a_manifest_that_loses_the_label_takes_it_out_of_the_template() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    for (namespace, flag) in [("lose-client", "--server-side=false"), ("lose-server", "--server-side=true")] {
        cluster.create_namespace(namespace).await.unwrap();
        let file = cluster.folder().file(&format!("{namespace}.json"));
        let apply = ["apply", flag, "-f", file.to_str().unwrap()];
        let bare = deployment(namespace, "api").replicas(0);
        std::fs::write(&file, bare.clone().label(BUDGET, "main").to_string()).unwrap();
        cluster.kubectl(&apply).await.unwrap();
        assert_eq!(
            budget_of_template(&read(&client, namespace, "api").await).as_deref(),
            Some("main"),
            "{flag}"
        );
        std::fs::write(&file, bare.to_string()).unwrap();
        cluster.kubectl(&apply).await.unwrap();
        assert_eq!(budget_of_template(&read(&client, namespace, "api").await), None, "{flag}");
    }
}

#[tokio::test]
async fn an_undo_to_a_revision_from_before_the_label_stays_governed() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("undo").await.unwrap();
    cluster.apply(&deployment("undo", "api").replicas(0).to_string()).await.unwrap();
    until_revision(&client, "undo", "1").await;
    label(cluster, "undo", "poolbudget.dev/budget=main").await;
    until_revision(&client, "undo", "2").await;
    cluster.kubectl(&["set", "image", "deployment/api", "-n", "undo", "app=shop/app:2"]).await.unwrap();
    until_revision(&client, "undo", "3").await;
    cluster.kubectl(&["rollout", "undo", "deployment/api", "-n", "undo", "--to-revision=1"]).await.unwrap();
    let after = read(&client, "undo", "api").await;
    assert_eq!(budget_of_template(&after).as_deref(), Some("main"));
    assert_eq!(after.spec.template.spec.unwrap().containers[0].image.as_deref(), Some("shop/app:1"));
}

async fn until_revision(client: &Client, namespace: &str, revision: &str) {
    eventually(SOON, &format!("revision {revision}"), async || {
        let annotations = read(client, namespace, "api").await.metadata.annotations.unwrap_or_default();
        let found = annotations.get("deployment.kubernetes.io/revision").cloned();
        if found.as_deref() == Some(revision) { Ok(()) } else { Err(format!("it is {found:?}")) }
    })
    .await;
}

#[tokio::test]
async fn scaling_a_governed_deployment_leaves_its_template_alone() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("scale").await.unwrap();
    let workload = deployment("scale", "api").replicas(1).label(BUDGET, "main");
    cluster.apply(&workload.annotation("poolbudget.dev/processes", "4").to_string()).await.unwrap();
    let before = read(&client, "scale", "api").await.spec.template;
    cluster.kubectl(&["scale", "deployment", "api", "-n", "scale", "--replicas=3"]).await.unwrap();
    let born = until_pods(&client, "scale", "app=api", 3).await;
    assert_eq!(read(&client, "scale", "api").await.spec.template, before);
    assert!(born.iter().all(|pod| gates(pod) == [GATE]), "every replica waits");
}

#[tokio::test]
async fn what_a_kubelet_mirrors_passes_and_what_only_looks_like_it_does_not() {
    let cluster = installed().await;
    cluster.create_namespace("mirrored").await.unwrap();
    let node = super::node(cluster).await;
    let pod = objects::pod("mirrored", "static")
        .label(BUDGET, "main")
        .annotation("kubernetes.io/config.mirror", "1")
        .meta("ownerReferences", json!([node]))
        .pod_spec("nodeName", "node-0");
    let file = cluster.folder().file("static.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let create = ["create", "--dry-run=server", "-f", file.to_str().unwrap()];
    let refused = cluster.kubectl(&create).await.unwrap_err().to_string();
    assert!(refused.contains("must not set spec.nodeName"), "{refused}");
    let node = ["--as=system:node:node-0", "--as-group=system:nodes", "--as-group=system:masters"];
    cluster.kubectl(&[&create[..], &node].concat()).await.unwrap();
}

#[tokio::test]
async fn a_gated_pod_can_be_deleted_and_evicted_by_anybody() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("delete").await.unwrap();
    for name in ["deleted", "evicted"] {
        let pod = objects::pod("delete", name).label(BUDGET, "main");
        cluster.apply(&pod.to_string()).await.unwrap();
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), "delete");
    cluster.kubectl(&["delete", "pod", "deleted", "-n", "delete"]).await.unwrap();
    pods.evict("evicted", &kube::api::EvictParams::default()).await.unwrap();
    until_pods(&client, "delete", BUDGET, 0).await;
}

#[tokio::test]
async fn a_binding_cannot_bring_a_grant_along() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("bind").await.unwrap();
    let pod = objects::pod("bind", "granted").label(BUDGET, "main").pod_spec("schedulerName", "nobody");
    cluster.apply(&pod.to_string()).await.unwrap();
    let granting: Api<Pod> = Api::namespaced(operator(cluster).await, "bind");
    granting.patch("granted", &PatchParams::default(), &grant()).await.unwrap();
    let refused = bind(&client, "bind", "granted", json!({"poolbudget.dev/pool-size": "50"})).await;
    let sentence =
        "a binding must not carry labels or annotations of poolbudget.dev; bind the pod without them";
    assert_eq!(refused, Err(Refusal { code: 403, sentence: sentence.to_owned() }));
    bind(&client, "bind", "granted", json!({"example.com/x": "y"})).await.unwrap();
    until_ready(cluster, "bind", BUDGET).await;
}

#[tokio::test]
async fn the_other_subresources_of_a_pod_leave_its_grant_alone() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("subresources").await.unwrap();
    cluster.apply(&objects::pod("subresources", "gated").label(BUDGET, "main").to_string()).await.unwrap();
    for subresource in ["resize", "ephemeralcontainers"] {
        let change = r#"{"metadata": {"annotations": {"poolbudget.dev/connections": "1"}}}"#;
        let arguments = ["patch", "pod", "gated", "-n", "subresources", "-p", change];
        let arguments = [&arguments[..], &["--subresource", subresource]].concat();
        cluster.kubectl(&arguments).await.unwrap();
        let pod = &pods(&client, "subresources", BUDGET).await[0];
        let annotations = pod.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations.get("poolbudget.dev/connections"), None, "{subresource}");
    }
}

#[tokio::test]
async fn a_workload_that_was_bad_before_may_change_in_everything_else() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client, BEFORE);
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let template = |annotations| json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    let sentence = "poolbudget.dev/processes must be a whole number from 1 to 1000, in digits only and without leading zeros, or such numbers by container, as in app=4,migrate=1; it says ";
    for (name, change, refused) in [
        ("replicas", json!({"spec": {"replicas": 3}}), None),
        ("a finalizer", json!({"metadata": {"finalizers": ["example.com/x"]}}), None),
        ("another annotation", template(json!({"example.com/x": "y"})), None),
        ("the mended annotation", template(json!({"poolbudget.dev/processes": "4"})), None),
        ("the removed annotation", template(json!({"poolbudget.dev/processes": null})), None),
        ("leaving the budget", json!({"metadata": {"labels": {BUDGET: null}}}), None),
        ("another bad value", template(json!({"poolbudget.dev/processes": "-1"})), Some("'-1'")),
        ("one more annotation", template(json!({"poolbudget.dev/engines": "2"})), Some("'none'")),
        ("another budget", json!({"metadata": {"labels": {BUDGET: "other"}}}), Some("'none'")),
    ] {
        let answer = deployments.patch("bad", &dry_run, &Patch::Merge(&change)).await;
        let found = answer.err().map(refusal);
        let expected = refused.map(|value| Refusal { code: 422, sentence: format!("{sentence}{value}") });
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn renaming_the_container_that_an_annotation_names_is_refused() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("rename").await.unwrap();
    let workload = deployment("rename", "api").replicas(0).label(BUDGET, "main");
    let workload = workload.annotation("poolbudget.dev/container", "app");
    cluster.apply(&workload.to_string()).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client, "rename");
    let renamed = Patch::<()>::Json(
        serde_json::from_value(json!([
            {"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": "web"},
        ]))
        .unwrap(),
    );
    let found = deployments.patch("api", &PatchParams::default(), &renamed).await.err().map(refusal);
    let sentence = "poolbudget.dev/container must name a container of the pod, or up to 4 with commas between them, each \
                    once; it says 'app', the containers are web";
    assert_eq!(found, Some(Refusal { code: 422, sentence: sentence.to_owned() }));
}

#[tokio::test]
async fn a_pod_of_a_template_that_was_bad_before_is_refused_where_the_user_looks() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    cluster.kubectl(&["scale", "deployment", "bad", "-n", BEFORE, "--replicas=1"]).await.unwrap();
    let events: Api<Event> = Api::namespaced(client.clone(), BEFORE);
    eventually(SOON, "an event that says why there is no pod", async || {
        let found = events.list(&ListParams::default()).await.unwrap().items;
        let messages: Vec<String> = found.into_iter().filter_map(|event| event.message).collect();
        let says = messages.iter().any(|message| message.contains("as in app=4,migrate=1; it says 'none'"));
        if says { Ok(()) } else { Err(format!("{messages:?}")) }
    })
    .await;
    assert!(pods(&client, BEFORE, "app=bad").await.is_empty());
}
