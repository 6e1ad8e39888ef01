//! Sound objects, to be spoiled.

use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const BUDGET: &str = "main";

/// A pod of the Deployment `api` that waits at the gate.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("uid-of-{name}"), "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1,
            "labels": {"poolbudget.dev/budget": BUDGET, "app": "api"},
            "annotations": {"poolbudget.dev/processes": "2", "team": "blue"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-1", "uid": "s", "controller": true}],
            "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "v1",
                "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {}}}],
        },
        "spec": {
            "nodeName": "node-0",
            "containers": [{"name": "app", "env": late_bound()}, {"name": "proxy", "env": [{"name": "PORT", "value": "80"}]}],
            "initContainers": [{"name": "migrate"}],
            "schedulingGates": [{"name": "poolbudget.dev/connections"}],
            "terminationGracePeriodSeconds": 30,
        },
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"},
                {"type": "Ready", "status": "False", "lastTransitionTime": null},
            ],
            "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}],
        },
    })
}

/// An env that reads its sizes from the grant.
pub(crate) fn late_bound() -> Value {
    let from = |key: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.annotations['poolbudget.dev/{key}']")}});
    json!([
        {"name": "DB_POOL_SIZE", "valueFrom": from("pool-size")},
        {"name": "DB_MAX_OVERFLOW", "valueFrom": from("max-overflow")},
    ])
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"poolbudget.dev/budget": BUDGET, "app": "api"}, "annotations": {"poolbudget.dev/engines": "2"}},
        "spec": {"containers": [{"name": "app", "env": [{"name": "DB_POOL_SIZE", "value": "5"}]}]},
    })
}

pub(crate) fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "api", "namespace": NAMESPACE, "uid": "d", "resourceVersion": "5", "generation": 3,
            "labels": {"poolbudget.dev/budget": BUDGET}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 3, "template": template(),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}},
        "status": {"observedGeneration": 3},
    })
}

pub(crate) fn replica_set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "api-1", "namespace": NAMESPACE, "uid": "s", "resourceVersion": "6",
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "d", "controller": true}]},
        "spec": {"replicas": 3, "template": template()},
        "status": {"replicas": 3, "readyReplicas": 2},
    })
}

/// A Job whose pods are of the group `import`.
pub(crate) fn job(name: &str) -> Value {
    let mut template = template();
    template["metadata"]["labels"]["poolbudget.dev/workload"] = json!("import");
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("uid-of-{name}"), "resourceVersion": "6"},
        "spec": {"parallelism": 2, "completions": 4, "template": template},
        "status": {"active": 1},
    })
}

/// A pod of such a Job, at the gate.
pub(crate) fn pod_of_job(name: &str, job: &str) -> Value {
    let mut pod = pod(name);
    pod["metadata"]["labels"]["poolbudget.dev/workload"] = json!("import");
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job,
        "uid": format!("uid-of-{job}"), "controller": true}]);
    pod
}

pub(crate) fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api", "namespace": NAMESPACE, "uid": "h", "resourceVersion": "8"},
        "spec": {"maxReplicas": 6, "minReplicas": 1, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}},
    })
}

/// A budget with all of its spec, and a status in the middle of its work.
pub(crate) fn budget() -> Value {
    json!({
        "apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudget",
        "metadata": {"name": BUDGET, "namespace": NAMESPACE, "uid": "b", "resourceVersion": "9", "generation": 2},
        "spec": {
            "limit": {"connections": 30}, "reserved": 2, "mode": "Gate", "infeasiblePolicy": "Wait", "evictionPolicy": "Allowed",
            "sizing": {"basis": "Ladder", "surge": "Full", "overflowRatio": 2},
            "workloads": [{"name": "api", "kind": "Deployment", "weight": 2, "connectionsPerProcess": {"min": 1, "max": 9}, "maxReplicas": 8}],
        },
        "status": {
            "observedGeneration": 2, "limit": {"connections": 30, "source": "set in spec.limit"},
            "usable": 28, "committed": 6, "pods": {"desired": 3, "granted": 1, "waiting": 0, "draining": 0, "foreign": 0},
            "workloads": [{"kind": "Deployment", "name": "api", "replicas": 3}],
            "ledger": {
                "epoch": 4, "mode": "Gate",
                "grants": [{"uid": "uid-of-a", "pod": "a", "workload": "Deployment/api", "poolSize": 1, "maxOverflow": 2, "connections": 6}],
                "quarantine": [{"uid": "gone", "pod": "z", "connections": 3, "until": "2027-02-01T00:00:00Z"}],
                "baselines": [{"kind": "Deployment", "name": "api", "replicas": 1,
                    "ladder": {"level": 4, "lowSince": "2026-01-01T00:00:00Z"}}],
            },
            "conditions": [{"type": "Settled", "status": "True", "reason": "Settled", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    })
}
