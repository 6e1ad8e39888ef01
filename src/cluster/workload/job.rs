//! Jobs: workloads of their own, or parts of one: the runs of a CronJob, or Jobs with the label of a group.
//!
//! In: objects of batch/v1. Out: the record of a workload, or of a part of one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::{TemplateView, WorkloadRecord, WorkloadView, group, whole};
use crate::api::WorkloadKind;
use crate::budget::rollout::Strategy;
use crate::cluster::meta;
use crate::cluster::pod::{ConditionView, controller};

/// A Job, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::batch::v1::Job")]
pub struct JobView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: JobSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: JobStatusView,
}

/// The part of a Job's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct JobSpecView {
    /// Pods at a time.
    #[serde(default)]
    pub parallelism: Option<i32>,
    /// Pods that must succeed; if absent, one success is enough.
    #[serde(default)]
    pub completions: Option<i32>,
    /// Whether it is suspended.
    #[serde(default)]
    pub suspend: Option<bool>,
    /// The pod template.
    #[serde(default)]
    pub template: TemplateView,
}

/// The part of a Job's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct JobStatusView {
    /// Pods that wait or run.
    #[serde(default)]
    pub active: Option<i32>,
    /// Pods that succeeded.
    #[serde(default)]
    pub succeeded: Option<i32>,
    /// Complete, Failed, and how it gets there.
    #[serde(default)]
    pub conditions: Option<Vec<ConditionView>>,
}

impl JobSpecView {
    /// The most pods that it has at a time.
    pub(super) fn at_once(&self) -> u32 {
        let parallelism = whole(self.parallelism.or(Some(1)));
        self.completions.map_or(parallelism, |completions| parallelism.min(whole(Some(completions))))
    }
}

impl WorkloadView for JobView {
    const KIND: WorkloadKind = WorkloadKind::Job;

    fn record(&self) -> Option<WorkloadRecord> {
        let base = WorkloadRecord::of(Self::KIND, &self.metadata, &self.spec.template)?;
        let cron_job = controller(&self.metadata).and_then(|owner| owner.workload());
        let cron_job = cron_job.filter(|owner| owner.kind == WorkloadKind::CronJob);
        let over = self.is_over() || base.terminating || self.spec.suspend == Some(true);
        Some(WorkloadRecord {
            replicas: if over { 0 } else { self.wanted() },
            // The remaining work shrinks; the sizes of the pods that do it stay.
            ceiling: (!over && cron_job.is_none()).then(|| self.spec.at_once()),
            owner: group::key(&self.spec.template).or(cron_job),
            strategy: Strategy::Task,
            ..base
        })
    }
}

impl JobView {
    /// The pods that the Job controller wants at a time now. Only the controller can tell which ended pods succeeded: a
    /// Job may not count a failed pod.
    fn wanted(&self) -> u32 {
        let (parallelism, done) = (whole(self.spec.parallelism.or(Some(1))), whole(self.status.succeeded));
        match self.spec.completions {
            Some(completions) => whole(Some(completions)).saturating_sub(done).min(parallelism),
            // The first pod that succeeds says that there is no more work; the others finish.
            None if done > 0 => whole(self.status.active),
            None => parallelism,
        }
    }

    /// Whether no more pods will be created. Both targets are set before the last pod is gone.
    fn is_over(&self) -> bool {
        let conditions = self.status.conditions.iter().flatten();
        let mut ends = conditions.filter(|condition| condition.status == "True");
        ends.any(|c| {
            matches!(c.type_.as_str(), "Complete" | "Failed" | "FailureTarget" | "SuccessCriteriaMet")
        })
    }
}
