//! CronJobs, whose runs are Jobs.
//!
//! In: objects of batch/v1. Out: the record of a workload: it wants what its runs want, and room for the next one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::job::JobSpecView;
use super::{TemplateMetaView, TemplateView, WorkloadRecord, WorkloadView, group};
use crate::api::{WorkloadKind, names};
use crate::budget::rollout::Strategy;
use crate::cluster::meta;

/// The note for a CronJob whose runs may overlap.
const UNBOUNDED: &str = "concurrencyPolicy Allow sets no bound on how many runs overlap, and room is kept for one: set \
                         workloads[].maxReplicas of this budget, or concurrencyPolicy Forbid";

/// A CronJob, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::batch::v1::CronJob")]
pub struct CronJobView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: CronJobSpecView,
}

/// The part of a CronJob's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct CronJobSpecView {
    /// Allow, Forbid or Replace.
    #[serde(default)]
    pub concurrency_policy: Option<String>,
    /// Whether no run begins.
    #[serde(default)]
    pub suspend: Option<bool>,
    /// The Job of each run.
    #[serde(default)]
    pub job_template: JobTemplateView,
}

/// The Job of each run.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct JobTemplateView {
    /// What its controller copies onto each Job.
    #[serde(default)]
    pub metadata: TemplateMetaView,
    /// Its spec.
    #[serde(default)]
    pub spec: JobSpecView,
}

impl JobTemplateView {
    /// The pod template of a Job, after admission has copied the Job's own label and annotations into it.
    fn template(&self) -> Cow<'_, TemplateView> {
        let TemplateMetaView { labels, annotations } = &self.metadata;
        if labels.is_none() && annotations.is_none() {
            return Cow::Borrowed(&self.spec.template);
        }
        let mut template = self.spec.template.clone();
        let of_job = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref()?.get(key).cloned();
        let labels = template.metadata.labels.get_or_insert_default();
        if let Some(budget) = of_job(&self.metadata.labels, names::BUDGET) {
            labels.insert(names::BUDGET.to_owned(), budget);
        }
        if labels.contains_key(names::BUDGET) {
            let notes = template.metadata.annotations.get_or_insert_default();
            let own = names::APP_ANNOTATIONS.into_iter();
            notes.extend(
                own.filter_map(|key| Some((key.to_owned(), of_job(&self.metadata.annotations, key)?))),
            );
        }
        Cow::Owned(template)
    }
}

impl WorkloadView for CronJobView {
    const KIND: WorkloadKind = WorkloadKind::CronJob;

    fn record(&self) -> Option<WorkloadRecord> {
        let job = &self.spec.job_template.spec;
        let base = WorkloadRecord::of(Self::KIND, &self.metadata, &self.spec.job_template.template())?;
        let begins = self.spec.suspend != Some(true);
        let bounded = matches!(self.spec.concurrency_policy.as_deref(), Some("Forbid" | "Replace"));
        Some(WorkloadRecord {
            owner: group::key(&job.template),
            ceiling: begins.then(|| job.at_once()),
            strategy: Strategy::Task,
            note: (begins && !bounded).then_some(UNBOUNDED),
            ..base
        })
    }
}
