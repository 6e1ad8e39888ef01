//! The policies, and the webhook in their place, as the chart installs them, on a real API server.
//!
//! `tests/admission/*.yaml` are the rules as cases; [`tables`] tries them one by one, [`confined`] those about the operator
//! itself. [`flows`] does what
//! users and controllers do, with kubectl and the real controllers, [`injectors`] what others do who change pods.
//! Nobody runs the operator here: a test that needs it writes as its ServiceAccount.

mod confined;
mod flows;
mod injectors;
mod tables;
mod untold;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::admission::{Refusal, gates_of, refusal};
use testkit::cluster::client_of;
use testkit::install::{RELEASE, SYSTEM, chart};
use testkit::objects::{BUDGET_LABEL as BUDGET, GATE, deployment};
use testkit::{Cluster, Operator, Shared, Version, eventually};
use tokio::sync::OnceCell;

const SOON: Duration = Duration::from_secs(60);

/// The namespace with a workload that was there, and wrong, before the policies were.
const BEFORE: &str = "before";

static CLUSTER: Shared = Shared::of(Version::Current);
static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// The same where the webhook gates, and the replica that serves it.
static ASKED: Shared = Shared::of(Version::Older);
static SERVING: OnceCell<Operator> = OnceCell::const_new();

/// Makes each of these tables, which take a cluster, a test of the policies and a test of the webhook.
macro_rules! by_policies_and_by_the_webhook {
    ($($table:ident),+ $(,)?) => {
        mod by_policies {
            $(#[tokio::test] async fn $table() { super::$table(super::super::installed().await).await; })+
        }
        mod by_the_webhook {
            $(#[tokio::test] async fn $table() { super::$table(super::super::asked().await).await; })+
        }
    };
}
use by_policies_and_by_the_webhook;

/// The cluster with the chart installed and its policies in force.
async fn installed() -> &'static Cluster {
    let cluster = CLUSTER.cluster().await.unwrap();
    INSTALLED.get_or_init(|| install(cluster)).await;
    cluster
}

/// The cluster with the chart installed and a replica that answers its API server.
async fn asked() -> &'static Cluster {
    let cluster = ASKED.cluster().await.unwrap();
    let serve = async || {
        cluster.install_chart(&chart()).await.unwrap();
        let replica = cluster.start_replica("poolbudget-0").await.unwrap();
        until_checked(&cluster.client().await.unwrap()).await;
        replica
    };
    SERVING.get_or_init(serve).await;
    cluster
}

async fn until_checked(client: &Client) {
    eventually(SOON, "the check is in force", async || {
        let bad = pod_with(&json!({"poolbudget.dev/processes": "none"}));
        try_pod(client, "default", &bad).await.map_or(Ok(()), |_| Err("a bad pod passes".to_owned()))
    })
    .await;
}

async fn install(cluster: &Cluster) {
    cluster.create_namespace(BEFORE).await.unwrap();
    let bad = deployment(BEFORE, "bad").idle().label(BUDGET, "main").pod_label(BUDGET, "main");
    cluster.apply(&bad.pod_annotation("poolbudget.dev/processes", "none").to_string()).await.unwrap();
    untold::make_large_from_before(&cluster.client().await.unwrap()).await;
    cluster.install_chart(&chart()).await.unwrap();
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// What would become of a pod; nothing is stored.
async fn try_pod(client: &Client, namespace: &str, pod: &Value) -> Result<Pod, Refusal> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&dry_run(), &serde_json::from_value(pod.clone()).unwrap()).await.map_err(refusal)
}

/// What would become of a Deployment; nothing is stored.
async fn try_deployment(client: &Client, namespace: &str, object: &Value) -> Result<Deployment, Refusal> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    deployments.create(&dry_run(), &serde_json::from_value(object.clone()).unwrap()).await.map_err(refusal)
}

/// Binds a pod to a node, as a scheduler does, with annotations on the Binding.
async fn bind(client: &Client, namespace: &str, pod: &str, annotations: Value) -> Result<(), Refusal> {
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": namespace, "name": pod, "annotations": annotations},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-0"},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(&binding).unwrap()).unwrap();
    client.request_text(request).await.map(|_| ()).map_err(refusal)
}

fn pod_with(annotations: &Value) -> Value {
    json!({
        "metadata": {"name": "tried", "labels": {BUDGET: "main"}, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]},
    })
}

fn gates(pod: &Pod) -> Vec<String> {
    gates_of(&json!(pod))
}

/// What a pod says of the node that mirrors it.
async fn node(cluster: &Cluster) -> Value {
    let uid = cluster.kubectl(&["get", "node", "node-0", "-o", "jsonpath={.metadata.uid}"]).await.unwrap();
    json!({"apiVersion": "v1", "kind": "Node", "name": "node-0", "uid": uid, "controller": true})
}

/// A client that writes as the operator does.
async fn operator(cluster: &Cluster) -> Client {
    account(cluster, RELEASE).await
}

/// A client that writes as this account of the chart.
async fn account(cluster: &Cluster, name: &str) -> Client {
    let kubeconfig: PathBuf = cluster.account_kubeconfig(SYSTEM, name).await.unwrap();
    client_of(&kubeconfig).await.unwrap()
}
