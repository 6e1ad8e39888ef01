//! The status of a `DbConnectionBudget`: what was computed, for readers, and in `ledger` the part of the protocol's state
//! that must outlive a leader.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::Mode;
use crate::api::kinds::WorkloadKind;

/// What was computed from the spec and the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DbConnectionBudgetStatus {
    /// The generation of the spec that this status was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Accepted, Feasible, Settled, Blocked, ForeignPods, EnvIgnored, OutsideClients, LimitConfirmed; WithinLimit in mode Observe; Stalled and
    /// Reconciling while they are True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The limit that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitStatus>,

    /// What the database server says is open, if the limit is read or verified there. Refreshed every few minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseStatus>,

    /// limit - reserved - the connections that pods without a grant may hold because they passed the gate - what pods were seen
    /// to hold beyond their grants.
    #[serde(default)]
    pub usable: i64,

    /// Connections granted to pods that still exist. In mode Gate this exceeds usable only while ledger.highWater is set, or
    /// while a pod exists that passed the gate without a grant or holds more than its grant. In mode Observe: what all pods may hold by their own env.
    #[serde(default)]
    pub committed: i64,

    /// How many pods the workloads want, and the state of their pods.
    #[serde(default)]
    pub pods: PodCounts,

    /// The workloads that share this budget, the first 700 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub workloads: Vec<WorkloadStatus>,

    /// How many workloads share this budget beyond those in the list. They get their shares as well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_workloads: i32,

    /// State that poolbudget itself reads back, also after a change of leader. The rest of the status is for readers.
    #[serde(default)]
    pub ledger: LedgerStatus,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Pods by state.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodCounts {
    /// Replicas that the workloads want.
    #[serde(default)]
    pub desired: i32,
    /// Pods with a grant that are not terminating.
    #[serde(default)]
    pub granted: i32,
    /// Pods that wait at the gate.
    #[serde(default)]
    pub waiting: i32,
    /// Terminating pods that still hold what they were granted.
    #[serde(default)]
    pub draining: i32,
    /// Running pods without a grant: created before the label, or past the gate.
    #[serde(default)]
    pub foreign: i32,
}

/// State that survives a change of leader.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerStatus {
    /// The term of the leader. Each new leader raises it before its first grant; from then on, writes of older leaders fail.
    #[serde(default)]
    pub epoch: i64,

    /// The mode in which the numbers of this status were counted.
    #[serde(default)]
    pub mode: Mode,

    /// What pods held when a change of the spec (a lower limit, or mode Gate) put them above the limit. Until they are below
    /// the limit again, pods that replace others may be granted up to this sum, so that no workload loses all its ready pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_water: Option<i64>,

    /// Granted connections per node, for at most 256 nodes, as of the last write. From these sums a new leader learns on which
    /// nodes pods were that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub nodes: Vec<NodeStatus>,

    /// Grants that are recorded but not yet seen on their pods, at most 500. They count as committed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub grants: Vec<GrantInFlight>,

    /// Connections that still count as committed although their pod or container is gone: the operator did not see it end, or
    /// its connections may outlive it. At most 256 entries; the last one counts for all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub quarantine: Vec<Quarantined>,

    /// Pods that were seen to hold more than their grants, the 256 with the most. A new leader counts them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub excess: Vec<Excess>,

    /// What to remember about each workload, for at most 700 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub baselines: Vec<Baseline>,
}

/// What to remember about a workload.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The workload's kind.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// The workload's name.
    pub name: String,
    /// The replica count at which it was last fully rolled out. If pods are lost, they are replaced first up to this count.
    #[serde(default)]
    pub replicas: i32,
    /// The most pods that it may still have from before its label. This number never rises.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub foreign: i32,
    /// The level of basis Ladder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ladder: Option<LadderStatus>,
}

/// The limit that is in force.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LimitStatus {
    /// Connections that the plan allows.
    pub connections: i64,
    /// Where the number comes from.
    pub source: String,
    /// Where poolbudget read it, such as Secret/db:url. Not set for a limit that the spec states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_from: Option<String>,
    /// When it was last read. While the number stays the same, this time is renewed once an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Time>,
}

/// What the database server says is open.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Connections that are open and count against the limit, without the one that poolbudget reads with.
    pub open: i64,
    /// Connections in a query or in a transaction, if the server shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<i64>,
    /// Connections of pods of this budget, as far as application_name or the address tells.
    pub pods: i64,
    /// Connections that must belong to clients outside of this budget: all others, less the grants of pods that cannot be told
    /// apart.
    pub outside: i64,
    /// The clients that are not known to be pods of this budget, the ten with the most connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub clients: Vec<ClientStatus>,
}

/// A client of the database.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClientStatus {
    /// Its application_name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// Its role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Its address, if the server shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its open connections.
    pub connections: i64,
}

/// One workload's share.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// The workload's kind.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// The workload's name.
    pub name: String,
    /// Replicas that it wants.
    #[serde(default)]
    pub replicas: i32,
    /// Replicas that sizes are computed for.
    #[serde(default)]
    pub ceiling: i32,
    /// The most replicas that fit beside the other workloads. Set only with infeasiblePolicy: Deny; the API server refuses a
    /// scale-up beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_replicas: Option<i32>,
    /// Pods that may hold connections at the same time: the ceiling and surge pods.
    #[serde(default)]
    pub slots: i32,
    /// pool_size that each process of a new pod gets.
    #[serde(default)]
    pub pool_size: i32,
    /// max_overflow that each process of a new pod gets.
    #[serde(default)]
    pub max_overflow: i32,
    /// Connections that a new pod gets.
    #[serde(default)]
    pub per_pod: i64,
    /// Connections granted to its pods that are not gone yet.
    #[serde(default)]
    pub committed: i64,
    /// Its pods with a grant that are not terminating.
    #[serde(default)]
    pub granted: i32,
    /// Its pods that wait at the gate.
    #[serde(default)]
    pub waiting: i32,
    /// Its running pods without a grant: created before the label, or past the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignStatus>,

    /// What its pods report about their pools, if they say where they answer. open, inUse and waitingCheckouts are refreshed at
    /// most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceStatus>,
}

/// What the pods of a workload report.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceStatus {
    /// Running pods whose answer is understood.
    pub pods: i32,
    /// Pods whose own maximum is within their grant.
    pub acknowledged: i32,
    /// Pods that hold or allow more than their grant.
    pub ignored: i32,
    /// Connections that its pods hold or allow beyond their grants. They are subtracted from what is usable.
    pub excess: i64,
    /// Connections that are open, if the pods say so. Where one process of several answers, the others count like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<i64>,
    /// Connections that the app uses, of those that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<i64>,
    /// Checkouts that wait for a connection of their pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_checkouts: Option<i64>,
}

impl EvidenceStatus {
    /// Without the numbers that change with every query.
    #[must_use]
    pub const fn steady(self) -> Self {
        Self { open: None, in_use: None, waiting_checkouts: None, ..self }
    }
}

/// Pods without a grant.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ForeignStatus {
    /// How many.
    pub pods: i32,
    /// Connections that they may hold on top of what is committed.
    pub connections: i64,
}

/// The level of basis Ladder.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LadderStatus {
    /// Replicas for which room is kept.
    pub level: i32,
    /// The time since which a lower level has been enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_since: Option<Time>,
}

/// What a pod holds beyond its grant.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Excess {
    /// The pod's uid.
    pub uid: String,
    /// The pod's name.
    pub pod: String,
    /// Connections beyond its grant.
    pub connections: i64,
}

/// What the pods of a budget hold on one node.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// Connections granted to pods on this node.
    pub connections: i64,
}

/// A grant that is recorded but not yet seen on its pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GrantInFlight {
    /// The pod's uid.
    pub uid: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's workload, as Kind/name.
    pub workload: String,
    /// pool_size of one process.
    #[schemars(range(min = 1))]
    pub pool_size: i32,
    /// max_overflow of one process.
    #[schemars(range(min = 0))]
    pub max_overflow: i32,
    /// Connections of the whole pod.
    #[schemars(range(min = 1))]
    pub connections: i64,
}

impl GrantInFlight {
    /// Whether an app could be told these sizes: a pool of 0, and anything negative, would have no bound.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.pool_size >= 1 && self.max_overflow >= 0 && self.connections >= 1
    }
}

/// Why connections still count.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuarantineCause {
    /// The pod is gone, and the operator did not see its containers end.
    #[default]
    Vanished,
    /// The pod is Failed or Succeeded, but the operator did not see its containers end.
    NotSeenToEnd,
    /// The pod disappeared while no operator led.
    WhileNobodyLed,
    /// The pod ended, and its last queries may still run.
    Ended,
    /// A container restarted, and the last queries of its previous run may still run.
    Restarted,
    /// The entry stands for several pods, because the list is full.
    Several,
}

/// Connections that still count although their pod or container is gone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// The entry's identifier, in most cases the pod's uid.
    pub uid: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's node. The entry ends only after the node's kubelet has reported; without a node, after each kubelet has, or
    /// after two hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why it still counts.
    #[serde(default)]
    pub cause: QuarantineCause,
    /// Connections that may still be open.
    #[schemars(range(min = 0))]
    pub connections: i64,
    /// How many seconds it counts after its node has reported. Each new leader starts the count again, because clocks may
    /// differ.
    #[serde(default)]
    pub seconds: i64,
    /// When these seconds end, by the clock of the leader that recorded the entry.
    pub until: Time,
}
