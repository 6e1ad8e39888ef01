//! What happens around a leader: Deployments and their controller, nodes, and the course of time.
//!
//! Each Deployment has one ReplicaSet. A step lets every controller and kubelet act once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use poolbudget::controller::dispatch::Next;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::objects::{BUDGET_LABEL, Kind, Workload, governed_pod};

use super::server::{BUDGET, Change, NAMESPACE, Server, bill, gated, ready, terminating};
use super::term::{Term, now, pass};

/// Steps within which everything must come to rest.
const PATIENCE: usize = 200;
/// Steps that a pod takes to drain.
const DRAIN: u32 = 3;

/// A server and what happens around it.
pub(crate) struct Cluster {
    pub(crate) server: Arc<Mutex<Server>>,
    draining: BTreeMap<String, u32>,
    /// Pods that start now run but do not become Ready.
    pub(crate) sick: bool,
    /// The node that takes pods which start now; none if no node has room.
    pub(crate) node: Option<&'static str>,
}

/// A part of a spec, as its user writes it.
pub(crate) fn part<T: DeserializeOwned>(written: Value) -> T {
    serde_json::from_value(written).expect("a part of a spec")
}

impl Cluster {
    /// A cluster with a budget that computes sizes for the current replicas, or for the ceiling if `basis` says so.
    pub(crate) fn new(connections: u32, basis: &str) -> Self {
        let mut server = Server::new(u64::from(connections) - 1);
        let limit = json!({"connections": connections});
        server.make_budget(part(json!({"limit": limit, "reserved": 1, "sizing": {"basis": basis}})));
        Self {
            server: Arc::new(Mutex::new(server)),
            draining: BTreeMap::new(),
            sick: false,
            node: Some("node"),
        }
    }

    pub(crate) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().expect("the server")
    }

    /// Makes a Deployment, or scales it. Its pods come with the next step.
    pub(crate) fn scale(&mut self, name: &str, replicas: u32) {
        let mut server = self.server();
        let generation = server
            .deployments
            .get(name)
            .map_or(0, |d| d["metadata"]["generation"].as_i64().expect("a generation"));
        let workload = |kind, name: &str| {
            let workload = Workload::of(kind, NAMESPACE, name).pod_label(BUDGET_LABEL, BUDGET).late_bound();
            workload.meta("uid", name).meta("generation", generation + 1)
        };
        // No surge: the budget gives out everything usable.
        let deployment = workload(Kind::Deployment, name).replicas(replicas).rolling(0, 1);
        let set = server.sets.get(name).cloned().unwrap_or_else(|| {
            let set = workload(Kind::ReplicaSet, &format!("{name}-1")).replicas(0);
            of_revision(set, "1", name).status(json!({"replicas": 0, "readyReplicas": 0})).json()
        });
        server.store_deployment(name, deployment.status(json!({"observedGeneration": generation})).json());
        server.store_set(name, set);
    }

    /// Every controller and kubelet acts once, and a second passes.
    pub(crate) fn step(&mut self) {
        pass(1);
        let names: Vec<String> = self.server().deployments.keys().cloned().collect();
        for name in &names {
            self.replicate(name);
        }
        let pods: Vec<Value> = self.server().pods.values().cloned().collect();
        for pod in pods {
            self.attend(pod);
        }
        for name in &names {
            self.count(name);
        }
    }

    /// The Deployment and ReplicaSet controllers: they create missing pods, and delete surplus pods, gated ones first.
    fn replicate(&self, name: &str) {
        let mut server = self.server();
        let wanted = server.deployments[name]["spec"]["replicas"].as_u64().expect("replicas");
        let mut pods = server.pods_of(name);
        pods.retain(|pod| !terminating(pod));
        // Gated ones last; among equals, the newest last.
        pods.sort_by_key(|pod| (gated(pod), pod["metadata"]["uid"].as_str().map(ToOwned::to_owned)));
        while pods.len() as u64 > wanted {
            let pod = pods.pop().expect("a pod");
            server.begin_deletion(pod["metadata"]["name"].as_str().expect("a name"));
        }
        for _ in pods.len() as u64..wanted {
            let uid = server.uid();
            // Some pods have no annotations at all.
            let annotated = uid.ends_with(['0', '2', '4', '6', '8']);
            server.store_pod(pod(name, &uid, annotated));
        }
    }

    /// The kubelet: a pod without a gate runs and is ready; a deleted pod drains and ends.
    fn attend(&mut self, mut pod: Value) {
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        if gated(&pod) {
            return;
        }
        if terminating(&pod) {
            let steps = self.draining.entry(name.clone()).or_insert(0);
            *steps += 1;
            match *steps {
                steps if steps < DRAIN => return,
                DRAIN => {
                    pod["status"]["phase"] = json!("Succeeded");
                    pod["status"]["containerStatuses"] =
                        json!([{"name": "app", "state": {"terminated": {"exitCode": 0}}}]);
                }
                _ => return self.server().remove_pod(&name),
            }
        } else if pod["status"]["phase"] != json!("Pending") {
            return;
        } else {
            let Some(node) = self.node else { return };
            pod["spec"]["nodeName"] = json!(node);
            pod["status"] = json!({
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": if self.sick { "False" } else { "True" }}],
                "containerStatuses": [{"name": "app", "state": {"running": {}}}],
            });
        }
        self.server().store_pod(pod);
    }

    /// What the controllers report themselves.
    fn count(&self, name: &str) {
        let mut server = self.server();
        let pods = server.pods_of(name);
        let mut set = server.sets[name].clone();
        set["spec"]["replicas"] = server.deployments[name]["spec"]["replicas"].clone();
        set["status"] = json!({
            "replicas": pods.iter().filter(|pod| !terminating(pod)).count(),
            "readyReplicas": pods.iter().filter(|pod| !terminating(pod) && ready(pod)).count(),
        });
        if set != server.sets[name] {
            server.store_set(name, set);
        }
        let mut deployment = server.deployments[name].clone();
        deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
        if deployment != server.deployments[name] {
            server.store_deployment(name, deployment);
        }
    }

    /// Whether every Deployment has the ready pods that it wants, and nothing is in flight.
    pub(crate) fn at_rest(&self) -> bool {
        let server = self.server();
        let status = server.status();
        status.ledger.epoch > 0
            && status.ledger.grants.is_empty()
            && status.pods.waiting == 0
            && server.deployments.iter().all(|(name, deployment)| {
                let pods = server.pods_of(name);
                deployment["spec"]["replicas"] == json!(pods.len()) && pods.iter().all(ready)
            })
    }

    /// Lets `term` lead until everything is at rest. False if its leader dies first.
    pub(crate) fn run(&mut self, term: &mut Term) -> bool {
        for _ in 0..PATIENCE {
            self.step();
            term.catch_up();
            if term.look().is_none() {
                return false;
            }
            if self.at_rest() {
                return true;
            }
        }
        panic!("not at rest: {}", self.describe());
    }

    /// Looks once, after the watch has caught up; the leader must not die.
    pub(crate) fn turn(&mut self, term: &mut Term) -> Next {
        self.step();
        term.catch_up();
        term.look().expect("an end of the look")
    }

    /// Looks `count` times.
    pub(crate) fn turns(&mut self, term: &mut Term, count: usize) {
        for _ in 0..count {
            self.turn(term);
        }
    }

    pub(crate) fn describe(&self) -> String {
        let server = self.server();
        let pods: Vec<String> = server
            .pods
            .iter()
            .map(|(name, pod)| {
                format!("{name}: gated {} terminating {} holds {}", gated(pod), terminating(pod), bill(pod))
            })
            .collect();
        format!("{pods:#?} {:#?}", server.status())
    }
}

impl Server {
    pub(crate) fn store_deployment(&mut self, name: &str, mut deployment: Value) {
        self.stamp(&mut deployment);
        self.deployments.insert(name.into(), deployment.clone());
        self.log.push(Change::Deployment(deployment));
    }

    pub(crate) fn store_set(&mut self, name: &str, mut set: Value) {
        self.stamp(&mut set);
        self.sets.insert(name.into(), set.clone());
        self.log.push(Change::ReplicaSet(set));
    }

    /// The names of the pods of a Deployment.
    pub(crate) fn names_of(&self, deployment: &str) -> Vec<String> {
        let name = |pod: &Value| pod["metadata"]["name"].as_str().expect("a name").to_owned();
        self.pods_of(deployment).iter().map(name).collect()
    }

    pub(crate) fn pods_of(&self, deployment: &str) -> Vec<Value> {
        let prefix = format!("{deployment}-1-");
        self.pods.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, pod)| pod.clone()).collect()
    }
}

/// A ReplicaSet of a Deployment.
pub(crate) fn of_revision(set: Workload, revision: &str, deployment: &str) -> Workload {
    set.annotation("deployment.kubernetes.io/revision", revision).owner(
        Kind::Deployment,
        deployment,
        deployment,
    )
}

pub(crate) fn pod(deployment: &str, uid: &str, annotated: bool) -> Value {
    let pod = governed_pod(NAMESPACE, &format!("{deployment}-1-{uid}"), BUDGET)
        .meta("uid", uid)
        .meta("creationTimestamp", now().to_string())
        .owner(Kind::ReplicaSet, &format!("{deployment}-1"), deployment)
        .grace_seconds(30)
        .status(json!({"phase": "Pending"}));
    if annotated { pod.annotation("team", "blue").json() } else { pod.json() }
}
