//! A budget as far as the page shows it.
//!
//! In: a `DbConnectionBudget` as the API server stores it. Out: its numbers and sentences. Whatever is missing is
//! missing: a budget without a status and one of an older operator can be shown as well.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use crate::api::{DbConnectionBudget, Excess, ForeignStatus, LimitStatus, Mode, PodCounts, WorkloadKind};
use crate::cluster::meta;

/// A budget, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = DbConnectionBudget)]
pub struct Seen {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is shown.
    #[serde(default)]
    pub spec: SeenSpec,
    /// The part of the status that is shown.
    #[serde(default)]
    pub status: Option<SeenStatus>,
}

/// The part of a spec that is shown.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(default)]
pub struct SeenSpec {
    /// Connections of the limit that no pod gets.
    pub reserved: i64,
    /// What the operator does.
    pub mode: Mode,
}

impl Default for SeenSpec {
    fn default() -> Self {
        Self { reserved: 1, mode: Mode::default() }
    }
}

/// The part of a status that is shown.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenStatus {
    /// The generation that it was computed from.
    pub observed_generation: Option<i64>,
    /// Its conditions.
    pub conditions: Vec<SeenCondition>,
    /// The limit in force.
    pub limit: Option<LimitStatus>,
    /// What the database server says is open.
    pub database: Option<SeenDatabase>,
    /// What may be committed.
    pub usable: i64,
    /// What is.
    pub committed: i64,
    /// Pods by state.
    pub pods: PodCounts,
    /// Its workloads.
    pub workloads: Vec<SeenWorkload>,
    /// How many more there are.
    pub more_workloads: i64,
    /// What is carried on.
    pub ledger: SeenLedger,
}

/// What is open on the database server.
#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(default)]
pub struct SeenDatabase {
    /// All connections.
    pub open: i64,
    /// Those of clients outside of the budget.
    pub outside: i64,
}

/// A condition.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct SeenCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False, Unknown.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// A workload's share.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenWorkload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
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
    /// Its pods with a grant.
    pub granted: i64,
    /// Its pods that wait.
    pub waiting: i64,
    /// Its pods without a grant.
    pub foreign: Option<ForeignStatus>,
    /// What its pods report, where they are asked.
    pub evidence: Option<Evidence>,
}

/// What pods report of their pools.
#[derive(Deserialize, Clone, Copy, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Pods that hold or allow more than their grant.
    pub ignored: i64,
    /// Connections that are open.
    pub open: Option<i64>,
    /// Connections that the app uses, of those that are open.
    pub in_use: Option<i64>,
    /// Checkouts that wait for a connection of their pool.
    pub waiting_checkouts: Option<i64>,
}

/// What is carried on, as far as it is shown.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct SeenLedger {
    /// Pods that were seen to hold more than their grants.
    pub excess: Vec<Excess>,
}
