//! A process's connection to the API server: requests go into a mailbox, and their callers wait for the result.
//!
//! The simulation decides what happens to a request, not this file. A mutated process may skip a step of the protocol
//! here; the shipped code stays unchanged.

use std::collections::HashMap;
use std::future::{Future, poll_fn, ready};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::Event;
use poolbudget::api::BudgetKey;
use poolbudget::api::DbConnectionBudget;
use poolbudget::cluster::node::{NodeSight, Roll};
use poolbudget::cluster::pod::{PodRecord, PodView};
use poolbudget::cluster::workload::WorkloadKey;
use poolbudget::controller::gateway::{Gateway, GatewayError, Sizes, fence_patch, grant_patch};

use super::api::{Answer, Request};
use super::cluster::BUDGETS;
use super::mutation::Mutation;

/// The result for the caller.
pub(crate) type Outcome = Result<Answer, GatewayError>;

#[derive(Default)]
struct Mailbox {
    numbers: u64,
    sent: Vec<(u64, Request)>,
    answers: HashMap<u64, Outcome>,
    callers: HashMap<u64, Waker>,
    /// Whether the process believes that it leads.
    leads: bool,
    /// Lists of each budget's pods that were read too early.
    early: [Option<Vec<PodView>>; BUDGETS.len()],
    /// Events that were published.
    said: Vec<String>,
}

/// A process's connection to the API server.
#[derive(Clone)]
pub(crate) struct Door {
    mailbox: Arc<Mutex<Mailbox>>,
    mutation: Mutation,
}

impl Door {
    pub(crate) fn new(mutation: Mutation) -> Self {
        let mailbox = Mailbox { leads: true, ..Mailbox::default() };
        Self { mailbox: Arc::new(Mutex::new(mailbox)), mutation }
    }

    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().expect("the mailbox")
    }

    /// Requests that were sent since the last call, each with a number within this connection.
    pub(crate) fn sent(&self) -> Vec<(u64, Request)> {
        std::mem::take(&mut self.mailbox().sent)
    }

    pub(crate) fn answer(&self, number: u64, outcome: Outcome) {
        let mut mailbox = self.mailbox();
        mailbox.answers.insert(number, outcome);
        if let Some(caller) = mailbox.callers.remove(&number) {
            caller.wake();
        }
    }

    pub(crate) fn resign(&self) {
        self.mailbox().leads = false;
    }

    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.mailbox().said)
    }

    async fn call(&self, request: Request) -> Outcome {
        let number = {
            let mut mailbox = self.mailbox();
            if request.writes() && !mailbox.leads {
                return Err(GatewayError::NotLeader { what: request.words() });
            }
            mailbox.numbers += 1;
            let number = mailbox.numbers;
            mailbox.sent.push((number, request));
            number
        };
        poll_fn(|context| {
            let mut mailbox = self.mailbox();
            match mailbox.answers.remove(&number) {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    mailbox.callers.insert(number, context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The sums of the last status would show what a list that was read too early has missed.
    fn without_its_sums(&self, mut budget: DbConnectionBudget) -> DbConnectionBudget {
        if self.mutation == Mutation::ListBeforeEpoch
            && let Some(status) = &mut budget.status
        {
            status.committed = 0;
            status.ledger.nodes.clear();
        }
        budget
    }

    async fn list(&self, key: &BudgetKey) -> Result<Vec<PodView>, GatewayError> {
        match self.call(Request::Pods(index(key))).await? {
            Answer::Pods(pods) => Ok(pods),
            _ => unreachable!("a list answers with pods"),
        }
    }
}

/// The budget that a key names.
pub(crate) fn index(key: &BudgetKey) -> usize {
    BUDGETS.iter().position(|name| *name == key.name).expect("a known name")
}

fn pod_of(answer: Answer) -> Option<PodView> {
    let Answer::Pod(pod) = answer else { unreachable!("it answers with a pod") };
    pod.map(|pod| *pod)
}

impl Gateway for Door {
    async fn budget(&self, key: &BudgetKey) -> Result<Option<DbConnectionBudget>, GatewayError> {
        if self.mutation == Mutation::ListBeforeEpoch {
            let pods = self.list(key).await?;
            self.mailbox().early[index(key)] = Some(pods);
        }
        match self.call(Request::Budget(index(key))).await? {
            Answer::Budget(budget) => Ok(budget.map(|budget| self.without_its_sums(*budget))),
            _ => unreachable!("it answers with a budget"),
        }
    }

    async fn replace_status(&self, budget: &DbConnectionBudget) -> Result<DbConnectionBudget, GatewayError> {
        let mut budget = budget.clone();
        if self.mutation == Mutation::GrantsNotPersisted {
            let status = budget.status.get_or_insert_default();
            let in_flight: i64 = status.ledger.grants.drain(..).map(|grant| grant.connections).sum();
            // Otherwise the sum would show a successor connections that no pod accounts for.
            status.committed -= in_flight;
        }
        let name = budget.metadata.name.clone().unwrap_or_default();
        let which = index(&BudgetKey::new("", &name));
        match self.call(Request::Status(which, Box::new(budget))).await? {
            Answer::Budget(Some(budget)) => Ok(*budget),
            _ => unreachable!("it answers with the budget"),
        }
    }

    async fn pods(&self, key: &BudgetKey) -> Result<Vec<PodRecord>, GatewayError> {
        let early = self.mailbox().early[index(key)].take();
        let pods = match early {
            Some(pods) => pods,
            None => self.list(key).await?,
        };
        Ok(pods.iter().filter_map(PodRecord::read).collect())
    }

    async fn pod(&self, _: &str, name: &str) -> Result<Option<PodView>, GatewayError> {
        self.call(Request::Pod(name.into())).await.map(pod_of)
    }

    async fn node(&self, name: &str) -> Result<Option<NodeSight>, GatewayError> {
        if self.mutation == Mutation::NodesNotAsked {
            return Ok(Some(NodeSight { ready: true, heartbeat: None }));
        }
        let node = name.strip_prefix("node-").and_then(|number| number.parse().ok()).expect("a node");
        match self.call(Request::Node(node)).await? {
            Answer::Node(sight) => Ok(sight),
            _ => unreachable!("it answers with a node"),
        }
    }

    async fn nodes(&self) -> Result<Roll, GatewayError> {
        if self.mutation == Mutation::NodesNotAsked {
            return Ok(Roll::default());
        }
        match self.call(Request::Nodes).await? {
            Answer::Nodes(roll) => Ok(roll),
            _ => unreachable!("it answers with the nodes"),
        }
    }

    async fn fence(&self, pod: &PodRecord, budget_uid: &str) -> Result<PodView, GatewayError> {
        let request =
            Request::Fence { pod: pod.name.clone(), patch: serde_json::json!(fence_patch(pod, budget_uid)) };
        self.call(request).await.map(|answer| pod_of(answer).expect("a patch answers with the pod"))
    }

    async fn grant(&self, pod: &PodRecord, sizes: Sizes) -> Result<PodView, GatewayError> {
        let request =
            Request::Grant { pod: pod.name.clone(), patch: serde_json::json!(grant_patch(pod, sizes)) };
        self.call(request).await.map(|answer| pod_of(answer).expect("a patch answers with the pod"))
    }

    async fn evict(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        self.call(Request::Evict { pod: pod.name.clone(), uid: pod.uid.clone() }).await.map(drop)
    }

    async fn delete(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        self.call(Request::Delete { pod: pod.name.clone(), uid: pod.uid.clone() }).await.map(drop)
    }

    async fn retire(&self, _: &str, set: &WorkloadKey) -> Result<Option<String>, GatewayError> {
        match self.call(Request::Retire(set.name.clone())).await? {
            Answer::Retired(pod) => Ok(pod),
            _ => unreachable!("it answers with the pod that was ended"),
        }
    }

    fn publish(&self, event: Event, about: ObjectReference) -> impl Future<Output = ()> + Send {
        let about = about.name.unwrap_or_default();
        self.mailbox().said.push(format!("{about}: {}: {}", event.reason, event.note.unwrap_or_default()));
        ready(())
    }
}
