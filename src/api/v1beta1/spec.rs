//! The spec of a `DbConnectionBudget`: what a user writes, with the rules that the API server enforces.
//!
//! Doc comments here are what `kubectl explain` shows.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limit::LimitSpec;
use super::status::DbConnectionBudgetStatus;
use crate::api::kinds::WorkloadKind;
use crate::api::pool_status::{PATH, PoolStatus};

/// How many connections the database allows, and how the workloads of this namespace share them.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "poolbudget.dev",
    version = "v1beta1",
    kind = "DbConnectionBudget",
    plural = "dbconnectionbudgets",
    singular = "dbconnectionbudget",
    shortname = "dbcb",
    shortname = "dbbudget",
    category = "poolbudget",
    namespaced,
    status = "DbConnectionBudgetStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One limit on database connections, shared by the workloads of its namespace with the label poolbudget.dev/budget=<name>. Each of their pods gets DB_POOL_SIZE and DB_MAX_OVERFLOW so that the sum over all pods that still exist never exceeds limit - reserved.",
    printcolumn(name = "Limit", type_ = "integer", json_path = ".status.limit.connections"),
    printcolumn(name = "Committed", type_ = "integer", json_path = ".status.committed"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.pods.waiting"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
    printcolumn(name = "Reserved", type_ = "integer", json_path = ".spec.reserved", priority = 1),
    printcolumn(name = "Usable", type_ = "integer", json_path = ".status.usable", priority = 1),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.pods.desired", priority = 1),
    printcolumn(name = "Granted", type_ = "integer", json_path = ".status.pods.granted", priority = 1),
    printcolumn(name = "Draining", type_ = "integer", json_path = ".status.pods.draining", priority = 1),
    printcolumn(
        name = "Feasible",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Feasible\")].status",
        priority = 1
    ),
    printcolumn(
        name = "Settled",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Settled\")].status",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("the name must fit into a label value: at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.limit.connections) || self.reserved < self.limit.connections")
        .message("reserved must be smaller than limit.connections, or nothing is left for the workloads")
        .field_path(".reserved"),
    validation = Rule::new("!has(self.limit.postgres) || !has(self.limit.postgres.maxConnections) || self.reserved < self.limit.postgres.maxConnections - self.limit.postgres.?superuserReserved.orValue(3)")
        .message("reserved must be smaller than maxConnections - superuserReserved, or nothing is left for the workloads")
        .field_path(".reserved"),
    validation = Rule::new("!has(self.limit.supabase) || has(self.limit.supabase.project) || self.limit.supabase.connection != 'Session' || self.reserved < (has(self.limit.supabase.poolSize) ? self.limit.supabase.poolSize : has(self.limit.supabase.compute) ? {'Large': 20, 'XL': 20, '2XL': 25, '4XL': 32, '8XL': 64, '12XL': 96, '16XL': 128}[?self.limit.supabase.compute].orValue(15) : 15)")
        .message("reserved must be smaller than the pool size, which is what limits the clients in session mode")
        .field_path(".reserved")
)]
pub struct DbConnectionBudgetSpec {
    /// How many connections the database plan allows on the connection path that the workloads use. Set exactly one of
    /// supabase, connections, postgres. With postgres.secretRef or supabase.project, poolbudget reads the limit and keeps
    /// reading it; with verify, it compares the stated limit with what it reads.
    pub limit: LimitSpec,

    /// Connections of the limit that no pod gets: keep them free for a migration, psql, a dashboard.
    #[serde(default = "default_reserved")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub reserved: u32,

    /// What the operator does. Gate: it holds each new pod at a scheduling gate until the pod's connections fit. Observe: it
    /// only computes and reports. New pods keep the sizes of their own env. The operator opens their gates at once, so they
    /// wait only while no operator runs.
    #[serde(default)]
    pub mode: Mode,

    /// How sizes are computed.
    #[serde(default)]
    pub sizing: Sizing,

    /// What happens to a scale-up that does not fit beside the other workloads, even at the smallest sizes. Wait: its pods
    /// wait at the gate, and events say why. Deny: the API server refuses the scale-up. An autoscaler then leaves the
    /// workload as it is and tries again.
    #[serde(default)]
    pub infeasible_policy: InfeasiblePolicy,

    /// Whether the operator may evict pods that hold more than their share when another pod needs the connections. It evicts
    /// one pod at a time, through the Eviction API.
    #[serde(default)]
    pub eviction_policy: EvictionPolicy,

    /// For how many seconds the connections of a pod still count after its containers have ended, and those of a container
    /// after it has restarted. Use 0 if pods never end during a query: the server closes an idle connection as soon as its
    /// client is gone. But the server finishes a running query first, so set this to the duration of the longest query that
    /// may be running when a pod ends. With client_connection_check_interval = 1s (PostgreSQL 14 and newer) 2 is enough.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600), extend("format" = "int32"))]
    pub linger_seconds: u32,

    /// How the operator observes what the pods really do with their pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<ObserveSpec>")]
    pub observe: Option<ObserveSpec>,

    /// Settings for workloads without their own entry, such as Jobs with generated names, and for fields that an entry leaves
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<DefaultsSpec>")]
    pub defaults: Option<DefaultsSpec>,

    /// Settings for individual workloads. A labelled workload needs no entry. Fields that an entry leaves out come from
    /// defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub workloads: Vec<WorkloadSpec>,
}

fn default_reserved() -> u32 {
    1
}

/// How pods get their sizes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Compute and report only; let every pod start with the sizes of its own env.
    Observe,
    /// Hold each pod at its gate until its connections fit.
    #[default]
    Gate,
}

/// How sizes are computed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sizing {
    /// The number of replicas that sizes are computed for. Ceiling: maxReplicas of the HPA or of this budget, so a scale-up
    /// below it never replaces a pod. Ladder: the next power of two. Current: the current replicas.
    #[serde(default)]
    pub basis: Basis,

    /// Room for the surge pods of a rollout. Minimal: for one pod, if a rollout cannot start without it. Full: for all of
    /// maxSurge, so rollouts are faster and pools smaller.
    #[serde(default)]
    pub surge: Surge,

    /// The ratio of max_overflow to pool_size. With 2, a size of 5 is split into 2 + 3, and 15 into 5 + 10.
    #[serde(default = "default_overflow_ratio")]
    #[schemars(range(min = 0, max = 100), extend("format" = "int32"))]
    pub overflow_ratio: u32,
}

impl Default for Sizing {
    fn default() -> Self {
        Self { basis: Basis::default(), surge: Surge::default(), overflow_ratio: default_overflow_ratio() }
    }
}

fn default_overflow_ratio() -> u32 {
    2
}

/// The number of replicas that sizes are computed for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// The most replicas that the workload may get.
    #[default]
    Ceiling,
    /// The next power of two.
    Ladder,
    /// The current replicas.
    Current,
}

/// Room for the surge pods of a rollout.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surge {
    /// One pod, if a rollout cannot start without it.
    #[default]
    Minimal,
    /// All of maxSurge.
    Full,
}

/// What the operator observes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObserveSpec {
    /// Where every running pod of this budget answers how it uses its pools. The annotation poolbudget.dev/pool-status of a
    /// pod, such as ":8000/debug/db-pool", takes precedence. The operator asks each pod about every 30 seconds. What
    /// a pod reports beyond its grant is subtracted from usable until the pod is gone; condition EnvIgnored names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<ObservePods>")]
    pub pods: Option<ObservePods>,
}

/// Where pods answer. The answer is JSON with size, checked_out, overflow, checked_in and max_connections, or metrics in the
/// text format of Prometheus.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObservePods {
    /// The path, with a query if it needs one.
    #[schemars(length(min = 1, max = 256), regex(pattern = PATH))]
    pub path: String,

    /// The port of the pod. The operator speaks plain HTTP to it.
    #[schemars(range(min = 1, max = 65_535), extend("format" = "int32"))]
    pub port: u16,
}

impl ObserveSpec {
    /// Where the pods answer; none when nothing says so.
    #[must_use]
    pub fn pool_status(&self) -> Option<PoolStatus> {
        let pods = self.pods.as_ref()?;
        PoolStatus::at(pods.port, &pods.path)
    }
}

/// What happens to a scale-up that does not fit.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InfeasiblePolicy {
    /// Its pods wait.
    #[default]
    Wait,
    /// The API server refuses it.
    Deny,
}

/// Whether running pods may be evicted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Yes, as far as PodDisruptionBudgets allow.
    #[default]
    Allowed,
    /// No: new pods wait until other pods terminate on their own.
    Forbidden,
}

/// Settings for workloads that do not set their own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefaultsSpec {
    /// Bounds on the connections of one process.
    #[serde(default)]
    pub connections_per_process: SizeBounds,

    /// Share of a workload relative to the others. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_thousand")]
    pub weight: Option<u32>,
}

/// Settings of one workload.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpec {
    /// The workload's name. For Jobs and bare pods with the label poolbudget.dev/workload: the value of that label.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The workload's kind.
    #[serde(default)]
    pub kind: WorkloadKind,

    /// Share of this workload relative to the others. With 2, each of its processes gets about twice as many connections as
    /// the processes of a workload with 1. Default: defaults.weight, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_thousand")]
    pub weight: Option<u32>,

    /// Bounds on the connections of one process. If you leave out a bound, it comes from defaults.connectionsPerProcess, unless
    /// that value would contradict the other bound.
    #[serde(default)]
    pub connections_per_process: SizeBounds,

    /// The most replicas that this workload will have, if it has no HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_million")]
    pub max_replicas: Option<u32>,
}

/// Bounds on the connections (pool_size + max_overflow) of one process.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("connectionsPerProcess.min must not be larger than connectionsPerProcess.max"))]
pub struct SizeBounds {
    /// The fewest connections that one process needs to work. Default: 1. Pods wait rather than get fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_ten_thousand")]
    pub min: Option<u32>,

    /// The most connections that one process can use. The rest goes to other workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_million")]
    pub max: Option<u32>,
}

/// An optional field is left out, never null: `null` would only blur the messages of the API server.
pub(super) fn not_null<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    T::json_schema(generator)
}

pub(super) fn positive_million(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    positive(1_000_000)
}

fn positive_ten_thousand(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    positive(10_000)
}

fn positive_thousand(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    positive(1000)
}

fn positive(most: u32) -> schemars::Schema {
    schemars::json_schema!({"type": "integer", "format": "int32", "minimum": 1, "maximum": most})
}
