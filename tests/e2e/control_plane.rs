//! The harness itself: a cluster behaves as the tests of the operator take for granted.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::support::objects::{self, deployment};
use crate::support::{Shared, eventually};

const SOON: Duration = Duration::from_secs(30);

/// One cluster for those tests that leave its programs alone; each has a namespace of its own.
static CLUSTER: Shared = Shared::new();

async fn ready_replicas(client: &Client, namespace: &str, name: &str) -> i32 {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let status = deployments.get(name).await.unwrap().status.unwrap_or_default();
    status.ready_replicas.unwrap_or_default()
}

async fn until_ready(client: &Client, namespace: &str, name: &str, replicas: i32) {
    eventually(SOON, &format!("{namespace}/{name} has {replicas} ready pods"), async || {
        let ready = ready_replicas(client, namespace, name).await;
        (ready == replicas).then_some(()).ok_or_else(|| format!("{ready} are ready"))
    })
    .await;
}

async fn pods(client: &Client, namespace: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.list(&ListParams::default()).await.unwrap().items
}

#[tokio::test]
async fn the_pods_of_a_deployment_become_ready() {
    let cluster = CLUSTER.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("ready").await.unwrap();
    cluster.apply(&deployment("ready", "api").replicas(3).to_string()).await.unwrap();
    until_ready(&client, "ready", "api", 3).await;
    cluster.kubectl(&["scale", "deployment", "api", "-n", "ready", "--replicas=1"]).await.unwrap();
    eventually(SOON, "two pods are gone", async || {
        let left = pods(&client, "ready").await.len();
        (left == 1).then_some(()).ok_or_else(|| format!("{left} are left"))
    })
    .await;
}

#[tokio::test]
async fn a_pod_starts_and_drains_at_the_pace_of_its_annotations() {
    let cluster = CLUSTER.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("pace").await.unwrap();
    let slow = objects::pod("pace", "slow").starts_in_ms(2000).drains_in_ms(3000);
    let applied = Instant::now();
    cluster.apply(&slow.to_string()).await.unwrap();
    cluster
        .kubectl(&["wait", "pod/slow", "-n", "pace", "--for=condition=Ready", "--timeout=30s"])
        .await
        .unwrap();
    assert!(applied.elapsed() >= Duration::from_millis(2000), "ready after {:?}", applied.elapsed());
    let deleted = Instant::now();
    cluster.kubectl(&["delete", "pod/slow", "-n", "pace", "--wait=false"]).await.unwrap();
    eventually(SOON, "the pod is gone", async || {
        if pods(&client, "pace").await.is_empty() { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
    assert!(deleted.elapsed() >= Duration::from_millis(3000), "gone after {:?}", deleted.elapsed());
}
