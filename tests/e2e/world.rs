//! What tests ask of the world. A wait takes an answer that does not come as "not yet": the API server may just have been
//! restarted.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use testkit::{Shared, Version, eventually};

/// One cluster for all tests that leave its programs alone. Each has namespaces of its own.
pub(crate) static SHARED: Shared = Shared::of(Version::Current);

/// Long enough for anything that does come on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The pods of a namespace.
pub(crate) async fn pods(client: &Client, namespace: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.list(&ListParams::default()).await.unwrap().items
}

/// One pod.
pub(crate) async fn pod(client: &Client, namespace: &str, name: &str) -> Pod {
    Api::namespaced(client.clone(), namespace).get(name).await.unwrap()
}

/// `status.phase`.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown")
}

/// The status of a condition; empty without one.
pub(crate) fn condition(pod: &Pod, kind: &str) -> String {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let found = conditions.into_iter().flatten().find(|condition| condition.type_ == kind);
    found.map(|condition| condition.status.clone()).unwrap_or_default()
}

/// Waits until a pod is Ready.
pub(crate) async fn until_pod_ready(client: &Client, namespace: &str, name: &str) {
    eventually(SOON, &format!("pod {namespace}/{name} is Ready"), async || {
        let pod: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pod = pod.get(name).await.map_err(|error| error.to_string())?;
        let ready = condition(&pod, "Ready");
        (ready == "True").then_some(()).ok_or_else(|| format!("phase {}, Ready {ready:?}", phase(&pod)))
    })
    .await;
}

/// Waits until a Deployment has exactly so many ready pods.
pub(crate) async fn until_ready(client: &Client, namespace: &str, name: &str, replicas: i32) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    eventually(SOON, &format!("{namespace}/{name} has {replicas} ready pods"), async || {
        let deployment = deployments.get(name).await.map_err(|error| error.to_string())?;
        let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or_default();
        (ready == replicas).then_some(()).ok_or_else(|| format!("{ready} are ready"))
    })
    .await;
}

/// Waits until a namespace has so many pods, those that drain included.
pub(crate) async fn until_pods(client: &Client, namespace: &str, count: usize) {
    eventually(SOON, &format!("{namespace} has {count} pods"), async || {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let there = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len();
        (there == count).then_some(()).ok_or_else(|| format!("it has {there}"))
    })
    .await;
}
