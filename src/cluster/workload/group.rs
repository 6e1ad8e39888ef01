//! Groups of Jobs: those whose pods bear the label `poolbudget.dev/workload` are one workload, `Job/VALUE`.
//!
//! In: pod templates and the records of Jobs and CronJobs. Out: the key of a group, and its record, which no object stands
//! for. Names that are generated, by an operator of pipelines or by CronJobs, so have one share and one entry.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{TemplateView, WorkloadKey, WorkloadRecord};
use crate::api::{WorkloadKind, names};
use crate::budget::rollout::Strategy;

/// The group that the pods of a Job are of.
pub(super) fn key(template: &TemplateView) -> Option<WorkloadKey> {
    let name = template.metadata.labels.as_ref()?.get(names::WORKLOAD)?;
    // What is longer is no value of a label, and would stand in every status.
    (!name.is_empty() && name.len() <= names::MAX_LABEL).then(|| WorkloadKey::new(WorkloadKind::Job, name))
}

impl WorkloadRecord {
    /// Jobs, and CronJobs with their runs, that are one workload: it wants what they want, and room for what each of them
    /// may still want. Runs say nothing of the latter; their CronJob does.
    #[must_use]
    pub fn of_jobs(group: &WorkloadKey, parts: &[Arc<Self>]) -> Option<Self> {
        let first = parts.iter().find(|part| part.makes_pods()).or_else(|| parts.first())?;
        // What keeps some of its pods from being given a size is what its user has to hear.
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

    /// Whether it is one of several objects that are one workload by their label, or was made by such.
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
