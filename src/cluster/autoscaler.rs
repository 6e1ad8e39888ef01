//! HorizontalPodAutoscalers: what they scale, and between which numbers of replicas.

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
    /// The fewest replicas that it asks for; 1 if left out.
    pub min_replicas: Option<i32>,
    /// The most replicas that it asks for.
    #[serde(default)]
    pub max_replicas: i32,
    /// What it scales.
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
    /// The fewest replicas that it asks for.
    pub min_replicas: u32,
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
            min_replicas: u32::try_from(view.spec.min_replicas.unwrap_or(1)).unwrap_or(0),
            max_replicas: u32::try_from(view.spec.max_replicas).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_fewest_replicas_are_one_unless_it_says_otherwise_and_never_below_none() {
        let read = |spec: serde_json::Value| {
            let object = json!({"metadata": {"name": "a", "namespace": "shop"}, "spec": spec});
            let view: AutoscalerView = serde_json::from_value(object).expect("an autoscaler");
            AutoscalerRecord::read(&view).map(|record| (record.min_replicas, record.max_replicas))
        };
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"});
        for (min, max, bounds) in
            [(json!(null), 4, (1, 4)), (json!(0), 4, (0, 4)), (json!(3), 6, (3, 6)), (json!(-7), -1, (0, 0))]
        {
            let spec = json!({"minReplicas": min, "maxReplicas": max, "scaleTargetRef": target});
            assert_eq!(read(spec), Some(bounds));
        }
    }
}
