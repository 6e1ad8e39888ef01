//! The `DbConnectionBudget` resource and the names that poolbudget writes on objects.
//!
//! In: nothing. Out: types, CEL rules, reasons. It decides nothing.

pub mod conditions;
pub mod names;
pub mod spec;
pub mod status;

pub use spec::{
    Basis, Compute, DbConnectionBudget, DbConnectionBudgetSpec, DefaultsSpec, EvictionPolicy,
    InfeasiblePolicy, LimitSpec, Mode, Plan, PostgresLimit, RolloutSpec, SizeBounds, Sizing,
    SupabaseConnection, SupabaseLimit, Surge, WorkloadKind, WorkloadSpec,
};
pub use status::{
    DbConnectionBudgetStatus, ForeignStatus, GrantInFlight, LadderStatus, LimitStatus, QuarantineCause,
    Quarantined, WorkloadStatus,
};

/// The CustomResourceDefinition as YAML that `kubectl apply` takes.
///
/// # Errors
/// When the definition cannot be written as YAML.
pub fn crd_yaml() -> Result<String, serde_yaml::ser::Error> {
    use kube::CustomResourceExt;
    serde_yaml::to_string(&DbConnectionBudget::crd())
}
