//! ReplicaSets: the revisions of a Deployment, or workloads of their own.
//!
//! In: objects of apps/v1. Out: the record of a part of a workload, or of a workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::{TemplateView, WorkloadRecord, WorkloadView, whole};
use crate::api::WorkloadKind;
use crate::cluster::meta;
use crate::cluster::pod::controller;

/// The place of a ReplicaSet in the history of its Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";

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
        let revision = meta.annotations.as_ref().and_then(|notes| notes.get(REVISION));
        Some(WorkloadRecord {
            owner: owner.filter(|owner| owner.kind == WorkloadKind::Deployment),
            revision: revision.and_then(|text| text.parse().ok()).unwrap_or(0),
            replicas: whole(self.spec.replicas.or(Some(1))),
            pods: whole(self.status.replicas),
            ready: whole(self.status.ready_replicas),
            ..base
        })
    }
}
