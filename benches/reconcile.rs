//! What a reconcile computes, from the observed objects to the new status, at the sizes that the design names: everything
//! but the calls to the API server.
//!
//! `cargo bench --bench reconcile`. Half of the workloads' pods are at rest, a tenth of all pods waits.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "without its objects there is nothing to measure"
)]

use divan::{Bencher, black_box};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use poolbudget::api::{BudgetKey, DbConnectionBudget, DbConnectionBudgetStatus};
use poolbudget::budget::decide::decide;
use poolbudget::cluster::guarded::Guarded;
use poolbudget::cluster::pod::PodView;
use poolbudget::cluster::workload::{DeploymentView, ReplicaSetView};
use poolbudget::controller::memory::Hindrances;
use poolbudget::controller::observe::{Observed, Watched};
use poolbudget::controller::status;
use poolbudget::controller::view::View;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

/// Everything that was observed of one budget.
struct Scene {
    observed: Observed,
    budget: DbConnectionBudget,
    now: Timestamp,
}

fn see<K: Watched>(observed: &Observed, object: Value) {
    let object: Guarded<K> = serde_json::from_value(object).expect("an object");
    observed.take(Event::InitApply(object), 0);
}

fn container() -> Value {
    let from = |name: &str, note: &str| {
        let path = format!("metadata.annotations['poolbudget.dev/{note}']");
        json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
    };
    json!({"name": "app", "command": ["gunicorn", "-w", "2", "app:app"],
        "env": [from("DB_POOL_SIZE", "pool-size"), from("DB_MAX_OVERFLOW", "max-overflow")]})
}

impl Scene {
    fn of(workloads: u32, pods: u32) -> Self {
        let observed = Observed::default();
        let each = pods / workloads;
        for w in 0..workloads {
            let name = format!("workload-{w}");
            let template = json!({"metadata": {"labels": {"poolbudget.dev/budget": "main"}},
                "spec": {"containers": [container()]}});
            see::<DeploymentView>(
                &observed,
                json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1,
                        "resourceVersion": "1", "labels": {"poolbudget.dev/budget": "main"}},
                    "spec": {"replicas": each, "template": template}, "status": {"observedGeneration": 1}}),
            );
            see::<ReplicaSetView>(
                &observed,
                json!({"metadata": {"name": format!("{name}-1"), "namespace": "shop", "uid": format!("{name}-1"),
                        "resourceVersion": "1", "annotations": {"deployment.kubernetes.io/revision": "1"},
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": name,
                            "controller": true}]},
                    "spec": {"replicas": each, "template": template},
                    "status": {"replicas": each, "readyReplicas": each}}),
            );
            for p in 0..each {
                see::<PodView>(&observed, pod(&name, p, (w * each + p) % 10 == 9));
            }
        }
        let budget = json!({
            "metadata": {"name": "main", "namespace": "shop", "uid": "b", "generation": 1},
            "spec": {"limit": {"connections": pods * 3}, "reserved": 0},
        });
        let now = Timestamp::from_second(1_790_000_000).expect("a time");
        Self { observed, budget: serde_json::from_value(budget).expect("a budget"), now }
    }

    fn assess(&self) -> View {
        let key = BudgetKey::new("shop", "main");
        let status = DbConnectionBudgetStatus::default();
        View::of(self.observed.world(), &key, &self.budget.spec, Some(1), &status, decide, self.now)
    }

    fn report(&self, view: &View) -> DbConnectionBudgetStatus {
        let old = DbConnectionBudgetStatus::default();
        status::assemble(view, &self.budget, &old, Vec::new(), Hindrances::default(), self.now)
    }
}

fn pod(workload: &str, number: u32, waits: bool) -> Value {
    let name = format!("{workload}-1-{number}");
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "creationTimestamp": "2026-09-21T16:00:00Z", "labels": {"poolbudget.dev/budget": "main"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{workload}-1"),
                "uid": format!("{workload}-1"), "controller": true}]},
        "spec": {"containers": [container()]},
    });
    if waits {
        pod["spec"]["schedulingGates"] = json!([{"name": "poolbudget.dev/connections"}]);
    } else {
        pod["metadata"]["annotations"] = json!({"poolbudget.dev/pool-size": "1", "poolbudget.dev/max-overflow": "0",
            "poolbudget.dev/connections": "2"});
        pod["spec"]["nodeName"] = json!("node");
        pod["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    }
    pod
}

/// How it grows: with the pods, and not with workloads × pods.
const SIZES: [(u32, u32); 3] = [(10, 100), (100, 1_000), (1_000, 10_000)];

/// From the observed objects to the decision.
#[divan::bench(args = SIZES)]
fn assess(bencher: Bencher<'_, '_>, (workloads, pods): (u32, u32)) {
    let scene = Scene::of(workloads, pods);
    let view = scene.assess();
    assert_eq!(view.scene.pods.len(), usize::try_from(pods).expect("a size"));
    assert!(!view.decision.grants.granted.is_empty(), "{:?}", view.decision.grants.refused.first());
    bencher.bench_local(|| black_box(&scene).assess());
}

/// From the decision to the status.
#[divan::bench(args = SIZES)]
fn write_down(bencher: Bencher<'_, '_>, (workloads, pods): (u32, u32)) {
    let scene = Scene::of(workloads, pods);
    let view = scene.assess();
    bencher.bench_local(|| black_box(&scene).report(black_box(&view)));
}
