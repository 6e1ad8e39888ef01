//! The spec of a `DbConnectionBudget`: what a user writes, with the rules that the API server enforces.
//!
//! Doc comments here are what `kubectl explain` shows.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::DbConnectionBudgetStatus;
use crate::api::kinds::WorkloadKind;

/// How many connections the database allows, and how they are shared among workloads of this namespace.
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
    validation = Rule::new("!has(self.limit.postgres) || self.reserved < self.limit.postgres.maxConnections - self.limit.postgres.superuserReserved")
        .message("reserved must be smaller than maxConnections - superuserReserved, or nothing is left for the workloads")
        .field_path(".reserved"),
    validation = Rule::new("!has(self.limit.supabase) || self.limit.supabase.connection != 'Session' || self.reserved < (has(self.limit.supabase.poolSize) ? self.limit.supabase.poolSize : has(self.limit.supabase.compute) ? {'Large': 20, 'XL': 20, '2XL': 25, '4XL': 32, '8XL': 64, '12XL': 96, '16XL': 128}[?self.limit.supabase.compute].orValue(15) : 15)")
        .message("reserved must be smaller than the pool size, which is what limits the clients in session mode")
        .field_path(".reserved")
)]
pub struct DbConnectionBudgetSpec {
    /// How many connections the database plan allows, in the way that the workloads connect. Set exactly one of
    /// supabase, connections, postgres.
    pub limit: LimitSpec,

    /// Connections of the limit that no pod gets: keep them free for a migration, psql, a dashboard.
    #[serde(default = "default_reserved")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub reserved: u32,

    /// What the operator does. Gate: it holds each new pod at a scheduling gate until its connections fit.
    /// Observe: it only computes and reports. New pods keep the sizes of their own env; the operator opens their gates at once,
    /// so they wait while it does not run.
    #[serde(default)]
    pub mode: Mode,

    /// How sizes are computed.
    #[serde(default)]
    pub sizing: Sizing,

    /// What happens to a scale-up that does not fit beside the other workloads, even at the smallest sizes. Wait: its pods
    /// wait at the gate, and events say why. Deny: the API server refuses it; an autoscaler then leaves its workload as it is
    /// and tries again.
    #[serde(default)]
    pub infeasible_policy: InfeasiblePolicy,

    /// Whether the operator may evict pods that hold more than their share, one at a time and through the Eviction API, when
    /// another pod needs the connections.
    #[serde(default)]
    pub eviction_policy: EvictionPolicy,

    /// For how many seconds the connections of a pod still count after its containers have ended, and those of a container
    /// after it was restarted. 0 is right if pods end without running queries: the server closes an idle connection as soon
    /// as its client is gone. A running query goes on to its end, so set this to the seconds of the longest query that a pod
    /// may leave behind. With client_connection_check_interval = 1s (PostgreSQL 14 and newer) 2 is enough.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600), extend("format" = "int32"))]
    pub linger_seconds: u32,

    /// Settings for workloads without an entry of their own, such as Jobs with generated names, and for what an entry leaves
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<DefaultsSpec>")]
    pub defaults: Option<DefaultsSpec>,

    /// Settings for single workloads. A labelled workload needs no entry; what an entry leaves out comes from defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub workloads: Vec<WorkloadSpec>,
}

fn default_reserved() -> u32 {
    1
}

/// The limit in one of three forms.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.supabase), has(self.connections), has(self.postgres)].filter(x, x).size() == 1")
    .message("set exactly one of limit.supabase, limit.connections, limit.postgres"))]
pub struct LimitSpec {
    /// A Supabase project: the limit comes from the table of its compute size and connection path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SupabaseLimit>")]
    pub supabase: Option<SupabaseLimit>,

    /// The number of connections itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), schema_with = "positive_million")]
    pub connections: Option<u32>,

    /// A PostgreSQL server of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<PostgresLimit>")]
    pub postgres: Option<PostgresLimit>,
}

/// A Supabase project.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.plan) != has(self.compute)")
        .message("set exactly one of limit.supabase.plan, limit.supabase.compute"),
    validation = Rule::new("!has(self.poolSize) || self.connection == 'Session'")
        .message("poolSize limits clients in session mode only; with this connection leave it out"),
    validation = Rule::new("!has(self.plan) || self.plan != 'Enterprise' || has(self.poolSize)")
        .message("the Enterprise plan fixes no number: set limit.supabase.compute, or poolSize in session mode, or limit.connections")
)]
pub struct SupabaseLimit {
    /// The plan, if the project has the compute size that the plan includes: Nano with Free, Micro with Pro and Team.
    /// Enterprise includes no fixed size and needs poolSize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<Plan>")]
    pub plan: Option<Plan>,

    /// The compute size, if it is not the one that the plan includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<Compute>")]
    pub compute: Option<Compute>,

    /// How the workloads connect. Session: host *.pooler.supabase.com, port 5432. Transaction: same host,
    /// port 6543. Direct: host db.<ref>.supabase.co, port 5432. Dedicated: the same, port 6543.
    pub connection: SupabaseConnection,

    /// The pool size, if you changed it in the dashboard. In session mode it is the number of clients that may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_million")]
    pub pool_size: Option<u32>,
}

/// Supabase plans.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Includes Nano.
    Free,
    /// Includes Micro.
    Pro,
    /// Includes Micro.
    Team,
    /// Includes no size that could be looked up.
    Enterprise,
}

/// Supabase compute sizes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the vendor's own names")]
pub enum Compute {
    Nano,
    Micro,
    Small,
    Medium,
    Large,
    XL,
    #[serde(rename = "2XL")]
    XL2,
    #[serde(rename = "4XL")]
    XL4,
    #[serde(rename = "8XL")]
    XL8,
    #[serde(rename = "12XL")]
    XL12,
    #[serde(rename = "16XL")]
    XL16,
}

/// Paths to a Supabase database.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupabaseConnection {
    /// The shared pooler in session mode.
    Session,
    /// The shared pooler in transaction mode.
    Transaction,
    /// PostgreSQL itself.
    Direct,
    /// The dedicated pooler.
    Dedicated,
}

/// A PostgreSQL server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.superuserReserved < self.maxConnections")
    .message("superuserReserved must be smaller than maxConnections"))]
pub struct PostgresLimit {
    /// The server's max_connections.
    #[schemars(range(min = 1, max = 1_000_000), extend("format" = "int32"))]
    pub max_connections: u32,

    /// The server's superuser_reserved_connections.
    #[serde(default = "default_superuser_reserved")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub superuser_reserved: u32,
}

fn default_superuser_reserved() -> u32 {
    3
}

/// How pods get their sizes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Compute and report; let every pod pass with the sizes of its own env.
    Observe,
    /// Hold each pod until its size fits.
    #[default]
    Gate,
}

/// How sizes are computed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sizing {
    /// For how many replicas there is room at the planned sizes. Ceiling: for maxReplicas of the HPA or of this budget, so no
    /// scale-up below it replaces a pod. Ladder: for the next power of two. Current: for the current replicas.
    #[serde(default)]
    pub basis: Basis,

    /// Room for the extra pods of a rollout. Minimal: for one pod, where a rollout cannot start without it. Full: for all of
    /// maxSurge, so rollouts are faster and pools smaller.
    #[serde(default)]
    pub surge: Surge,

    /// Connections of max_overflow for each one of pool_size. With 2, a size of 5 is split into 2 + 3, and 15 into 5 + 10.
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

/// For how many replicas room is kept.
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

/// Room for the extra pods of a rollout.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surge {
    /// One pod where a rollout cannot move without.
    #[default]
    Minimal,
    /// All of maxSurge.
    Full,
}

/// What happens to a scale-up that can never fit.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InfeasiblePolicy {
    /// Its pods wait.
    #[default]
    Wait,
    /// It is refused.
    Deny,
}

/// Whether running pods may be evicted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Yes, within what PodDisruptionBudgets allow.
    #[default]
    Allowed,
    /// No: new pods wait until others go by themselves.
    Forbidden,
}

/// Settings of all workloads that say nothing else.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefaultsSpec {
    /// Bounds on the connections of one process.
    #[serde(default)]
    pub connections_per_process: SizeBounds,

    /// Share of a workload relative to others. Default: 1.
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

    /// Share of this workload relative to others: with 2 each of its processes gets about twice as many connections as those
    /// of a workload with 1. Default: defaults.weight, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_thousand")]
    pub weight: Option<u32>,

    /// Bounds on the connections of one process. A bound that is left out comes from defaults.connectionsPerProcess, unless it would
    /// contradict the other one.
    #[serde(default)]
    pub connections_per_process: SizeBounds,

    /// The most replicas that this workload will get, if no HorizontalPodAutoscaler says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_million")]
    pub max_replicas: Option<u32>,
}

/// Bounds on the connections (pool_size + max_overflow) of one process.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("connectionsPerProcess.min must not be larger than connectionsPerProcess.max"))]
pub struct SizeBounds {
    /// The fewest connections with which one process works. Default: 1. Pods wait rather than get less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_ten_thousand")]
    pub min: Option<u32>,

    /// The most connections that one process can use. What it does not use goes to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_million")]
    pub max: Option<u32>,
}

/// An optional field is left out, never null: `null` would only blur the messages of the API server.
fn not_null<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    T::json_schema(generator)
}

fn positive_million(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
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
