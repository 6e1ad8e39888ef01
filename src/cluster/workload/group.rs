//! Groups of Jobs: Jobs whose pods have the same label `poolbudget.dev/workload` are one workload, `Job/VALUE`.
//!
//! In: pod templates and the records of Jobs and CronJobs. Out: the key of a group, and its record, which has no
//! object. So Jobs with generated names, from a pipeline operator or CronJobs, have one share and one entry.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{TemplateView, WorkloadKey, WorkloadRecord};
use crate::api::{WorkloadKind, names};
use crate::budget::rollout::Strategy;

/// The group that the pods of a Job belong to.
pub(super) fn key(template: &TemplateView) -> Option<WorkloadKey> {
    let name = template.metadata.labels.as_ref()?.get(names::WORKLOAD)?;
    // A longer text is no label value, and would be in every status.
    (!name.is_empty() && name.len() <= names::MAX_LABEL).then(|| WorkloadKey::new(WorkloadKind::Job, name))
}

impl WorkloadRecord {
    /// The record of Jobs, and CronJobs with their runs, that are one workload: it wants what they want, and room for
    /// what each of them may still want. Runs do not say the latter; their CronJob does.
    #[must_use]
    pub fn of_jobs(group: &WorkloadKey, parts: &[Arc<Self>]) -> Option<Self> {
        let first = parts.iter().find(|part| part.makes_pods()).or_else(|| parts.first())?;
        // If some of its pods can be given no size, its user has to know why.
        let template = parts.iter().find(|part| part.template.instances.is_err()).unwrap_or(first);
        let meta = ObjectMeta {
            namespace: Some(first.namespace.clone()),
            name: Some(group.name.clone()),
            ..ObjectMeta::default()
        };
        Some(Self {
            observed: parts.iter().all(|part| part.observed),
            replicas: parts.iter().map(|part| part.replicas).fold(0, u32::saturating_add),
            ceiling: parts.iter().filter_map(|part| part.ceiling).reduce(u32::saturating_add),
            strategy: Strategy::Task,
            note: parts.iter().find_map(|part| part.note),
            template: template.template.clone(),
            ..Self::of(group.kind, &meta, &TemplateView::default())?
        })
    }

    /// Whether it is one of several objects that are one workload by their label, or was made by one of them.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.kind == WorkloadKind::Job)
    }

    /// Whether pods of its template are wanted, or may soon be.
    #[must_use]
    pub fn makes_pods(&self) -> bool {
        self.replicas > 0 || self.ceiling.is_some()
    }
}
