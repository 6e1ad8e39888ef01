//! What the leader remembers of one budget between two looks at it. All of it can be lost: what must outlive the
//! process is in the status.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::quarantine::Quarantine;
use super::refused::Refused;
use crate::api::conditions::WaitReason;
use crate::api::{Baseline, DbConnectionBudget, DbConnectionBudgetStatus, Quarantined};
use crate::cluster::workload::WorkloadKey;

/// What the leader remembers of one budget.
#[derive(Debug, Default)]
pub struct Memory {
    /// The budget as this process last wrote or read it, once its epoch was taken over.
    pub held: Option<Arc<DbConnectionBudget>>,
    /// When its status was last written.
    pub written: Option<Timestamp>,
    /// What is gone and still counts. It outlives the status, because writing a status that names it may fail, and
    /// because a budget that is created again starts without one.
    pub quarantine: Quarantine,
    /// Entries that were dropped from it because an annotation names them, and not reported yet.
    pub forgotten: Vec<Quarantined>,
    /// What was said about each waiting pod, by uid.
    pub told: HashMap<String, WaitReason>,
    /// What was reported about the budget itself when it could not be read.
    pub complaint: Option<String>,
    /// The workloads that the status has no room for; a successor sees them for the first time.
    pub unnamed: Vec<Baseline>,
    /// Why the API server refused the status that was due last.
    pub unwritable: Option<String>,
    /// When a pod from before the label was last ended, for each workload that needed it.
    pub retired: HashMap<WorkloadKey, Timestamp>,
}

/// What stands in the way of what was decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hindrances<'a> {
    /// An eviction was refused.
    pub refused: Option<&'a Refused>,
    /// What is gone and still counts.
    pub quarantine: Option<&'a Quarantine>,
}

impl Memory {
    /// The status that is in force; none before the budget was taken over.
    #[must_use]
    pub fn status(&self) -> Option<&DbConnectionBudgetStatus> {
        self.held.as_ref().and_then(|budget| budget.status.as_ref())
    }

    /// The status that is carried on, with what it has no room for and what is not yet written to it.
    #[must_use]
    pub fn carried(&self) -> DbConnectionBudgetStatus {
        let mut carried = self.status().cloned().unwrap_or_default();
        carried.ledger.baselines.extend(self.unnamed.iter().cloned());
        carried.ledger.quarantine = self.quarantine.entries();
        carried
    }

    /// Whether this process took over the epoch of this very object.
    #[must_use]
    pub fn holds(&self, budget: &DbConnectionBudget) -> bool {
        self.held.as_ref().is_some_and(|held| held.metadata.uid == budget.metadata.uid)
    }

    /// Gives up what is known of the budget.
    pub fn let_go(&mut self) {
        self.held = None;
        self.written = None;
        self.unnamed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LedgerStatus, WorkloadStatus};
    use crate::controller::status::{WORKLOADS, leave_out};

    #[test]
    fn workloads_that_a_status_has_no_room_for_are_carried_on_all_the_same() {
        let baseline = |n: usize| Baseline { name: format!("w-{n}"), replicas: 3, ..Baseline::default() };
        let all: Vec<Baseline> = (0..WORKLOADS + 2).map(baseline).collect();
        let named = |of: &Baseline| WorkloadStatus { name: of.name.clone(), ..WorkloadStatus::default() };
        let mut status = DbConnectionBudgetStatus {
            workloads: all.iter().map(named).collect(),
            ledger: LedgerStatus { baselines: all.clone(), ..LedgerStatus::default() },
            ..DbConnectionBudgetStatus::default()
        };
        let mut memory = Memory { unnamed: leave_out(&mut status), ..Memory::default() };
        assert_eq!((status.workloads.len(), status.more_workloads), (WORKLOADS, 2));
        let budget =
            serde_json::json!({"metadata": {}, "spec": {"limit": {"connections": 1}}, "status": status});
        memory.held = Some(Arc::new(serde_json::from_value(budget).expect("a budget")));
        assert_eq!(memory.carried().ledger.baselines, all);
        memory.let_go();
        assert_eq!(memory.carried().ledger.baselines, []);
    }
}
