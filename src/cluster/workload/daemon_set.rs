//! DaemonSets: one pod on each node that they run on.
//!
//! In: objects of apps/v1. Out: the record of a workload. Its replicas are counted by its controller, in its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::deployment::StrategyView;
use super::{TemplateView, WorkloadRecord, WorkloadView, int_or_percent, whole};
use crate::api::WorkloadKind;
use crate::budget::rollout::{IntOrPercent, Strategy};
use crate::cluster::meta;

/// The number of the template. Its controller writes it on each pod; the API server counts it here.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A DaemonSet, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::apps::v1::DaemonSet")]
pub struct DaemonSetView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: DaemonSetSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: DaemonSetStatusView,
}

/// The part of a DaemonSet's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetSpecView {
    /// The pod template.
    #[serde(default)]
    pub template: TemplateView,
    /// How pods are replaced: RollingUpdate or OnDelete.
    #[serde(default)]
    pub update_strategy: StrategyView,
}

/// The part of a DaemonSet's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSetStatusView {
    /// The generation that its controller has acted on.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// Nodes that should have a pod.
    #[serde(default)]
    pub desired_number_scheduled: i32,
    /// Nodes that should have a pod and have one.
    #[serde(default)]
    pub current_number_scheduled: i32,
    /// Nodes that have a pod and should not.
    #[serde(default)]
    pub number_misscheduled: i32,
    /// Nodes whose pod is of the newest template.
    #[serde(default)]
    pub updated_number_scheduled: i32,
    /// Nodes with a ready pod.
    #[serde(default)]
    pub number_ready: i32,
}

impl WorkloadView for DaemonSetView {
    const KIND: WorkloadKind = WorkloadKind::DaemonSet;

    fn record(&self) -> Option<WorkloadRecord> {
        let (meta, status) = (&self.metadata, &self.status);
        let base = WorkloadRecord::of(Self::KIND, meta, &self.spec.template)?;
        let on_delete = self.spec.update_strategy.type_.as_deref() == Some("OnDelete");
        let observed = status.observed_generation.unwrap_or(0) >= meta.generation.unwrap_or(0);
        let newest = meta.annotations.as_ref().and_then(|notes| notes.get(TEMPLATE_GENERATION));
        // After a rollback, pods of the old number are of the newest template again: the controller compares its hash,
        // which is only on pods.
        let rolled = observed && status.updated_number_scheduled >= status.desired_number_scheduled;
        Some(WorkloadRecord {
            observed,
            replicas: whole(Some(status.desired_number_scheduled)),
            strategy: if on_delete { Strategy::OnDelete } else { rolling(&self.spec.update_strategy) },
            newest: newest.filter(|_| !on_delete && !rolled).cloned(),
            pods: whole(Some(status.current_number_scheduled))
                .saturating_add(whole(Some(status.number_misscheduled))),
            ready: whole(Some(status.number_ready)),
            ..base
        })
    }
}

fn rolling(view: &StrategyView) -> Strategy {
    let numbers = view.rolling_update.clone().unwrap_or_default();
    Strategy::DaemonSet {
        max_surge: int_or_percent(numbers.max_surge.as_ref(), IntOrPercent::Int(0)),
        max_unavailable: int_or_percent(numbers.max_unavailable.as_ref(), IntOrPercent::Int(1)),
    }
}
