//! Deployments, whose pods are made by ReplicaSets, one for each revision.
//!
//! In: objects of apps/v1. Out: the record of a workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde::Deserialize;

use super::{TemplateView, WorkloadRecord, WorkloadView, int_or_percent, whole};
use crate::api::WorkloadKind;
use crate::budget::rollout::{IntOrPercent, Strategy};
use crate::cluster::meta;

/// The default of maxSurge and maxUnavailable.
pub(super) const QUARTER: IntOrPercent = IntOrPercent::Percent(25);

/// A Deployment, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::apps::v1::Deployment")]
pub struct DeploymentView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: DeploymentSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: DeploymentStatusView,
}

/// The part of a Deployment's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSpecView {
    /// Wanted replicas; the API server fills in 1.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// The pod template.
    #[serde(default)]
    pub template: TemplateView,
    /// How pods are replaced.
    #[serde(default)]
    pub strategy: StrategyView,
}

/// The strategy of a Deployment.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct StrategyView {
    /// RollingUpdate or Recreate.
    #[serde(rename = "type", default)]
    pub type_: Option<String>,
    /// Numbers of a rolling update.
    #[serde(default)]
    pub rolling_update: Option<RollingUpdateView>,
}

/// Numbers of a rolling update.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpdateView {
    /// Pods above the wanted number.
    #[serde(default)]
    pub max_surge: Option<IntOrString>,
    /// Pods below the wanted number.
    #[serde(default)]
    pub max_unavailable: Option<IntOrString>,
}

/// The part of a Deployment's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatusView {
    /// The generation that its controller has acted on.
    #[serde(default)]
    pub observed_generation: Option<i64>,
}

impl WorkloadView for DeploymentView {
    const KIND: WorkloadKind = WorkloadKind::Deployment;

    fn record(&self) -> Option<WorkloadRecord> {
        let base = WorkloadRecord::of(Self::KIND, &self.metadata, &self.spec.template)?;
        let observed = self.status.observed_generation;
        Some(WorkloadRecord {
            observed: observed.unwrap_or(0) >= self.metadata.generation.unwrap_or(0),
            replicas: whole(self.spec.replicas.or(Some(1))),
            strategy: strategy(&self.spec.strategy),
            ..base
        })
    }
}

fn strategy(view: &StrategyView) -> Strategy {
    if view.type_.as_deref() == Some("Recreate") {
        return Strategy::Recreate;
    }
    let numbers = view.rolling_update.clone().unwrap_or_default();
    Strategy::RollingUpdate {
        max_surge: int_or_percent(numbers.max_surge.as_ref(), QUARTER),
        max_unavailable: int_or_percent(numbers.max_unavailable.as_ref(), QUARTER),
    }
}
