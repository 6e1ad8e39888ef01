//! A cluster of the harness behaves as the tests of the operator take for granted.

use std::time::{Duration, Instant};

use testkit::objects::{self, BAD_IMAGE, RUN_MS, deployment};
use testkit::{Cluster, Options, Version, eventually};

use crate::world::{SHARED, SOON, condition, phase, pod, pods, until_pod_ready, until_pods, until_ready};

#[tokio::test]
async fn the_pods_of_a_deployment_become_ready() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("ready").await.unwrap();
    cluster.apply(&deployment("ready", "api").replicas(3).to_string()).await.unwrap();
    until_ready(&client, "ready", "api", 3).await;
    cluster.kubectl(&["scale", "deployment", "api", "-n", "ready", "--replicas=1"]).await.unwrap();
    until_pods(&client, "ready", 1).await;
}

/// What poolbudget has to do without on older clusters.
#[tokio::test]
async fn the_older_cluster_runs_pods_and_serves_no_mutating_policies() {
    let cluster = Cluster::start(Options { version: Version::Older, ..Options::default() }).await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.apply(&deployment("default", "api").replicas(2).to_string()).await.unwrap();
    until_ready(&client, "default", "api", 2).await;
    let version = client.apiserver_version().await.unwrap();
    assert_eq!((version.git_version.as_str(), version.minor.as_str()), ("v1.33.13", "33"));
    let served =
        cluster.kubectl(&["api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name"]);
    let served = served.await.unwrap();
    assert!(
        served.contains("validatingadmissionpolicies") && !served.contains("mutatingadmission"),
        "{served}"
    );
}

#[tokio::test]
async fn a_pod_starts_and_drains_at_the_pace_of_its_annotations() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("pace").await.unwrap();
    let slow = objects::pod("pace", "slow").starts_in_ms(2000).drains_in_ms(3000);
    let applied = Instant::now();
    cluster.apply(&slow.to_string()).await.unwrap();
    until_pod_ready(&client, "pace", "slow").await;
    assert!(applied.elapsed() >= Duration::from_millis(2000), "ready after {:?}", applied.elapsed());
    let deleted = Instant::now();
    cluster.kubectl(&["delete", "pod/slow", "-n", "pace", "--wait=false"]).await.unwrap();
    assert!(pod(&client, "pace", "slow").await.metadata.deletion_timestamp.is_some());
    until_pods(&client, "pace", 0).await;
    assert!(deleted.elapsed() >= Duration::from_millis(3000), "gone after {:?}", deleted.elapsed());
}

#[tokio::test]
async fn a_pod_with_a_bad_image_runs_and_never_becomes_ready() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("bad").await.unwrap();
    let broken = objects::pod("bad", "broken").image(BAD_IMAGE).starts_in_ms(0);
    let slower = objects::pod("bad", "slower").starts_in_ms(2000);
    cluster.apply(&objects::documents(&[broken, slower])).await.unwrap();
    until_pod_ready(&client, "bad", "slower").await;
    let broken = pod(&client, "bad", "broken").await;
    assert_eq!(("Running", "False"), (phase(&broken), condition(&broken, "Ready").as_str()));
}

#[tokio::test]
async fn a_gated_pod_has_no_node_until_its_gate_is_gone() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("gated").await.unwrap();
    let gated = objects::pod("gated", "held").gate("test.poolbudget.dev/hold").starts_in_ms(0);
    let other = objects::pod("gated", "other").starts_in_ms(500);
    cluster.apply(&objects::documents(&[gated, other])).await.unwrap();
    until_pod_ready(&client, "gated", "other").await;
    let held = pod(&client, "gated", "held").await;
    assert_eq!(("Pending", None), (phase(&held), held.spec.as_ref().unwrap().node_name.as_deref()));
    let open = r#"[{"op": "remove", "path": "/spec/schedulingGates"}]"#;
    cluster.kubectl(&["patch", "pod/held", "-n", "gated", "--type=json", "-p", open]).await.unwrap();
    until_pod_ready(&client, "gated", "held").await;
}

#[tokio::test]
async fn a_pod_with_a_run_time_succeeds() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("runs").await.unwrap();
    let task = objects::pod("runs", "task").starts_in_ms(0).pod_annotation(RUN_MS, "300");
    cluster.apply(&task.to_string()).await.unwrap();
    eventually(SOON, "the pod has succeeded", async || {
        let task = pod(&client, "runs", "task").await;
        if phase(&task) == "Succeeded" { Ok(()) } else { Err(phase(&task).to_owned()) }
    })
    .await;
}

#[tokio::test]
async fn an_autoscaler_keeps_replicas_under_its_maximum() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("hpa").await.unwrap();
    cluster.apply(&deployment("hpa", "api").replicas(4).to_string()).await.unwrap();
    until_ready(&client, "hpa", "api", 4).await;
    cluster.apply(&objects::autoscaler("hpa", "api", 1, 2)).await.unwrap();
    until_pods(&client, "hpa", 2).await;
}

#[tokio::test]
async fn the_audit_log_tells_who_wrote_what() {
    let cluster = SHARED.cluster().await.unwrap();
    let mark = cluster.audit_mark().unwrap();
    cluster.create_namespace("audit").await.unwrap();
    let requests = cluster.audited(mark, "admin").unwrap();
    let wrote = requests
        .iter()
        .filter(|request| request.is_write())
        .filter_map(|request| request.object_ref.as_ref());
    assert!(wrote.into_iter().any(|object| object.resource == "namespaces" && object.name == "audit"));
    let later = cluster.audit_mark().unwrap();
    assert!(cluster.audited(later, "nobody").unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_command_says_what_was_asked_and_why_it_was_refused() {
    let cluster = SHARED.cluster().await.unwrap();
    let error =
        cluster.kubectl(&["get", "pods", "-n", "default", "no-such-pod"]).await.unwrap_err().to_string();
    assert!(error.contains("kubectl get pods -n default no-such-pod"), "{error}");
    assert!(error.contains(r#"pods "no-such-pod" not found"#), "{error}");
    assert!(pods(&cluster.client().await.unwrap(), "default").await.is_empty());
}

#[tokio::test]
async fn helm_sees_the_version_of_the_cluster() {
    let cluster = SHARED.cluster().await.unwrap();
    assert!(cluster.helm(&["version", "--short"]).await.unwrap().starts_with("v4."));
    assert_eq!("", cluster.helm(&["list", "--short"]).await.unwrap().trim());
    let version = cluster.kubectl(&["version", "-o", "json"]).await.unwrap();
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["clientVersion"]["gitVersion"], version["serverVersion"]["gitVersion"]);
}
