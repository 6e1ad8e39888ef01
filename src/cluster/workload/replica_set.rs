//! ReplicaSets: the revisions of a Deployment or of an Argo Rollout, or workloads of their own.
//!
//! In: objects of apps/v1. Out: the record of a part of a workload, or of a workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::{TemplateView, WorkloadRecord, WorkloadView, whole};
use crate::api::WorkloadKind;
use crate::cluster::meta;
use crate::cluster::pod::controller;

/// The annotations with the place of a ReplicaSet in the history of its Deployment or Rollout.
const REVISIONS: [&str; 2] = ["deployment.kubernetes.io/revision", "rollout.argoproj.io/revision"];

/// A ReplicaSet, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::apps::v1::ReplicaSet")]
pub struct ReplicaSetView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: ReplicaSetSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: ReplicaSetStatusView,
}

/// The part of a ReplicaSet's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct ReplicaSetSpecView {
    /// Wanted replicas.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// The pod template.
    #[serde(default)]
    pub template: TemplateView,
}

/// The part of a ReplicaSet's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetStatusView {
    /// Pods that it has.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// Those of them that are ready.
    #[serde(default)]
    pub ready_replicas: Option<i32>,
}

impl WorkloadView for ReplicaSetView {
    const KIND: WorkloadKind = WorkloadKind::ReplicaSet;

    fn record(&self) -> Option<WorkloadRecord> {
        let meta = &self.metadata;
        let owner = controller(meta).and_then(|owner| owner.workload());
        let base = WorkloadRecord::of(Self::KIND, meta, &self.spec.template)?;
        let noted = |key: &str| meta.annotations.as_ref()?.get(key)?.parse().ok();
        Some(WorkloadRecord {
            owner: owner
                .filter(|owner| matches!(owner.kind, WorkloadKind::Deployment | WorkloadKind::Rollout)),
            revision: REVISIONS.into_iter().find_map(noted).unwrap_or(0),
            replicas: whole(self.spec.replicas.or(Some(1))),
            pods: whole(self.status.replicas),
            ready: whole(self.status.ready_replicas),
            ..base
        })
    }
}
