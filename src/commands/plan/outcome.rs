//! The answer, as it is written for machines.
//!
//! Its fields are documented in docs/plan.md: fields may be added, and none changes its meaning or goes.

use serde::Serialize;

use crate::api::WorkloadKind;

/// The answer.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Whether all budgets hold what they are asked for.
    pub fits: bool,
    /// One for each budget, by namespace and name.
    pub budgets: Vec<BudgetOutcome>,
    /// What is wrong with the input, so that the answer may not be the whole one.
    pub problems: Vec<String>,
    /// What is not wrong, but probably not meant.
    pub warnings: Vec<String>,
    /// Objects of kinds that do not concern a budget.
    pub passed_over: usize,
}

/// What becomes of one budget.
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
    /// Connections that are never handed out.
    pub reserved: u64,
    /// limit − reserved.
    pub usable: u64,
    /// What all slots hold: at the planned sizes, or at the smallest when that does not fit.
    pub needed: u64,
    /// Whether what is said of it holds whatever the errors in the input hide.
    pub judged: bool,
    /// Whether needed is within usable; false where it is not judged.
    pub fits: bool,
    /// Whether the current replicas would, where what room is kept for is more.
    pub fits_now: bool,
    /// The arithmetic, as a sentence.
    pub verdict: String,
    /// The workloads that share it.
    pub workloads: Vec<WorkloadOutcome>,
    /// Ways out, when it does not fit. Each is enough by itself.
    pub advice: Vec<Advice>,
    /// What the pods may open by their own settings in a rollout, without poolbudget; none where there is no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_poolbudget: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What becomes of one workload.
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
    /// The slots that it needs; more than it has when they do not fit.
    pub slots_needed: u32,
    /// Processes in a pod.
    pub processes: u32,
    /// Who says so many.
    pub processes_from: String,
    /// Engines in a process.
    pub engines: u32,
    /// The fewest connections of one engine with which its pods work.
    pub least: u64,
    /// Who needs so many; none where the budget says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_from: Option<String>,
    /// pool_size of one engine.
    pub pool_size: u64,
    /// max_overflow of one engine.
    pub max_overflow: u64,
    /// Connections that neither of them states: what comes beside the pool of one engine.
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
    /// The workload that it concerns, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The number to set, when it is one.
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
