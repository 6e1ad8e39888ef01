//! `poolbudget.dev/v1beta1`, the one version that is served.
//!
//! In: nothing. Out: the types of the spec and of the status, which the rest of the tree names by `api`.

mod limit;
mod spec;
mod status;

pub use limit::{
    Compute, LimitSpec, Plan, PostgresLimit, SecretKeyRef, SupabaseConnection, SupabaseLimit,
    SupabaseProject, VerifyPostgres, VerifySpec, VerifySupabase,
};
pub use spec::{
    Basis, DbConnectionBudget, DbConnectionBudgetSpec, DefaultsSpec, EvictionPolicy, InfeasiblePolicy, Mode,
    ObservePods, ObserveSpec, SizeBounds, Sizing, Surge, WorkloadSpec,
};
pub use status::{
    Baseline, ClientStatus, DatabaseStatus, DbConnectionBudgetStatus, EvidenceStatus, Excess, ForeignStatus,
    GrantInFlight, LadderStatus, LedgerStatus, LimitStatus, NodeStatus, PodCounts, QuarantineCause,
    Quarantined, WorkloadStatus,
};
