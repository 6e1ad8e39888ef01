//! Every label, annotation, gate and finalizer name, and the env names of the default profile.

/// The API group of the resource and the prefix of every name.
pub const GROUP: &str = "poolbudget.dev";

/// Label: the budget that governs a workload or pod. The one opt-in.
pub const BUDGET: &str = "poolbudget.dev/budget";

/// Labels by which pods that no controller of a known kind made are taken together, the first that a pod bears.
pub const GROUP_LABELS: [&str; 3] = ["poolbudget.dev/workload", "app.kubernetes.io/name", "app"];

/// Scheduling gate that holds a pod until its grant.
pub const GATE: &str = "poolbudget.dev/connections";

/// App annotation: processes with a pool of their own in the container (default 1).
pub const PROCESSES: &str = "poolbudget.dev/processes";
/// App annotation: engines (pools) in each process (default 1).
pub const ENGINES: &str = "poolbudget.dev/engines";
/// App annotation: the container that opens the connections (default: the first).
pub const CONTAINER: &str = "poolbudget.dev/container";
/// App annotation: which env names the app reads (default `SQLAlchemy`).
pub const PROFILE: &str = "poolbudget.dev/profile";
/// App annotation: own name of the env variable for `pool_size`.
pub const POOL_SIZE_ENV: &str = "poolbudget.dev/pool-size-env";
/// App annotation: own name of the env variable for `max_overflow`.
pub const MAX_OVERFLOW_ENV: &str = "poolbudget.dev/max-overflow-env";

/// All app annotations, in the order in which they are explained.
pub const APP_ANNOTATIONS: [&str; 6] =
    [PROCESSES, ENGINES, CONTAINER, PROFILE, POOL_SIZE_ENV, MAX_OVERFLOW_ENV];

/// Grant annotation: `pool_size` of each instance; the container's env reads it.
pub const POOL_SIZE: &str = "poolbudget.dev/pool-size";
/// Grant annotation: `max_overflow` of each instance; the container's env reads it.
pub const MAX_OVERFLOW: &str = "poolbudget.dev/max-overflow";
/// Grant annotation: the whole pod's bill; the ledger reads this one.
pub const CONNECTIONS: &str = "poolbudget.dev/connections";

/// All grant annotations.
pub const GRANT_ANNOTATIONS: [&str; 3] = [POOL_SIZE, MAX_OVERFLOW, CONNECTIONS];

/// Annotation on a pod that waited before its budget was made: the uid of the budget that took it over. It says
/// nothing; being written, it makes every grant fail that an earlier budget of the same name may still have on its way.
pub const TAKEN_OVER_BY: &str = "poolbudget.dev/taken-over-by";

/// Annotation on a pod: the literal values that admission replaced, as JSON.
pub const REPLACED_ENV: &str = "poolbudget.dev/replaced-env";

/// Env variable for `pool_size` of the default profile.
pub const DEFAULT_POOL_SIZE_ENV: &str = "DB_POOL_SIZE";
/// Env variable for `max_overflow` of the default profile.
pub const DEFAULT_MAX_OVERFLOW_ENV: &str = "DB_MAX_OVERFLOW";

/// The profile of a template that names none.
pub const DEFAULT_PROFILE: &str = "SQLAlchemy";

/// The most processes (or engines) that an annotation may state.
pub const MAX_PROCESSES: u32 = 1000;
