//! An API server in memory: versions, compare-and-swap, preconditions, patches, a log of changes, and a judge.
//!
//! In: requests. Out: answers as the real one gives them. After every change it adds up what all pods may hold, by the
//! oracle [`testkit::bill`], in which no line of the operator's code is.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::Status;
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetSpec, DbConnectionBudgetStatus};
use poolbudget::cluster::node::{NodeSight, Roll};
use serde_json::{Value, json};
use testkit::answer::{disruption, patched, refusal};

use super::term::now;

/// The only namespace.
pub(crate) const NAMESPACE: &str = "shop";
/// The only budget.
pub(crate) const BUDGET: &str = "main";

/// A write in flight.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Status(Box<DbConnectionBudget>),
    Grant { pod: String, patch: Value },
    Fence { pod: String, patch: Value },
    Evict { pod: String, uid: String },
    Delete { pod: String, uid: String },
    Retire { set: String },
}

/// The result of a write.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Budget(Box<DbConnectionBudget>),
    Pod(Value),
    Done,
}

/// A change, as a watch would deliver it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Budget(Box<DbConnectionBudget>),
    BudgetGone(Box<DbConnectionBudget>),
    Pod(Value),
    PodGone(Value),
    Deployment(Value),
    ReplicaSet(Value),
}

/// An event that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) about: String,
    pub(crate) reason: String,
    pub(crate) note: String,
}

/// The state of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kubelet {
    /// Ready, with a heartbeat every second.
    #[default]
    Well,
    /// Still called Ready, without a heartbeat.
    Mute,
    /// Not Ready.
    Away,
    /// Its object is gone.
    Gone,
}

/// All objects, and what happened to them.
#[derive(Default)]
pub(crate) struct Server {
    version: u64,
    born: u64,
    pub(crate) budget: Option<DbConnectionBudget>,
    pub(crate) pods: BTreeMap<String, Value>,
    pub(crate) deployments: BTreeMap<String, Value>,
    pub(crate) sets: BTreeMap<String, Value>,
    pub(crate) log: Vec<Change>,
    pub(crate) said: Vec<Said>,
    pub(crate) status_writes: usize,
    /// Writes that were sent but have not arrived.
    pub(crate) late: Vec<Request>,
    /// Pods that a PodDisruptionBudget protects: a prefix of their names, and the PodDisruptionBudget's name.
    pub(crate) protected: Vec<(String, String)>,
    /// ReplicaSets that were scaled down by one.
    pub(crate) retired: Vec<String>,
    /// The state of the node that all pods are on, and since when.
    kubelet: (Kubelet, i64),
    /// Nodes that are different from that.
    kubelets: BTreeMap<String, (Kubelet, i64)>,
    /// Nodes that were asked for one by one, and how often all were listed.
    pub(crate) asked: BTreeSet<String>,
    pub(crate) listed: usize,
    /// What pods hold that vanished while they ran.
    pub(crate) ghosts: u64,
    /// The most that all pods may hold.
    pub(crate) usable: u64,
    /// The largest sum ever.
    pub(crate) peak: u64,
    /// The largest budget that it accepts, in bytes; 0 means any.
    pub(crate) largest: usize,
    /// The largest one that was sent.
    pub(crate) sent: usize,
}

type Result<T> = std::result::Result<T, Box<Status>>;

impl Server {
    /// An empty one that checks that pods never hold more than `usable` connections.
    pub(crate) fn new(usable: u64) -> Self {
        Self { usable, ..Self::default() }
    }

    pub(crate) fn stamp(&mut self, object: &mut Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    pub(crate) fn uid(&mut self) -> String {
        self.born += 1;
        format!("uid-{:04}", self.born)
    }

    pub(crate) fn make_budget(&mut self, spec: DbConnectionBudgetSpec) {
        let mut budget = DbConnectionBudget::new(BUDGET, spec);
        budget.metadata.namespace = Some(NAMESPACE.into());
        budget.metadata.uid = Some(self.uid());
        budget.metadata.generation = Some(1);
        self.store_budget(budget);
    }

    fn store_budget(&mut self, mut budget: DbConnectionBudget) -> DbConnectionBudget {
        self.version += 1;
        budget.metadata.resource_version = Some(self.version.to_string());
        self.budget = Some(budget.clone());
        self.log.push(Change::Budget(Box::new(budget.clone())));
        budget
    }

    /// The budget after a write that changed nothing else.
    pub(crate) fn stamp_budget(&mut self, budget: &mut DbConnectionBudget) {
        *budget = self.store_budget(budget.clone());
    }

    /// Somebody writes a status.
    pub(crate) fn write_status(&mut self, status: DbConnectionBudgetStatus) {
        let budget = self.budget.clone().expect("a budget");
        self.store_budget(DbConnectionBudget { status: Some(status), ..budget });
    }

    /// A user edits the spec.
    pub(crate) fn edit_budget(&mut self, edit: impl FnOnce(&mut DbConnectionBudgetSpec)) {
        let mut budget = self.budget.clone().expect("a budget");
        edit(&mut budget.spec);
        budget.metadata.generation = budget.metadata.generation.map(|generation| generation + 1);
        self.store_budget(budget);
    }

    pub(crate) fn delete_budget(&mut self) {
        self.version += 1;
        let mut budget = self.budget.take().expect("a budget");
        budget.metadata.resource_version = Some(self.version.to_string());
        self.log.push(Change::BudgetGone(Box::new(budget)));
    }

    pub(crate) fn store_pod(&mut self, mut pod: Value) -> Value {
        self.stamp(&mut pod);
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        self.pods.insert(name, pod.clone());
        self.log.push(Change::Pod(pod.clone()));
        self.judge();
        pod
    }

    /// The object is gone; its connections may still be open.
    pub(crate) fn remove_pod(&mut self, name: &str) {
        if let Some(mut pod) = self.pods.remove(name) {
            self.stamp(&mut pod);
            self.log.push(Change::PodGone(pod));
        }
    }

    /// Force-deleted, or on a lost node: the object is gone, its processes still run.
    pub(crate) fn vanish(&mut self, name: &str) -> u64 {
        let bill = self.pods.get(name).map_or(0, bill);
        self.ghosts += bill;
        self.remove_pod(name);
        bill
    }

    /// From now on all nodes have this state.
    pub(crate) fn turn_kubelet(&mut self, kubelet: Kubelet) {
        self.kubelet = (kubelet, now().as_second());
        self.kubelets.clear();
    }

    /// From now on this node has this state.
    pub(crate) fn turn_kubelet_of(&mut self, node: &str, kubelet: Kubelet) {
        self.kubelets.insert(node.to_owned(), (kubelet, now().as_second()));
    }

    /// All nodes: one that has pods or had any, and those that have a state of their own.
    pub(crate) fn nodes(&self) -> Roll {
        let names = self.kubelets.keys().map(String::as_str).chain(["node"]);
        names.filter_map(|name| Some((name.to_owned(), self.node(name)?))).collect()
    }

    pub(crate) fn node(&self, name: &str) -> Option<NodeSight> {
        let sight = |ready, beat: i64| Some(NodeSight { ready, heartbeat: Some(beat.to_string()) });
        let (kubelet, since) = *self.kubelets.get(name).unwrap_or(&self.kubelet);
        match kubelet {
            Kubelet::Well => sight(true, now().as_second()),
            Kubelet::Mute => sight(true, since),
            Kubelet::Away => sight(false, since),
            Kubelet::Gone => None,
        }
    }

    pub(crate) fn status(&self) -> DbConnectionBudgetStatus {
        self.budget.as_ref().and_then(|budget| budget.status.clone()).unwrap_or_default()
    }

    pub(crate) fn condition(&self, kind: &str) -> Condition {
        let found = self.status().conditions.into_iter().find(|condition| condition.type_ == kind);
        found.expect("every condition is always there")
    }

    /// The message of a condition that has this status and this reason.
    #[track_caller]
    pub(crate) fn told(&self, kind: &str, status: &str, reason: &str) -> String {
        let condition = self.condition(kind);
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), (status, reason));
        condition.message
    }

    pub(crate) fn apply(&mut self, request: &Request) -> Result<Answer> {
        match request {
            Request::Status(budget) => self.replace_status(budget).map(|new| Answer::Budget(Box::new(new))),
            Request::Grant { pod, patch } | Request::Fence { pod, patch } => {
                self.patch_pod(pod, patch).map(Answer::Pod)
            }
            Request::Evict { pod, uid } => self.evict(pod, uid).map(|()| Answer::Done),
            Request::Retire { set } => {
                self.check_protected(set)?;
                self.retired.push(set.clone());
                Ok(Answer::Done)
            }
            Request::Delete { pod, uid } => {
                self.check_uid(pod, uid)?;
                self.begin_deletion(pod);
                Ok(Answer::Done)
            }
        }
    }

    /// All writes arrive that were in flight; nobody waits for the answers.
    pub(crate) fn arrive(&mut self) {
        for request in std::mem::take(&mut self.late) {
            let _ = self.apply(&request);
        }
    }

    fn replace_status(&mut self, new: &DbConnectionBudget) -> Result<DbConnectionBudget> {
        let Some(old) = &self.budget else { return Err(refusal(404, "no such budget")) };
        let pinned = (&new.metadata.uid, &new.metadata.resource_version);
        if pinned != (&old.metadata.uid, &old.metadata.resource_version) {
            return Err(refusal(409, "the object has been modified"));
        }
        let budget = DbConnectionBudget { status: new.status.clone(), ..old.clone() };
        let bytes = serde_json::to_vec(&budget).expect("a budget").len();
        self.sent = self.sent.max(bytes);
        if self.largest > 0 && bytes > self.largest {
            return Err(refusal(500, "etcdserver: request is too large"));
        }
        self.status_writes += 1;
        Ok(self.store_budget(budget))
    }

    fn patch_pod(&mut self, name: &str, patch: &Value) -> Result<Value> {
        let Some(pod) = self.pods.get(name) else { return Err(refusal(404, "no such pod")) };
        let pod = patched(pod, patch).map_err(|why| refusal(422, &why))?;
        Ok(self.store_pod(pod))
    }

    fn check_uid(&self, name: &str, uid: &str) -> Result<()> {
        match self.pods.get(name) {
            None => Err(refusal(404, "no such pod")),
            Some(pod) if pod["metadata"]["uid"] != json!(uid) => Err(refusal(409, "another uid")),
            Some(_) => Ok(()),
        }
    }

    fn evict(&mut self, name: &str, uid: &str) -> Result<()> {
        self.check_uid(name, uid)?;
        self.check_protected(name)?;
        self.begin_deletion(name);
        Ok(())
    }

    fn check_protected(&self, name: &str) -> Result<()> {
        if let Some((_, by)) = self.protected.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            return Err(disruption(by, 2, 2));
        }
        Ok(())
    }

    /// A pod without a node is gone at once; any other pod drains.
    pub(crate) fn begin_deletion(&mut self, name: &str) {
        let Some(mut pod) = self.pods.get(name).cloned() else { return };
        if pod["spec"]["nodeName"].is_null() {
            self.remove_pod(name);
        } else if !terminating(&pod) {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            self.store_pod(pod);
        }
    }

    /// What all pods may hold at this moment.
    pub(crate) fn held(&self) -> u64 {
        self.ghosts + self.pods.values().map(bill).sum::<u64>()
    }

    /// If any sum is allowed, it is not computed.
    fn judge(&mut self) {
        if self.usable == u64::MAX {
            return;
        }
        self.peak = self.peak.max(self.held());
    }

    /// Panics if the pods ever held more than allowed.
    pub(crate) fn acquit(&self) {
        assert!(self.peak <= self.usable, "pods held {} of {} connections", self.peak, self.usable);
    }
}

pub(crate) fn gated(pod: &Value) -> bool {
    pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty())
}

pub(crate) fn terminating(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn ready(pod: &Value) -> bool {
    pod["status"]["conditions"][0]["status"] == json!("True")
}

/// What one pod may hold.
pub(crate) fn bill(pod: &Value) -> u64 {
    let bill = testkit::bill::of(pod).expect("a pod of the budget");
    assert_eq!(bill.faults, Vec::<String>::new());
    bill.connections
}
