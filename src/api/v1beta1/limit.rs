//! The limit of a budget: stated, or where it is read.
//!
//! Doc comments here are what `kubectl explain` shows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{not_null, positive_million};

/// The limit, in one of three forms, and with what it is compared.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.supabase), has(self.connections), has(self.postgres)].filter(x, x).size() == 1")
    .message("set exactly one of limit.supabase, limit.connections, limit.postgres"))]
#[x_kube(validation = Rule::new("!has(self.verify) || !(has(self.postgres) && has(self.postgres.secretRef) || has(self.supabase) && has(self.supabase.project))")
    .message("a limit that is read needs no limit.verify"))]
pub struct LimitSpec {
    /// A Supabase project: poolbudget looks up the limit by compute size and connection path, or reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SupabaseLimit>")]
    pub supabase: Option<SupabaseLimit>,

    /// The number of connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000), schema_with = "positive_million")]
    pub connections: Option<u32>,

    /// A PostgreSQL server of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<PostgresLimit>")]
    pub postgres: Option<PostgresLimit>,

    /// Where to read what the database really allows. poolbudget compares it with the limit stated here and reports the
    /// difference in condition LimitConfirmed; the limit stays as it is stated. With postgres, one connection of it is for
    /// poolbudget to read with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<VerifySpec>")]
    pub verify: Option<VerifySpec>,
}

/// Where a stated limit is verified.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.postgres) != has(self.supabase)")
    .message("set exactly one of limit.verify.postgres, limit.verify.supabase"))]
pub struct VerifySpec {
    /// The PostgreSQL server itself, or the console of PgBouncer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<VerifyPostgres>")]
    pub postgres: Option<VerifyPostgres>,

    /// The Management API of Supabase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<VerifySupabase>")]
    pub supabase: Option<VerifySupabase>,
}

/// A server that is asked for its limit.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VerifyPostgres {
    /// The Secret in the budget's namespace with a connection string, such as postgres://app:secret@db:5432/shop.
    pub secret_ref: SecretKeyRef,

    /// The Secret with the certificates, in PEM, of the authorities that the server's certificate is verified with. Default:
    /// the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SecretKeyRef>")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

/// A project whose limit is read.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.project.metricsSecretRef) || self.connection != 'Direct'")
    .message("with a direct connection project.tokenSecretRef shows who is connected: leave metricsSecretRef out"))]
pub struct VerifySupabase {
    /// The project.
    pub project: SupabaseProject,

    /// How the workloads connect, as in limit.supabase.connection.
    pub connection: SupabaseConnection,
}

/// A Supabase project and the token to ask for it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SupabaseProject {
    /// The project's reference: the twenty letters in its URL.
    #[serde(rename = "ref")]
    #[schemars(regex(pattern = "^[a-z]{20}$"))]
    pub reference: String,

    /// The Secret in the budget's namespace with an access token for Supabase's Management API. docs/limits.md lists the
    /// permissions that it needs for each connection.
    pub token_secret_ref: SecretKeyRef,

    /// The Secret in the budget's namespace with a secret key of the project, such as sb_secret_…: poolbudget reads the
    /// project's metrics with it, which count the clients of its poolers. Such a key passes row-level security, so leave
    /// this out if you do not need to see who else uses the pooler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SecretKeyRef>")]
    pub metrics_secret_ref: Option<SecretKeyRef>,
}

/// One key of a Secret in the budget's own namespace. poolbudget may read it only after
/// kubectl poolbudget grant-secret NAME.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The key in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A Supabase project.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.plan), has(self.compute), has(self.project)].filter(x, x).size() == 1")
        .message("set exactly one of limit.supabase.plan, limit.supabase.compute, limit.supabase.project"),
    validation = Rule::new("!has(self.poolSize) || self.connection == 'Session'")
        .message("poolSize limits clients in session mode only; leave it out with this connection"),
    validation = Rule::new("!has(self.project) || !has(self.project.metricsSecretRef) || self.connection != 'Direct'")
        .message("with a direct connection project.tokenSecretRef shows who is connected: leave metricsSecretRef out"),
    validation = Rule::new("!has(self.poolSize) || !has(self.project)")
        .message("poolbudget reads the pool size of the project: leave poolSize out"),
    validation = Rule::new("!has(self.plan) || self.plan != 'Enterprise' || has(self.poolSize)")
        .message("the Enterprise plan has no fixed limit: set limit.supabase.compute, or poolSize in session mode, or limit.connections")
)]
pub struct SupabaseLimit {
    /// The plan, if the project has the compute size that the plan includes: Nano for Free, Micro for Pro and Team.
    /// Enterprise includes no fixed size and needs poolSize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<Plan>")]
    pub plan: Option<Plan>,

    /// The compute size, if it differs from the one that the plan includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<Compute>")]
    pub compute: Option<Compute>,

    /// The project itself: poolbudget reads the pool size and the compute size from Supabase's Management API every few
    /// minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SupabaseProject>")]
    pub project: Option<SupabaseProject>,

    /// How the workloads connect. Session: host *.pooler.supabase.com, port 5432. Transaction: same host,
    /// port 6543. Direct: host db.<ref>.supabase.co, port 5432. Dedicated: same host as Direct, port 6543.
    pub connection: SupabaseConnection,

    /// The pool size, if you changed it in the dashboard. In session mode it limits the number of clients.
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
    /// Includes no fixed compute size.
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
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.maxConnections) != has(self.secretRef)")
        .message("set exactly one of limit.postgres.maxConnections, limit.postgres.secretRef"),
    validation = Rule::new("!has(self.maxConnections) || self.?superuserReserved.orValue(3) < self.maxConnections")
        .message("superuserReserved must be smaller than maxConnections"),
    validation = Rule::new("!has(self.superuserReserved) || has(self.maxConnections)")
        .message("poolbudget reads superuser_reserved_connections from the server: leave superuserReserved out"),
    validation = Rule::new("!has(self.caSecretRef) || has(self.secretRef)")
        .message("caSecretRef goes with limit.postgres.secretRef")
)]
pub struct PostgresLimit {
    /// The server's max_connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive_million")]
    pub max_connections: Option<u32>,

    /// The server's superuser_reserved_connections. Default: 3, which is that of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "million")]
    pub superuser_reserved: Option<u32>,

    /// The Secret in the budget's namespace with a connection string, such as postgres://app:secret@db:5432/shop. poolbudget
    /// asks the server for its limit every few minutes: max_connections less what is reserved, or the connection limit of the
    /// role or of the database if that is smaller. The certificate of the server is verified unless the string says
    /// sslmode=disable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SecretKeyRef>")]
    pub secret_ref: Option<SecretKeyRef>,

    /// The Secret with the certificates, in PEM, of the authorities that the server's certificate is verified with. Default:
    /// the public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "not_null::<SecretKeyRef>")]
    pub ca_secret_ref: Option<SecretKeyRef>,
}

fn million(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 1_000_000})
}
