//! The API server as the operator's requests meet it: compare-and-swap, preconditions, patches, PodDisruptionBudgets.
//!
//! In: a request that has arrived. Out: the answer of the real server, as the client would read it.

use kube::core::Status;
use poolbudget::api::DbConnectionBudget;
use poolbudget::cluster::node::{NodeSight, Roll};
use poolbudget::cluster::pod::PodView;
use serde_json::{Value, json};
use testkit::answer::{self, patched, refusal};

use super::cluster::{BUDGETS, Cluster, Disruption, Notes, Work};
use super::objects;
use super::pods::{Pod, Reported};
use super::workload::Maker;

/// A request in flight.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Budget(usize),
    Pods(usize),
    Pod(String),
    Node(usize),
    Nodes,
    Status(usize, Box<DbConnectionBudget>),
    Grant {
        pod: String,
        patch: Value,
    },
    Fence {
        pod: String,
        patch: Value,
    },
    Evict {
        pod: String,
        uid: String,
    },
    Delete {
        pod: String,
        uid: String,
    },
    /// A ReplicaSet loses one pod for good.
    Retire(String),
}

/// The result of a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Budget(Option<Box<DbConnectionBudget>>),
    Pods(Vec<PodView>),
    Pod(Option<Box<PodView>>),
    Retired(Option<String>),
    Node(Option<NodeSight>),
    Nodes(Roll),
    Done,
}

pub(crate) type Result<T> = std::result::Result<T, Box<Status>>;

impl Request {
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Budget(_) | Self::Pods(_) | Self::Pod(_) | Self::Node(_) | Self::Nodes)
    }

    /// A few words for a trace.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Budget(budget) => format!("get {}", BUDGETS[*budget]),
            Self::Pods(budget) => format!("list pods of {}", BUDGETS[*budget]),
            Self::Pod(pod) => format!("get {pod}"),
            Self::Node(node) => format!("get node {node}"),
            Self::Nodes => "list nodes".into(),
            Self::Status(budget, object) => {
                let status = object.status.clone().unwrap_or_default();
                let grants: Vec<String> = status
                    .ledger
                    .grants
                    .iter()
                    .map(|grant| format!("{}={}", grant.pod, grant.connections))
                    .collect();
                format!(
                    "status of {}: epoch {}, {} of {} committed, {} wait, grants [{}]",
                    BUDGETS[*budget],
                    status.ledger.epoch,
                    status.committed,
                    status.usable,
                    status.pods.waiting,
                    grants.join(" ")
                )
            }
            Self::Grant { pod, .. } => format!("grant {pod}"),
            Self::Fence { pod, .. } => format!("fence {pod}"),
            Self::Evict { pod, .. } => format!("evict {pod}"),
            Self::Delete { pod, .. } => format!("delete {pod}"),
            Self::Retire(set) => format!("retire a pod of {set}"),
        }
    }
}

impl Cluster {
    /// Executes a request.
    pub(crate) fn apply(&mut self, request: &Request) -> Result<Answer> {
        match request {
            Request::Budget(budget) => Ok(Answer::Budget(self.budgets[*budget].clone().map(Box::new))),
            Request::Pods(budget) => {
                let own = self.pods.values().filter(|pod| pod.facts.budget == Some(*budget));
                Ok(Answer::Pods(own.map(objects::pod).collect()))
            }
            Request::Pod(name) => Ok(Answer::Pod(self.pod(name).map(|pod| Box::new(objects::pod(pod))))),
            Request::Node(node) => Ok(Answer::Node(self.node(*node))),
            Request::Nodes => Ok(Answer::Nodes(self.roll())),
            Request::Status(budget, object) => self.replace_status(*budget, object),
            Request::Grant { pod, patch } | Request::Fence { pod, patch } => self.patch_pod(pod, patch),
            Request::Evict { pod, uid } => {
                let id = self.same_pod(pod, uid)?;
                self.may_evict(&self.pods[&id])?;
                self.restarts += 1;
                self.begin_deletion(id);
                Ok(Answer::Done)
            }
            Request::Retire(set) => self.retire(set),
            Request::Delete { pod, uid } => {
                let id = self.same_pod(pod, uid)?;
                self.restarts += 1;
                self.begin_deletion(id);
                Ok(Answer::Done)
            }
        }
    }

    /// Evicts the youngest ready pod of a ReplicaSet, and scales that down by one.
    fn retire(&mut self, name: &str) -> Result<Answer> {
        let sets = (0..self.apps.len()).flat_map(|app| {
            let Maker::Deployment(deployment) = &self.apps[app].maker else { return Vec::new() };
            deployment.sets.iter().map(|set| (app, set.template.id)).collect()
        });
        let named = sets.into_iter().find(|(app, template)| format!("w{app}-{template}") == name);
        let Some((app, template)) = named else { return Ok(Answer::Retired(None)) };
        let own = self.pods_of(app).filter(|pod| pod.template == template && pod.ready && !pod.deleting);
        let Some(pod) = own.max_by_key(|pod| pod.id).map(|pod| pod.id) else {
            return Ok(Answer::Retired(None));
        };
        self.may_evict(&self.pods[&pod])?;
        self.restarts += 1;
        self.begin_deletion(pod);
        let Maker::Deployment(deployment) = &mut self.apps[app].maker else { return Ok(Answer::Done) };
        for set in deployment.sets.iter_mut().filter(|set| set.template.id == template) {
            set.replicas = (set.replicas - 1).max(0);
        }
        self.touch_part(app, template);
        self.work.push(Work::Part(app, template));
        self.work.push(Work::Workload(app));
        Ok(Answer::Retired(Some(self.pods[&pod].name.clone())))
    }

    pub(crate) fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.values().find(|pod| pod.name == name)
    }

    fn same_pod(&self, name: &str, uid: &str) -> Result<u32> {
        match self.pod(name) {
            None => Err(refusal(404, "no such pod")),
            Some(pod) if pod.uid() != uid => Err(refusal(409, "another uid")),
            Some(pod) => Ok(pod.id),
        }
    }

    fn replace_status(&mut self, budget: usize, new: &DbConnectionBudget) -> Result<Answer> {
        let Some(old) = &self.budgets[budget] else { return Err(refusal(404, "no such budget")) };
        let pinned = (&new.metadata.uid, &new.metadata.resource_version);
        if pinned != (&old.metadata.uid, &old.metadata.resource_version) {
            return Err(refusal(409, "the object has been modified"));
        }
        let object = DbConnectionBudget { status: new.status.clone(), ..old.clone() };
        self.store_budget(budget, object);
        Ok(Answer::Budget(self.budgets[budget].clone().map(Box::new)))
    }

    /// Applies a JSON patch to the part of a pod that the operator may patch.
    fn patch_pod(&mut self, name: &str, patch: &Value) -> Result<Answer> {
        let Some(pod) = self.pod(name) else { return Err(refusal(404, "no such pod")) };
        let id = pod.id;
        let mut document = json!({"metadata": {"uid": pod.uid()}, "spec": {}});
        if let Some(notes) = &pod.notes {
            document["metadata"]["annotations"] = json!(notes);
        }
        if pod.gated {
            document["spec"]["schedulingGates"] = json!([{"name": "poolbudget.dev/connections"}]);
        }
        let document = patched(&document, patch).map_err(|why| refusal(422, &why))?;
        let gates = document["spec"]["schedulingGates"].as_array().map_or(0, Vec::len);
        let notes: Option<Notes> =
            serde_json::from_value(document["metadata"]["annotations"].clone()).expect("notes");
        let pod = self.pods.get_mut(&id).expect("it is there");
        let opened = pod.gated && gates == 0;
        (pod.gated, pod.notes) = (gates > 0, notes);
        self.touch_pod(id);
        if opened {
            self.work.push(Work::Scheduler(id));
        }
        Ok(Answer::Pod(self.pods.get(&id).map(|pod| Box::new(objects::pod(pod)))))
    }

    /// The Eviction API: a pod that has not started may always go; the others as the PodDisruptionBudget allows.
    fn may_evict(&self, pod: &Pod) -> Result<()> {
        let app = &self.apps[pod.app];
        let Some(disruption) = app.disruption else { return Ok(()) };
        if pod.deleting || pod.reported == Reported::Waiting {
            return Ok(());
        }
        let own = self.pods_of(pod.app).filter(|other| other.ready && !other.deleting);
        let healthy = u32::try_from(own.count()).expect("few pods");
        let needed = match disruption {
            Disruption::MinAvailable(least) => least,
            Disruption::MaxUnavailable(most) => app.replicas().saturating_sub(most),
        };
        // An unready pod may go as long as enough of the others are healthy.
        let allowed = if pod.ready { healthy > needed } else { healthy >= needed };
        if allowed {
            return Ok(());
        }
        Err(answer::disruption(&format!("w{}", pod.app), needed, healthy))
    }
}
