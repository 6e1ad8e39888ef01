//! StatefulSets, whose pod names are reused: a successor is created only when its predecessor is gone.
//!
//! In: objects of apps/v1. Out: the record of a workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde::Deserialize;

use super::{Ordinals, TemplateView, WorkloadRecord, WorkloadView, int_or_percent, whole};
use crate::api::WorkloadKind;
use crate::budget::rollout::{IntOrPercent, Strategy};
use crate::cluster::meta;

/// A StatefulSet, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::apps::v1::StatefulSet")]
pub struct StatefulSetView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: StatefulSetSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: StatefulSetStatusView,
}

/// The part of a StatefulSet's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct StatefulSetSpecView {
    /// Wanted replicas; the API server fills in 1.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// The pod template.
    #[serde(default)]
    pub template: TemplateView,
    /// OrderedReady or Parallel.
    #[serde(default)]
    pub pod_management_policy: Option<String>,
    /// How pods are replaced.
    #[serde(default)]
    pub update_strategy: UpdateStrategyView,
    /// Where the numbers of its pods begin.
    #[serde(default)]
    pub ordinals: Option<OrdinalsView>,
}

/// The numbers of pods.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct OrdinalsView {
    /// The lowest.
    #[serde(default)]
    pub start: Option<i32>,
}

/// How pods are replaced.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategyView {
    /// RollingUpdate or OnDelete.
    #[serde(rename = "type", default)]
    pub type_: Option<String>,
    /// Numbers of a rolling update.
    #[serde(default)]
    pub rolling_update: Option<PartitionView>,
}

/// Numbers of a rolling update.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct PartitionView {
    /// Pods with lower numbers stay at their revision.
    #[serde(default)]
    pub partition: Option<i32>,
    /// Pods that may be missing.
    #[serde(default)]
    pub max_unavailable: Option<IntOrString>,
}

/// The part of a StatefulSet's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct StatefulSetStatusView {
    /// The generation that its controller has acted on.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// Pods that it has.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// Those of them that are ready.
    #[serde(default)]
    pub ready_replicas: Option<i32>,
    /// The mark of pods of the newest template.
    #[serde(default)]
    pub update_revision: Option<String>,
}

impl WorkloadView for StatefulSetView {
    const KIND: WorkloadKind = WorkloadKind::StatefulSet;

    fn record(&self) -> Option<WorkloadRecord> {
        let (spec, status) = (&self.spec, &self.status);
        let base = WorkloadRecord::of(Self::KIND, &self.metadata, &spec.template)?;
        let on_delete = spec.update_strategy.type_.as_deref() == Some("OnDelete");
        let numbers = spec.update_strategy.rolling_update.clone().unwrap_or_default();
        let most = int_or_percent(numbers.max_unavailable.as_ref(), IntOrPercent::Int(1));
        Some(WorkloadRecord {
            observed: status.observed_generation.unwrap_or(0) >= self.metadata.generation.unwrap_or(0),
            replicas: whole(spec.replicas.or(Some(1))),
            strategy: Strategy::StatefulSet {
                max_unavailable: (!on_delete).then_some(most),
                ordered: spec.pod_management_policy.as_deref() != Some("Parallel"),
            },
            newest: status.update_revision.clone().filter(|revision| !on_delete && !revision.is_empty()),
            ordinals: Some(Ordinals {
                first: whole(spec.ordinals.as_ref().and_then(|ordinals| ordinals.start)),
                updated_from: whole(numbers.partition),
            }),
            pods: whole(status.replicas),
            ready: whole(status.ready_replicas),
            ..base
        })
    }
}
