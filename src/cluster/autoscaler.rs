//! HorizontalPodAutoscalers: whom they scale, and how far.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::meta;
use super::pod::version;
use super::workload::WorkloadKey;
use crate::api::WorkloadKind;

/// A HorizontalPodAutoscaler, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler")]
pub struct AutoscalerView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: AutoscalerSpecView,
}

/// The part of an autoscaler's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalerSpecView {
    /// The most replicas that it asks for.
    #[serde(default)]
    pub max_replicas: i32,
    /// Whom it scales.
    #[serde(default)]
    pub scale_target_ref: TargetView,
}

/// A reference to a workload.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct TargetView {
    /// Its API group and version.
    #[serde(default)]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// An autoscaler, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscalerRecord {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The version of the object that this record was read from.
    pub version: u64,
    /// The workload that it scales.
    pub target: WorkloadKey,
    /// The most replicas that it asks for.
    pub max_replicas: u32,
}

impl AutoscalerRecord {
    /// Reads an autoscaler. None when it lacks what every stored object has, or scales something of an unknown kind.
    #[must_use]
    pub fn read(view: &AutoscalerView) -> Option<Self> {
        let target = &view.spec.scale_target_ref;
        Some(Self {
            namespace: view.metadata.namespace.clone()?,
            name: view.metadata.name.clone()?,
            version: version(&view.metadata),
            target: WorkloadKey::new(WorkloadKind::of(&target.api_version, &target.kind)?, &target.name),
            max_replicas: u32::try_from(view.spec.max_replicas).unwrap_or(0),
        })
    }
}
