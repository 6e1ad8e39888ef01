//! Budgets, workloads and pods: as text for `kubectl apply`, and as an API server shows them.
//!
//! In: what a test states about an object. Out: JSON, which is YAML too. Everything else is left to the API server's
//! defaults, except the grace period, which the fake kubelets do not know. What is empty is left out, as the API server
//! leaves it out.

mod workload;

use std::fmt::Display;

use serde_json::{Value, json};

pub use workload::{Kind, Workload};

/// The label by which a workload opts in.
pub const BUDGET_LABEL: &str = "poolbudget.dev/budget";
/// The gate at which a pod waits for its grant.
pub const GATE: &str = "poolbudget.dev/connections";
/// The annotation of a grant for `pool_size`.
pub const POOL_SIZE: &str = "poolbudget.dev/pool-size";
/// The annotation of a grant for `max_overflow`.
pub const MAX_OVERFLOW: &str = "poolbudget.dev/max-overflow";
/// The annotation of a grant for the bill of the whole pod.
pub const CONNECTIONS: &str = "poolbudget.dev/connections";
/// The annotation for the time from scheduled to Ready, in milliseconds.
pub const START_MS: &str = "test.poolbudget.dev/start-ms";
/// The annotation for the time from deleted to gone, in milliseconds.
pub const DRAIN_MS: &str = "test.poolbudget.dev/drain-ms";
/// The annotation for the time from Ready to Succeeded, in milliseconds.
pub const RUN_MS: &str = "test.poolbudget.dev/run-ms";
/// An image that never becomes Ready.
pub const BAD_IMAGE: &str = "shop/app:bad";

/// A Deployment of one replica with one container, `app`.
pub fn deployment(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::Deployment, namespace, name)
}

/// A StatefulSet of one replica with one container, `app`. Its Service does not exist.
pub fn stateful_set(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::StatefulSet, namespace, name).spec("serviceName", name)
}

/// A DaemonSet with one container, `app`.
pub fn daemon_set(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::DaemonSet, namespace, name)
}

/// A ReplicaSet of one replica with one container, `app`.
pub fn replica_set(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::ReplicaSet, namespace, name)
}

/// A Job of one pod with one container, `app`, that succeeds after a while.
pub fn job(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::Job, namespace, name).pod_annotation(RUN_MS, "1000")
}

/// A CronJob that only runs by `kubectl create job --from`.
pub fn cron_job(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::CronJob, namespace, name).pod_annotation(RUN_MS, "1000")
}

/// A bare pod with one container, `app`.
pub fn pod(namespace: &str, name: &str) -> Workload {
    Workload::of(Kind::Pod, namespace, name)
}

/// A bare pod as the gate leaves it: it waits, and its variables will read its grant.
pub fn governed_pod(namespace: &str, name: &str, budget: &str) -> Workload {
    pod(namespace, name).label(BUDGET_LABEL, budget).gate(GATE).late_bound()
}

/// A bare pod as a grant leaves it: without the gate, with its size in annotations that its variables read.
pub fn granted_pod(namespace: &str, name: &str, budget: &str, pool_size: u32, max_overflow: u32) -> Workload {
    let connections = pool_size + max_overflow;
    pod(namespace, name)
        .label(BUDGET_LABEL, budget)
        .annotation(POOL_SIZE, &pool_size.to_string())
        .annotation(MAX_OVERFLOW, &max_overflow.to_string())
        .annotation(CONNECTIONS, &connections.to_string())
        .late_bound()
}

/// What an API server has stored of an object.
pub fn stored(mut object: Value, uid: &str, version: u64) -> Value {
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

/// A `DbConnectionBudget` with the given `spec`.
pub fn budget_object(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "poolbudget.dev/v1beta1",
        "kind": "DbConnectionBudget",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    })
}

/// The same as text.
pub fn budget(namespace: &str, name: &str, spec: &Value) -> String {
    document(budget_object(namespace, name, spec))
}

/// The `spec` of Supabase's smallest plan in session mode: 15 connections, `reserved` of them reserved.
pub fn nano_session(reserved: u32) -> Value {
    json!({"limit": {"supabase": {"compute": "Nano", "connection": "Session"}}, "reserved": reserved})
}

/// An autoscaler of a Deployment. Without a metrics server it only keeps the replicas between its two bounds.
pub fn autoscaler_object(namespace: &str, deployment: &str, min: u32, max: u32) -> Value {
    let resource = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": namespace, "name": deployment},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": min,
            "maxReplicas": max,
            "metrics": [{"type": "Resource", "resource": resource}],
        },
    })
}

/// The same as text.
pub fn autoscaler(namespace: &str, deployment: &str, min: u32, max: u32) -> String {
    document(autoscaler_object(namespace, deployment, min, max))
}

/// A PodDisruptionBudget for the pods of a Deployment; `rule` is `minAvailable` or `maxUnavailable`.
pub fn disruption_budget(namespace: &str, deployment: &str, rule: &str, value: impl Into<Value>) -> String {
    document(json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": namespace, "name": deployment},
        "spec": {"selector": {"matchLabels": {"app": deployment}}, rule: value.into()},
    }))
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
fn document(object: Value) -> String {
    format!("{object:#}\n")
}

/// Several documents as one text to apply.
pub fn documents<T: Display>(documents: &[T]) -> String {
    documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("---\n")
}
