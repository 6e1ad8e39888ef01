//! One namespace at one instant, as its operator would see it.
//!
//! In: what was observed. Out: for each budget, the look that the leader would take now, by the same code.
//! Forbidden here: arithmetic.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::api::BudgetKey;
use crate::api::{DbConnectionBudget, WorkloadKind};
use crate::budget::decide::decide;
use crate::cluster::pod::PodRecord;
use crate::cluster::workload::{WorkloadKey, WorkloadRecord};
use crate::controller::observe::Observed;
use crate::controller::view::View;
use crate::controller::wait::Wait;

/// A namespace at an instant.
pub(super) struct Sight {
    pub(super) observed: Observed,
    pub(super) namespace: String,
    pub(super) now: Timestamp,
}

/// A budget and the look at it.
pub(super) struct Look {
    pub(super) budget: Arc<DbConnectionBudget>,
    pub(super) view: View,
}

impl Sight {
    /// Looks at the budget of this name, or says why pods that name it wait.
    pub(super) fn look(&self, name: &str) -> Result<Look, String> {
        let key = BudgetKey::new(&self.namespace, name);
        let mut world = self.observed.world();
        let unreadable = world.budgets.unreadable(&self.namespace, name).cloned();
        let Some(budget) = world.budgets.find(&self.namespace, name).filter(|_| unreadable.is_none()) else {
            return Err(Wait::stranded(&key, unreadable.as_ref()).to_string());
        };
        let status = budget.status.clone().unwrap_or_default();
        world.see_former_excesses(&self.namespace, &status.ledger.excess);
        let view = View::of(world, &key, &budget.spec, budget.metadata.generation, &status, decide, self.now);
        Ok(Look { budget, view })
    }

    /// The labelled pod of this name.
    pub(super) fn pod(&self, name: &str) -> Option<Arc<PodRecord>> {
        self.observed.world().pods.find(&self.namespace, name)
    }

    /// The workload of this key, or the workload that it belongs to.
    pub(super) fn workload(&self, key: &WorkloadKey) -> Option<Arc<WorkloadRecord>> {
        let world = self.observed.world();
        let record = world.workloads.find(&self.namespace, key);
        let workload = record.as_ref().map_or(key, |record| record.workload());
        world.workloads.workload(&self.namespace, workload, None)
    }

    /// The workloads of this name, of any kind. The Jobs and CronJobs of a group also have the group's name.
    pub(super) fn workloads_named(&self, name: &str) -> Vec<Arc<WorkloadRecord>> {
        let keys = WorkloadKind::ALL.into_iter().map(|kind| WorkloadKey::new(kind, name));
        let is_part = |key: &WorkloadKey| {
            let record = self.observed.world().workloads.find(&self.namespace, key);
            record.is_some_and(|record| record.owner.is_some() && !record.is_grouped())
        };
        let mut found: Vec<Arc<WorkloadRecord>> =
            keys.filter(|key| !is_part(key)).filter_map(|key| self.workload(&key)).collect();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found.dedup_by(|a, b| a.key == b.key);
        found
    }

    /// Whether the latest generation of some budget has no answer from an operator.
    pub(super) fn is_unanswered(&self) -> bool {
        let world = self.observed.world();
        let behind = |budget: &Arc<DbConnectionBudget>| {
            let answered = budget.status.as_ref().and_then(|status| status.observed_generation);
            answered < budget.metadata.generation
        };
        world.budgets.iter().any(behind)
    }

    /// The budgets that a workload takes part in, by name.
    pub(super) fn budgets_of(&self, workload: &WorkloadKey) -> Vec<String> {
        let world = self.observed.world();
        let has_pods = |budget: &str| {
            let pods = world.pods.group(&self.namespace, budget);
            pods.iter().any(|pod| !pod.ended && world.workload_of(pod).as_ref() == Some(workload))
        };
        let record = world.workloads.workload(&self.namespace, workload, None);
        let own = |budget: &str| {
            let named = |name: &Option<String>| name.as_deref() == Some(budget);
            record.as_ref().is_some_and(|record| named(&record.template.budget) || named(&record.label))
        };
        let parts = world.workloads.parts(&self.namespace, workload);
        let standing = |budget: &str| {
            let of = parts.iter().filter(|part| part.template.budget.as_deref() == Some(budget));
            of.into_iter().any(|part| part.makes_pods() || part.pods > 0)
        };
        let keys = world.budgets_of(&self.namespace, workload).into_iter().map(|key| key.name);
        // A revision that makes no more pods says nothing about the workload.
        keys.filter(|budget| own(budget) || standing(budget) || has_pods(budget)).collect()
    }
}
