//! The clusters that the page is tested with, object by object. Their statuses are what the operator itself would write.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use poolbudget::api::{BudgetKey, DbConnectionBudget};
use poolbudget::budget::decide::decide;
use poolbudget::cluster::guarded::Guarded;
use poolbudget::cluster::pod::PodView;
use poolbudget::cluster::workload::{DeploymentView, ReplicaSetView};
use poolbudget::controller::memory::Hindrances;
use poolbudget::controller::observe::{Observed, Watched};
use poolbudget::controller::status::assemble;
use poolbudget::controller::view::View;
use poolbudget::page::seen::Seen;
use serde_json::{Value, json};

/// What a tenant may write into a sentence.
const HOSTILE: &str = "pods of <img src=x onerror=alert(1)> hold 6 connections more than they were granted";

/// A cluster.
pub struct State {
    now: Timestamp,
    budgets: Vec<Value>,
    deployments: Vec<Value>,
    sets: Vec<Value>,
    pods: Vec<Value>,
    born: u64,
}

/// The cluster of this name.
pub fn named(name: &str, now: Timestamp) -> Option<State> {
    let mut state = State::new(now);
    match name {
        "healthy" => healthy(&mut state),
        "draining" => draining(&mut state),
        "stalled" => stalled(&mut state),
        "foreign" => foreign(&mut state),
        "many" => many(&mut state),
        _ => return None,
    }
    Some(state)
}

fn healthy(state: &mut State) {
    state.make_budget("shop", "main", 15, 2);
    state.workload("shop", "main", "api", &["granted 2"; 4]);
    state.workload("shop", "main", "web", &["granted 2"; 2]);
    state.make_budget("shop", "reports", 20, 1);
    state.workload("shop", "reports", "nightly-reports", &["granted 4"; 2]);
    state.make_budget("billing", "ledger", 60, 5);
    state.workload("billing", "ledger", "invoices", &["granted 5"; 6]);
    state.workload("billing", "ledger", "payments", &["granted 5"; 4]);
    state.make_budget("identity", "keycloak", 100, 3);
    state.workload("identity", "keycloak", "keycloak", &["granted 20"; 3]);
    state.settle();
    state.evidence("billing", "ledger", &[("invoices", 17, 0), ("payments", 9, 0)]);
    state.evidence("shop", "main", &[("api", 5, 0), ("web", 1, 0)]);
}

fn draining(state: &mut State) {
    state.make_budget("shop", "main", 15, 2);
    state.workload(
        "shop",
        "main",
        "api",
        &["granted 2", "granted 2", "granted 2", "draining 2", "draining 2", "waiting", "waiting"],
    );
    state.workload("shop", "main", "web", &["granted 3"]);
    state.make_budget("shop", "reports", 20, 1);
    state.workload("shop", "reports", "nightly-reports", &["granted 4"; 2]);
    state.make_budget("billing", "ledger", 60, 5);
    state.workload("billing", "ledger", "invoices", &["granted 5"; 6]);
    state.settle();
}

fn stalled(state: &mut State) {
    state.make_budget("shop", "main", 15, 2);
    let mut pods = vec!["granted 1"; 13];
    pods.extend(["waiting"; 17]);
    state.workload("shop", "main", "api", &pods);
    state.make_budget("billing", "ledger", 60, 5);
    state.workload("billing", "ledger", "invoices", &["granted 5"; 6]);
    state.settle();
}

fn foreign(state: &mut State) {
    state.make_budget("shop", "main", 40, 2);
    state.workload("shop", "main", "api", &["granted 2", "granted 2", "granted 2", "foreign"]);
    state.workload("shop", "main", "web", &["granted 2", "granted 2"]);
    state.make_budget("billing", "ledger", 60, 5);
    state.workload("billing", "ledger", "invoices", &["granted 5"; 6]);
    state.settle();
    state.evidence("shop", "main", &[("api", 4, 0), ("web", 8, 1)]);
    state.excess("shop", "main", "web-7d9f-b", 6);
    state.condition("shop", "main", "EnvIgnored", "MoreThanGranted", HOSTILE);
}

/// A thousand budgets, of which a few have problems.
fn many(state: &mut State) {
    stalled(state);
    for n in 0..998_i64 {
        let (namespace, name) = (format!("team-{:02}", n % 40), format!("database-{n:03}"));
        let committed = n % 28;
        let bad = n % 200 == 7;
        let condition = json!({"type": "Feasible", "status": if bad { "False" } else { "True" },
            "reason": if bad { "DoesNotFit" } else { "Fits" },
            "message": if bad { "40 connections are needed at the smallest sizes, and 28 are usable" } else { "fits" }});
        state.budgets.push(json!({"metadata": {"name": name, "namespace": namespace, "generation": 1},
            "spec": {"limit": {"connections": 30}, "reserved": 2},
            "status": {"observedGeneration": 1, "limit": {"connections": 30, "source": "set in spec.limit"},
                "usable": 28, "committed": committed, "conditions": [condition],
                "pods": {"desired": n % 14, "granted": n % 14, "waiting": 0, "draining": 0, "foreign": 0}}}));
    }
}

impl State {
    fn new(now: Timestamp) -> Self {
        Self { now, budgets: vec![], deployments: vec![], sets: vec![], pods: vec![], born: 0 }
    }

    /// All budgets, as the page reads them.
    pub fn budgets(&self) -> impl Iterator<Item = Guarded<Seen>> {
        self.budgets.iter().filter_map(|budget| serde_json::from_value(budget.clone()).ok())
    }

    /// One budget, as the page reads it.
    pub fn budget(&self, key: &BudgetKey) -> Option<Guarded<Seen>> {
        let is = |budget: &&Value| {
            budget["metadata"]["name"] == key.name && budget["metadata"]["namespace"] == key.namespace
        };
        serde_json::from_value(self.budgets.iter().find(is)?.clone()).ok()
    }

    /// A namespace, as the watches would have seen it.
    pub fn observed(&self, namespace: &str) -> Observed {
        let observed = Observed::default();
        see::<DbConnectionBudget>(&observed, &self.budgets, namespace);
        see::<DeploymentView>(&observed, &self.deployments, namespace);
        see::<ReplicaSetView>(&observed, &self.sets, namespace);
        see::<PodView>(&observed, &self.pods, namespace);
        observed
    }

    fn version(&mut self) -> String {
        self.born += 1;
        self.born.to_string()
    }
}

fn see<K: Watched>(observed: &Observed, objects: &[Value], namespace: &str) {
    for object in objects.iter().filter(|object| object["metadata"]["namespace"] == namespace) {
        if let Ok(object) = serde_json::from_value::<Guarded<K>>(object.clone()) {
            observed.take(Event::Apply(object), 0);
        }
    }
}

/// How the objects are made.
impl State {
    fn make_budget(&mut self, namespace: &str, name: &str, connections: u32, reserved: u32) {
        let version = self.version();
        self.budgets.push(json!({
            "apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudget",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"), "generation": 1,
                "resourceVersion": version},
            "spec": {"limit": {"connections": connections}, "reserved": reserved},
        }));
    }

    /// A Deployment whose pods are, for example, `granted 2`, `draining 2`, `waiting`, `foreign`.
    fn workload(&mut self, namespace: &str, budget: &str, name: &str, pods: &[&str]) {
        let labels = json!({"poolbudget.dev/budget": budget});
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container()]}});
        let replicas = pods.iter().filter(|pod| !pod.starts_with("draining")).count();
        let set = format!("{name}-7d9f");
        let (of_deployment, of_set) = (self.version(), self.version());
        self.deployments.push(json!({
            "metadata": {"name": name, "namespace": namespace, "uid": name, "generation": 1, "labels": labels,
                "resourceVersion": of_deployment},
            "spec": {"replicas": replicas, "template": template}, "status": {"observedGeneration": 1},
        }));
        self.sets.push(json!({
            "metadata": {"name": set, "namespace": namespace, "uid": set, "resourceVersion": of_set,
                "annotations": {"deployment.kubernetes.io/revision": "1"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": name, "controller": true}]},
            "spec": {"replicas": replicas, "template": template},
            "status": {"replicas": replicas, "readyReplicas": replicas},
        }));
        for (kind, letter) in pods.iter().zip('a'..) {
            let version = self.version();
            let pod = pod(namespace, budget, &set, &format!("{set}-{letter}"), kind, self.now, &version);
            self.pods.push(pod);
        }
    }

    /// Writes the status that the operator would write.
    fn settle(&mut self) {
        for place in 0..self.budgets.len() {
            let text =
                |key: &str| self.budgets[place]["metadata"][key].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            let observed = self.observed(&namespace);
            let found = observed.world().budgets.find(&namespace, &name);
            let Some(budget) = found.map(Arc::unwrap_or_clone) else { continue };
            let key = BudgetKey::new(&namespace, &name);
            let baselines: Vec<Value> = self.deployments.iter().filter(|one| one["metadata"]["namespace"] == namespace)
                .map(|one| json!({"kind": "Deployment", "name": one["metadata"]["name"], "replicas": one["spec"]["replicas"]}))
                .collect();
            let old = json!({"observedGeneration": 1, "ledger": {"mode": "Gate", "baselines": baselines}});
            let old = serde_json::from_value(old).unwrap_or_default();
            let view = View::of(observed.world(), &key, &budget.spec, Some(1), &old, decide, self.now);
            let status = assemble(&view, &budget, &old, Vec::new(), Hindrances::default(), self.now);
            self.budgets[place]["status"] = json!(status);
        }
    }

    fn status(&mut self, namespace: &str, name: &str) -> Option<&mut Value> {
        let is = |budget: &&mut Value| {
            budget["metadata"]["name"] == name && budget["metadata"]["namespace"] == namespace
        };
        self.budgets.iter_mut().find(is).map(|budget| &mut budget["status"])
    }

    /// What the pods of workloads say that they use.
    fn evidence(&mut self, namespace: &str, name: &str, said: &[(&str, i64, i64)]) {
        let Some(workloads) =
            self.status(namespace, name).and_then(|status| status["workloads"].as_array_mut())
        else {
            return;
        };
        for workload in workloads {
            if let Some((_, used, ignored)) = said.iter().find(|(of, _, _)| workload["name"] == *of) {
                workload["evidence"] = json!({"pods": 1, "acknowledged": 1, "ignored": ignored, "excess": 0,
                    "open": used + 2, "inUse": used});
            }
        }
    }

    /// A pod that holds more than its grant.
    fn excess(&mut self, namespace: &str, name: &str, pod: &str, connections: i64) {
        if let Some(status) = self.status(namespace, name) {
            status["usable"] = json!(status["usable"].as_i64().unwrap_or(0) - connections);
            status["ledger"]["excess"] = json!([{"uid": pod, "pod": pod, "connections": connections}]);
        }
    }

    fn condition(&mut self, namespace: &str, name: &str, kind: &str, reason: &str, message: &str) {
        let Some(all) = self.status(namespace, name).and_then(|status| status["conditions"].as_array_mut())
        else {
            return;
        };
        all.push(json!({"type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}));
    }
}

fn container() -> Value {
    let from = |name: &str, note: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.annotations['poolbudget.dev/{note}']")}}});
    json!({"name": "app", "env": [from("DB_POOL_SIZE", "pool-size"), from("DB_MAX_OVERFLOW", "max-overflow")]})
}

fn pod(
    namespace: &str,
    budget: &str,
    set: &str,
    name: &str,
    kind: &str,
    now: Timestamp,
    version: &str,
) -> Value {
    let created = Timestamp::from_second(now.as_second() - 60).unwrap_or(now);
    let mut pod = json!({
        "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": version,
            "creationTimestamp": created, "labels": {"poolbudget.dev/budget": budget},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "uid": set, "controller": true}]},
        "spec": {"containers": [container()]},
    });
    let (word, size) = kind.split_once(' ').unwrap_or((kind, "0"));
    let size: i64 = size.parse().unwrap_or(0);
    if word == "waiting" {
        pod["spec"]["schedulingGates"] = json!([{"name": "poolbudget.dev/connections"}]);
        return pod;
    }
    pod["spec"]["nodeName"] = json!("node-1");
    pod["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    if word != "foreign" {
        let pool = (size + 1) / 2;
        pod["metadata"]["annotations"] = json!({
            "poolbudget.dev/pool-size": pool.to_string(), "poolbudget.dev/max-overflow": (size - pool).to_string(),
            "poolbudget.dev/connections": size.to_string()});
    }
    if word == "draining" {
        pod["metadata"]["deletionTimestamp"] =
            json!(Timestamp::from_second(now.as_second() + 25).unwrap_or(now));
    }
    pod
}
