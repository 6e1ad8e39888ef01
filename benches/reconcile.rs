//! What a reconcile computes, from the observed objects to the new status, at the sizes that the design names: everything
//! but the calls to the API server.
//!
//! `cargo bench --bench reconcile`. Half of the workloads' pods are at rest, a tenth of all pods waits.

#![expect(clippy::expect_used, reason = "without its objects there is nothing to measure")]

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
use testkit::objects::{self, BUDGET_LABEL, CONNECTIONS, Kind, Workload, governed_pod, granted_pod, stored};

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

/// A workload whose pods are of the budget and read their grants, or such a pod.
fn governed(workload: Workload) -> Workload {
    workload.pod_label(BUDGET_LABEL, "main").command(&["gunicorn", "-w", "2", "app:app"])
}

impl Scene {
    fn of(workloads: u32, pods: u32) -> Self {
        let observed = Observed::default();
        let each = pods / workloads;
        for w in 0..workloads {
            let name = format!("workload-{w}");
            let deployment = governed(objects::deployment("shop", &name)).late_bound().replicas(each);
            let deployment = deployment.meta("generation", 1).status(json!({"observedGeneration": 1}));
            see::<DeploymentView>(&observed, stored(deployment.json(), &name, 1));
            let set = format!("{name}-1");
            let own = governed(objects::replica_set("shop", &set)).late_bound().replicas(each);
            let own = own
                .annotation("deployment.kubernetes.io/revision", "1")
                .owner(Kind::Deployment, &name, &name)
                .status(json!({"replicas": each, "readyReplicas": each}));
            see::<ReplicaSetView>(&observed, stored(own.json(), &set, 1));
            for p in 0..each {
                see::<PodView>(&observed, pod(&name, p, (w * each + p) % 10 == 9));
            }
        }
        let spec = json!({"limit": {"connections": pods * 3}, "reserved": 0});
        let budget = stored(objects::budget_object("shop", "main", &spec), "b", 1);
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
    let pod = if waits {
        governed_pod("shop", &name, "main")
    } else {
        granted_pod("shop", &name, "main", 1, 0)
            .annotation(CONNECTIONS, "2")
            .pod_spec("nodeName", "node")
            .status(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))
    };
    let set = format!("{workload}-1");
    let pod =
        governed(pod).owner(Kind::ReplicaSet, &set, &set).meta("creationTimestamp", "2026-09-21T16:00:00Z");
    stored(pod.json(), &name, 1)
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
