//! Sound objects, to be spoiled.

use serde_json::{Value, json};
use testkit::objects::{self, BUDGET_LABEL, Kind, Workload, budget_object, stored};

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const BUDGET: &str = "main";

const MADE: &str = "2026-01-01T00:00:00Z";

/// A pod of the Deployment `api` that waits at the gate.
pub(crate) fn pod(name: &str) -> Value {
    pod_of(name, Kind::ReplicaSet, "api-1", "s")
}

fn pod_of(name: &str, kind: Kind, owner: &str, owner_uid: &str) -> Value {
    let pod = objects::governed_pod(NAMESPACE, name, BUDGET)
        .pod_label("app", "api")
        .annotation("poolbudget.dev/processes", "2")
        .annotation("team", "blue")
        .owner(kind, owner, owner_uid)
        .meta("creationTimestamp", MADE)
        .meta("generation", 1)
        .meta(
            "managedFields",
            json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "v1",
            "time": MADE, "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {}}}]),
        )
        .pod_spec("nodeName", "node-0")
        .pod_spec("initContainers", json!([{"name": "migrate"}]))
        .grace_seconds(30)
        .status(json!({
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
                {"type": "Ready", "status": "False", "lastTransitionTime": null},
            ],
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}],
        }));
    let mut pod = stored(pod.json(), &format!("uid-of-{name}"), 7);
    let proxy = json!({"name": "proxy", "env": [{"name": "PORT", "value": "80"}]});
    pod["spec"]["containers"].as_array_mut().expect("containers").push(proxy);
    pod
}

/// An env that reads its sizes from the grant.
pub(crate) fn late_bound() -> Value {
    pod("any")["spec"]["containers"][0]["env"].take()
}

/// A workload whose pods state their size.
fn workload(kind: Kind, name: &str) -> Workload {
    Workload::of(kind, NAMESPACE, name)
        .replicas(3)
        .pod_label(BUDGET_LABEL, BUDGET)
        .pod_label("app", "api")
        .pod_annotation("poolbudget.dev/engines", "2")
        .env("DB_POOL_SIZE", "5")
}

pub(crate) fn deployment() -> Value {
    let deployment = workload(Kind::Deployment, "api")
        .label(BUDGET_LABEL, BUDGET)
        .meta("generation", 3)
        .meta("creationTimestamp", MADE)
        .rolling("25%", 1)
        .status(json!({"observedGeneration": 3}));
    stored(deployment.json(), "d", 5)
}

pub(crate) fn replica_set() -> Value {
    let set = workload(Kind::ReplicaSet, "api-1")
        .annotation("deployment.kubernetes.io/revision", "1")
        .owner(Kind::Deployment, "api", "d")
        .status(json!({"replicas": 3, "readyReplicas": 2}));
    stored(set.json(), "s", 6)
}

/// A Job whose pods are of the group `import`.
pub(crate) fn job(name: &str) -> Value {
    let job = workload(Kind::Job, name)
        .pod_label("poolbudget.dev/workload", "import")
        .spec("parallelism", 2)
        .spec("completions", 4)
        .status(json!({"active": 1}));
    stored(job.json(), &format!("uid-of-{name}"), 6)
}

/// A pod of such a Job, at the gate.
pub(crate) fn pod_of_job(name: &str, job: &str) -> Value {
    let mut pod = pod_of(name, Kind::Job, job, &format!("uid-of-{job}"));
    pod["metadata"]["labels"]["poolbudget.dev/workload"] = json!("import");
    pod
}

pub(crate) fn autoscaler() -> Value {
    stored(objects::autoscaler_object(NAMESPACE, "api", 1, 6), "h", 8)
}

/// A budget with all of its spec, and a status in the middle of its work.
pub(crate) fn budget() -> Value {
    let mut budget = budget_object(
        NAMESPACE,
        BUDGET,
        &json!({
            "limit": {"connections": 30}, "reserved": 2, "mode": "Gate", "infeasiblePolicy": "Wait", "evictionPolicy": "Allowed",
            "sizing": {"basis": "Ladder", "surge": "Full", "overflowRatio": 2},
            "workloads": [{"name": "api", "kind": "Deployment", "weight": 2, "connectionsPerProcess": {"min": 1, "max": 9}, "maxReplicas": 8}],
        }),
    );
    budget["metadata"]["generation"] = json!(2);
    budget["status"] = json!({
        "observedGeneration": 2, "limit": {"connections": 30, "source": "set in spec.limit"},
        "usable": 28, "committed": 6, "pods": {"desired": 3, "granted": 1, "waiting": 0, "draining": 0, "foreign": 0},
        "workloads": [{"kind": "Deployment", "name": "api", "replicas": 3}],
        "ledger": {
            "epoch": 4, "mode": "Gate",
            "grants": [{"uid": "uid-of-a", "pod": "a", "workload": "Deployment/api", "poolSize": 1, "maxOverflow": 2, "connections": 6}],
            "quarantine": [{"uid": "gone", "pod": "z", "connections": 3, "until": "2027-02-01T00:00:00Z"}],
            "baselines": [{"kind": "Deployment", "name": "api", "replicas": 1,
                "ladder": {"level": 4, "lowSince": MADE}}],
        },
        "conditions": [{"type": "Settled", "status": "True", "reason": "Settled", "message": "", "lastTransitionTime": MADE}],
    });
    stored(budget, "b", 9)
}
