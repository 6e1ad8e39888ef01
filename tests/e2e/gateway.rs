//! What the grant transaction takes for granted of the real API server: patches that fail on a pod that changed, and
//! evictions that are refused in more than one way.

use poolbudget::cluster::pod::{PodRecord, PodView};
use poolbudget::controller::gateway::{Gateway, GatewayError, KubeGateway, Sizes};
use poolbudget::controller::lease::Leadership;
use poolbudget::telemetry::metrics::Metrics;
use testkit::objects;

use crate::world::{SHARED, until_pod_ready};

const SIZES: Sizes = Sizes { pool_size: 2, max_overflow: 3, connections: 5 };

/// A namespace with pods made from `manifest`, and a gateway to it.
async fn scene(namespace: &str, manifest: &str) -> KubeGateway {
    let cluster = SHARED.cluster().await.unwrap();
    cluster.create_namespace(namespace).await.unwrap();
    cluster.apply(manifest).await.unwrap();
    let client = cluster.client().await.unwrap();
    KubeGateway::new(client, Leadership::unconditional(), "test", Metrics::default())
}

/// A pod that waits at the gate.
fn gated(namespace: &str, name: &str, metadata: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod",
            "metadata": {{"name": "{name}", "namespace": "{namespace}", "labels": {{"poolbudget.dev/budget": "main"}}{metadata}}},
            "spec": {{"schedulingGates": [{{"name": "test.poolbudget.dev/other"}}, {{"name": "poolbudget.dev/connections"}}],
                "containers": [{{"name": "app", "image": "app:1"}}]}}}}"#
    )
}

async fn seen(gateway: &KubeGateway, namespace: &str, name: &str) -> PodRecord {
    let view: Option<PodView> = gateway.pod(namespace, name).await.unwrap();
    PodRecord::read(&view.unwrap()).unwrap()
}

fn is_outdated<T: std::fmt::Debug>(outcome: &Result<T, GatewayError>) -> bool {
    matches!(outcome, Err(GatewayError::Outdated { .. }))
}

#[tokio::test]
async fn a_grant_takes_one_patch_whether_the_pod_has_annotations_or_not() {
    let space = "granted";
    // kubectl apply leaves an annotation; a pod that is created otherwise may have none.
    let gateway = scene(space, &gated(space, "some", "")).await;
    let cluster = SHARED.cluster().await.unwrap();
    cluster
        .kubectl(&["annotate", "pod/some", "-n", space, "kubectl.kubernetes.io/last-applied-configuration-"])
        .await
        .unwrap();
    for annotations in [false, true] {
        let pod = seen(&gateway, space, "some").await;
        assert_eq!(pod.annotated, annotations);
        if annotations {
            let granted = PodRecord::read(&gateway.grant(&pod, SIZES).await.unwrap()).unwrap();
            assert!(!granted.gated);
            assert_eq!(granted.grant.map(|grant| grant.connections), Some(5));
            assert!(is_outdated(&gateway.grant(&pod, SIZES).await), "only once");
        } else {
            gateway.fence(&pod, "b-1").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_fence_stops_the_grants_that_were_decided_before_it() {
    let space = "fenced";
    let gateway = scene(space, &gated(space, "one", "")).await;
    let before = seen(&gateway, space, "one").await;
    gateway.fence(&before, "b-1").await.unwrap();
    assert!(is_outdated(&gateway.grant(&before, SIZES).await));
    assert!(is_outdated(&gateway.fence(&before, "b-2").await));
    let after = seen(&gateway, space, "one").await;
    assert!(after.gated);
    gateway.grant(&after, SIZES).await.unwrap();
}

#[tokio::test]
async fn writes_for_another_pod_of_the_same_name_fail() {
    let space = "renamed";
    let gateway = scene(space, &gated(space, "one", "")).await;
    let stranger = PodRecord { uid: "another".into(), ..seen(&gateway, space, "one").await };
    assert!(is_outdated(&gateway.grant(&stranger, SIZES).await));
    assert!(is_outdated(&gateway.evict(&stranger).await));
    assert!(is_outdated(&gateway.delete(&stranger).await));
    assert!(seen(&gateway, space, "one").await.gated);
}

/// A PodDisruptionBudget that allows nothing.
fn calm(namespace: &str, name: &str) -> String {
    format!(
        r#"{{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {{"name": "{name}", "namespace": "{namespace}"}},
            "spec": {{"minAvailable": 1, "selector": {{"matchLabels": {{"poolbudget.dev/budget": "main"}}}}}}}}"#
    )
}

#[tokio::test]
async fn a_refused_eviction_says_by_which_disruption_budget_or_that_there_are_several() {
    let space = "refused";
    let client = SHARED.cluster().await.unwrap().client().await.unwrap();
    let ready = objects::pod(space, "one").label("poolbudget.dev/budget", "main").starts_in_ms(0);
    let gateway = scene(space, &ready.to_string()).await;
    until_pod_ready(&client, space, "one").await;
    let pod = seen(&gateway, space, "one").await;
    let cluster = SHARED.cluster().await.unwrap();
    cluster.apply(&calm(space, "calm")).await.unwrap();
    let outcome = gateway.evict(&pod).await;
    let Err(GatewayError::Disruption { budget, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(["PodDisruptionBudget calm", "a PodDisruptionBudget"].contains(&budget.as_str()), "{budget}");
    cluster.apply(&calm(space, "calmer")).await.unwrap();
    let outcome = gateway.evict(&pod).await;
    let Err(GatewayError::Disruption { budget, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(budget, "more than one PodDisruptionBudget");
    assert!(!seen(&gateway, space, "one").await.terminating);
}
