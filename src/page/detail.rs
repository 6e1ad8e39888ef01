//! A budget that somebody has opened: its conditions, its workloads and each of its pods.
//!
//! In: the budget, and what `explain` says of its pods. Out: one document, as JSON for the page. Forbidden here:
//! clocks, requests, HTML.

use std::collections::HashMap;

use serde::Serialize;

use super::row::{Row, shortened};
use super::seen::{Seen, SeenWorkload};
use crate::api::Excess;
use crate::cluster::guarded::Guarded;

/// The most workloads that are shown.
const WORKLOADS: usize = 200;
/// The most pods that are shown.
const PODS: usize = 1_000;

/// The state of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PodState {
    /// It runs without a grant.
    Foreign,
    /// It runs with a grant and opens more.
    Ignoring,
    /// It waits at the gate.
    Waiting,
    /// Its grant is on its way.
    Granting,
    /// It is terminating and still holds its connections.
    Draining,
    /// It runs in a mode that limits no pod.
    Counted,
    /// It runs with a grant.
    Granted,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRow {
    /// Its name.
    pub name: String,
    /// Its workload, as Kind/name.
    pub workload: Option<String>,
    /// Its state.
    pub state: PodState,
    /// Connections that it counts for; none if any number.
    pub holds: Option<u64>,
    /// Why it waits, in a word.
    pub reason: Option<String>,
    /// Its state in a sentence.
    pub text: String,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    pub about: String,
    /// True, False, Unknown.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub text: String,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRow {
    /// As Kind/name.
    pub workload: String,
    /// Replicas that it wants.
    pub replicas: i64,
    /// Replicas that sizes are computed for.
    pub ceiling: i64,
    /// `pool_size` of each process of a new pod.
    pub pool_size: i64,
    /// `max_overflow` of each process of a new pod.
    pub max_overflow: i64,
    /// Connections of a new pod.
    pub per_pod: i64,
    /// Connections granted to its pods.
    pub committed: i64,
    /// Connections that are open, where its pods are asked.
    pub open: Option<i64>,
    /// Connections that work at this moment, of those.
    pub in_use: Option<i64>,
    /// Checkouts that wait for a connection of their pool.
    pub waiting_checkouts: Option<i64>,
    /// Its pods that do not follow the size that they were given.
    pub ignoring: i64,
    /// Its pods without a grant, also those from before its label, and what they may hold.
    pub foreign: Option<[i64; 2]>,
}

/// A budget that somebody has opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// Its row in the list.
    #[serde(flatten)]
    pub row: Row,
    /// Where the limit comes from.
    pub source: Option<String>,
    /// All its conditions.
    pub conditions: Vec<Condition>,
    /// Its workloads.
    pub workloads: Vec<WorkloadRow>,
    /// How many more there are.
    pub more_workloads: i64,
    /// Its pods, those that need a look first.
    pub pods: Vec<PodRow>,
    /// How many more there are.
    pub more_pods: usize,
    /// Why its pods are not shown.
    pub unknown: Option<String>,
}

impl Detail {
    /// A budget with what is known of its pods, or why nothing is. None of an object without a name.
    #[must_use]
    pub fn of(budget: &Guarded<Seen>, pods: Result<Vec<PodRow>, String>) -> Option<Self> {
        let (_, row) = Row::of(budget)?;
        let status = match budget {
            Guarded::Read(budget) => budget.status.clone().unwrap_or_default(),
            Guarded::Unreadable(_) => super::seen::SeenStatus::default(),
        };
        let (mut pods, unknown) = match pods {
            Ok(pods) => (pods, None),
            Err(why) => (Vec::new(), Some(shortened(&why))),
        };
        mark(&mut pods, &status.ledger.excess);
        pods.sort_by(|a, b| (a.state, &a.name).cmp(&(b.state, &b.name)));
        let more_pods = pods.len().saturating_sub(PODS);
        pods.truncate(PODS);
        let beyond = i64::try_from(status.workloads.len().saturating_sub(WORKLOADS)).unwrap_or(i64::MAX);
        let conditions = status.conditions.iter().take(32).map(|condition| Condition {
            about: shortened(&condition.type_),
            status: shortened(&condition.status),
            reason: shortened(&condition.reason),
            text: shortened(&condition.message),
        });
        Some(Self {
            row,
            source: status.limit.as_ref().map(|limit| shortened(&limit.source)),
            conditions: conditions.collect(),
            workloads: status.workloads.iter().take(WORKLOADS).map(workload).collect(),
            more_workloads: status.more_workloads.saturating_add(beyond),
            pods,
            more_pods,
            unknown,
        })
    }
}

/// Marks the pods that do not follow the size that they were given.
fn mark(pods: &mut [PodRow], excess: &[Excess]) {
    let beyond: HashMap<&str, i64> = excess.iter().map(|one| (one.pod.as_str(), one.connections)).collect();
    let settled = |pod: &&mut PodRow| matches!(pod.state, PodState::Granted | PodState::Counted);
    for pod in pods.iter_mut().filter(settled) {
        let Some(more) = beyond.get(pod.name.as_str()) else { continue };
        pod.state = PodState::Ignoring;
        if !pod.text.contains("it reports") {
            pod.text.push_str(&format!(", but it reports {more} more"));
        }
    }
}

fn name(workload: &SeenWorkload) -> String {
    format!("{}/{}", workload.kind, workload.name)
}

fn workload(of: &SeenWorkload) -> WorkloadRow {
    let said = of.evidence.unwrap_or_default();
    WorkloadRow {
        workload: name(of),
        replicas: of.replicas,
        ceiling: of.ceiling,
        pool_size: of.pool_size,
        max_overflow: of.max_overflow,
        per_pod: of.per_pod,
        committed: of.committed,
        open: said.open,
        in_use: said.in_use,
        waiting_checkouts: said.waiting_checkouts,
        ignoring: said.ignored,
        foreign: of.foreign.as_ref().map(|foreign| [i64::from(foreign.pods), foreign.connections]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, state: PodState) -> PodRow {
        let workload = Some("Deployment/api".to_owned());
        PodRow {
            name: name.to_owned(),
            workload,
            state,
            holds: Some(2),
            reason: None,
            text: "2 connections".to_owned(),
        }
    }

    fn budget() -> Guarded<Seen> {
        let workload = json!({"kind": "Deployment", "name": "api", "replicas": 3, "perPod": 2, "committed": 6,
            "foreign": {"pods": 2, "connections": 30}, "evidence": {"inUse": 5, "ignored": 1}});
        let excess = json!([{"uid": "u", "pod": "api-b", "connections": 3}]);
        let budget = json!({"metadata": {"name": "main", "namespace": "shop"}, "status": {
            "limit": {"connections": 15, "source": "set in spec.limit"}, "workloads": [workload], "ledger": {"excess": excess},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "fine"}]}});
        serde_json::from_value(budget).expect("a budget")
    }

    #[test]
    fn pods_that_need_a_look_come_first() {
        let pods = vec![
            pod("api-a", PodState::Granted),
            pod("api-c", PodState::Waiting),
            pod("api-b", PodState::Granted),
        ];
        let detail = Detail::of(&budget(), Ok(pods)).expect("a detail");
        let shown: Vec<_> = detail.pods.iter().map(|pod| (pod.name.as_str(), pod.state)).collect();
        let expected =
            [("api-b", PodState::Ignoring), ("api-c", PodState::Waiting), ("api-a", PodState::Granted)];
        assert_eq!(shown, expected);
        assert_eq!(detail.pods[0].text, "2 connections, but it reports 3 more");
    }

    #[test]
    fn a_workload_has_what_is_known_of_it() {
        let detail = Detail::of(&budget(), Ok(Vec::new())).expect("a detail");
        let workload = &detail.workloads[0];
        assert_eq!((workload.workload.as_str(), workload.in_use), ("Deployment/api", Some(5)));
        assert_eq!((workload.foreign, detail.source.as_deref()), (Some([2, 30]), Some("set in spec.limit")));
    }

    #[test]
    fn what_is_not_known_of_pods_is_said() {
        let detail = Detail::of(&budget(), Err("cannot list pods".to_owned())).expect("a detail");
        assert_eq!((detail.pods.len(), detail.unknown.as_deref()), (0, Some("cannot list pods")));
    }

    #[test]
    fn of_more_pods_than_are_shown_the_number_is_told() {
        let pods = (0..PODS + 7).map(|n| pod(&format!("api-{n}"), PodState::Granted)).collect();
        let detail = Detail::of(&budget(), Ok(pods)).expect("a detail");
        assert_eq!((detail.pods.len(), detail.more_pods), (PODS, 7));
    }
}
