//! The answer, as it is written for machines.
//!
//! docs/plan.md documents its fields: fields may be added, but none changes its meaning or is removed.

use serde::Serialize;

use crate::api::WorkloadKind;

/// The answer.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Whether every budget fits.
    pub fits: bool,
    /// One for each budget, by namespace and name.
    pub budgets: Vec<BudgetOutcome>,
    /// What is wrong with the input, so that the answer may be incomplete.
    pub problems: Vec<String>,
    /// What is not wrong, but probably not meant.
    pub warnings: Vec<String>,
    /// Objects of kinds that do not concern a budget.
    pub passed_over: usize,
}

/// The result for one budget.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BudgetOutcome {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the plan allows.
    pub limit: u64,
    /// Where the limit comes from.
    pub limit_source: String,
    /// Connections that no pod ever gets.
    pub reserved: u64,
    /// limit − reserved.
    pub usable: u64,
    /// What all slots hold: at the planned sizes, or at the smallest if that does not fit.
    pub needed: u64,
    /// Whether the result holds whatever the errors in the input hide.
    pub judged: bool,
    /// Whether needed is at most usable; false if it is not judged.
    pub fits: bool,
    /// Whether the current replicas would fit, although the ceiling does not.
    pub fits_now: bool,
    /// The arithmetic, as a sentence.
    pub verdict: String,
    /// The workloads that share it.
    pub workloads: Vec<WorkloadOutcome>,
    /// Ways out, when it does not fit. Each is enough by itself.
    pub advice: Vec<Advice>,
    /// What the pods may open by their own settings in a rollout, without poolbudget; none if there is no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_poolbudget: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The result for one workload.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadOutcome {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
    /// Replicas that it asks for.
    pub replicas: u32,
    /// Replicas for which room is kept.
    pub ceiling: u32,
    /// Pods that may hold connections at once: replicas for which room is kept, and surge.
    pub slots: u32,
    /// The slots that it needs; more than it has if they do not fit.
    pub slots_needed: u32,
    /// Processes in a pod.
    pub processes: u32,
    /// What states that number.
    pub processes_from: String,
    /// Engines in a process.
    pub engines: u32,
    /// The fewest connections of one engine with which its pods work.
    pub least: u64,
    /// What needs that many; none if the budget states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_from: Option<String>,
    /// pool_size of one engine.
    pub pool_size: u64,
    /// max_overflow of one engine.
    pub max_overflow: u64,
    /// Connections in neither of them: those beside the pool of one engine.
    #[serde(skip_serializing_if = "is_zero")]
    pub beside: u64,
    /// Connections of one pod.
    pub per_pod: u64,
    /// Connections of all its slots.
    pub holds: u64,
}

/// A change after which everything fits.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// What to change.
    pub action: Action,
    /// The workload that it concerns, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The number to set, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The same as a sentence.
    pub message: String,
}

/// What to change.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fewer replicas of a workload, or a lower ceiling.
    CapReplicas,
    /// Another sizing.basis.
    ChangeBasis,
    /// No extra pod when a workload rolls out.
    NoSurge,
    /// Fewer processes in each pod of a workload.
    FewerProcesses,
    /// A smaller connectionsPerProcess.min of a workload.
    LowerMinimum,
    /// The pooler in transaction mode.
    TransactionMode,
    /// A larger limit.
    RaiseLimit,
}
