//! `poolbudget.dev/v1beta1`, the one version that is served.
//!
//! In: nothing. Out: the types of the spec and of the status, which the rest of the tree names by `api`.

mod spec;
mod status;

pub use spec::{
    Basis, Compute, DbConnectionBudget, DbConnectionBudgetSpec, DefaultsSpec, EvictionPolicy,
    InfeasiblePolicy, LimitSpec, Mode, ObservePods, ObserveSpec, Plan, PostgresLimit, SizeBounds, Sizing,
    SupabaseConnection, SupabaseLimit, Surge, WorkloadSpec,
};
pub use status::{
    Baseline, DbConnectionBudgetStatus, EvidenceStatus, Excess, ForeignStatus, GrantInFlight, LadderStatus,
    LedgerStatus, LimitStatus, NodeStatus, PodCounts, QuarantineCause, Quarantined, WorkloadStatus,
};
