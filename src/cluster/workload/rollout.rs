//! Argo Rollouts, whose pods are made by ReplicaSets, as for a Deployment.
//!
//! In: objects of argoproj.io/v1alpha1, where that is installed. Out: the record of a workload. What is read follows
//! Argo Rollouts' published API; a strategy that names nothing gets its defaults, 25 % and 25 %.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::deployment::{QUARTER, RollingUpdateView};
use super::{Lender, TemplateView, WorkloadKey, WorkloadRecord, WorkloadView, int_or_percent, whole};
use crate::api::WorkloadKind;
use crate::budget::rollout::Strategy;
use crate::cluster::autoscaler::TargetView;
use crate::cluster::meta;
use crate::cluster::template::shortened;

/// The most characters of a name that messages quote.
const QUOTED: usize = 320;

/// A Rollout, as far as it is parsed.
#[derive(Deserialize, Clone, Debug)]
pub struct RolloutView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: RolloutSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: RolloutStatusView,
}

/// The part of a Rollout's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpecView {
    /// Wanted replicas; 1 if it does not say.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// The pod template; absent where the Rollout takes that of another object.
    #[serde(default)]
    pub template: TemplateView,
    /// That other object.
    #[serde(default)]
    pub workload_ref: Option<TargetView>,
    /// How pods are replaced.
    #[serde(default)]
    pub strategy: RolloutStrategyView,
}

/// The strategy of a Rollout.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStrategyView {
    /// The new set grows in steps.
    #[serde(default)]
    pub canary: Option<CanaryView>,
    /// The new set is brought to full size beside the old one.
    #[serde(default)]
    pub blue_green: Option<IgnoredAny>,
}

/// A canary.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct CanaryView {
    /// Numbers of a rolling update.
    #[serde(flatten)]
    pub numbers: RollingUpdateView,
    /// What sends the traffic to the new set, if it is not the number of its pods.
    #[serde(default)]
    pub traffic_routing: Option<IgnoredAny>,
}

/// The part of a Rollout's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatusView {
    /// The generation that its controller has acted on, as text.
    #[serde(default)]
    pub observed_generation: Option<String>,
}

impl Resource for RolloutView {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Rollout".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        "argoproj.io".into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "rollouts".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl WorkloadView for RolloutView {
    const KIND: WorkloadKind = WorkloadKind::Rollout;

    fn record(&self) -> Option<WorkloadRecord> {
        let base = WorkloadRecord::of(Self::KIND, &self.metadata, &self.spec.template)?;
        let observed: Option<i64> =
            self.status.observed_generation.as_ref().and_then(|text| text.parse().ok());
        Some(WorkloadRecord {
            observed: observed.unwrap_or(0) >= self.metadata.generation.unwrap_or(0),
            replicas: whole(self.spec.replicas.or(Some(1))),
            strategy: strategy(&self.spec.strategy),
            lender: self.spec.workload_ref.as_ref().map(|lender| Box::new(of_reference(lender))),
            ..base
        })
    }
}

/// Argo takes the template of a Deployment, a ReplicaSet or a PodTemplate; the last is not followed here.
fn of_reference(lender: &TargetView) -> Lender {
    let TargetView { api_version, kind, name } = lender;
    let lends = |kind: &WorkloadKind| matches!(kind, WorkloadKind::Deployment | WorkloadKind::ReplicaSet);
    Lender {
        name: shortened(&format!("{kind}/{name}"), QUOTED),
        key: WorkloadKind::of(api_version, kind).filter(lends).map(|kind| WorkloadKey::new(kind, name)),
    }
}

/// Even a set that is previewed with fewer pods is brought to full size before the switch. With a traffic router, the
/// old set stays at full size until the new one is, whatever maxSurge says.
fn strategy(view: &RolloutStrategyView) -> Strategy {
    let canary = view.canary.clone().unwrap_or_default();
    if view.blue_green.is_some() || canary.traffic_routing.is_some() {
        return Strategy::Twice;
    }
    Strategy::RollingUpdate {
        max_surge: int_or_percent(canary.numbers.max_surge.as_ref(), QUARTER),
        max_unavailable: int_or_percent(canary.numbers.max_unavailable.as_ref(), QUARTER),
    }
}
