//! What makes pods: the narrow views that are parsed, one file for each kind, and the one record that is kept of all.
//!
//! In: objects of any governed kind. Out: [`WorkloadRecord`]. `budget::rollout`, not this module, knows what a rollout
//! of a kind may add and take away.

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod group;
pub mod job;
pub mod replica_set;
pub mod rollout;
pub mod stateful_set;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use cron_job::CronJobView;
pub use daemon_set::DaemonSetView;
pub use deployment::{
    DeploymentSpecView, DeploymentStatusView, DeploymentView, RollingUpdateView, StrategyView,
};
pub use job::JobView;
pub use replica_set::{ReplicaSetSpecView, ReplicaSetStatusView, ReplicaSetView};
pub use rollout::RolloutView;
pub use stateful_set::StatefulSetView;

use super::env::Container;
use super::pod::{PodRecord, version};
use super::template::AppFacts;
use crate::api::{WorkloadKind, names};
use crate::budget::rollout::{IntOrPercent, Strategy};

/// Names a workload in its namespace, whether it exists or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

impl WorkloadKey {
    /// The key of `kind/name`.
    #[must_use]
    pub fn new(kind: WorkloadKind, name: &str) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// An object that makes pods, as far as it is parsed.
pub trait WorkloadView:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static
{
    /// The kind of such objects.
    const KIND: WorkloadKind;
    /// Its record; none when it lacks what every stored object has, or is of no use.
    fn record(&self) -> Option<WorkloadRecord>;
}

/// A pod template, as far as it is used.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct TemplateView {
    /// Labels and annotations.
    #[serde(default)]
    pub metadata: TemplateMetaView,
    /// The pods' spec.
    #[serde(default)]
    pub spec: TemplateSpecView,
}

/// A pod template's metadata, as far as it is used. Its author may write anything into the rest.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct TemplateMetaView {
    /// Labels.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A pod template's spec, as far as it is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpecView {
    /// Init containers.
    #[serde(default)]
    pub init_containers: Vec<Container>,
    /// Containers.
    #[serde(default)]
    pub containers: Vec<Container>,
}

/// The object whose pod template a workload takes for its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lender {
    /// Its kind and name.
    pub name: String,
    /// The same, if its kind is followed.
    pub key: Option<WorkloadKey>,
}

/// The numbers that a StatefulSet gives to its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinals {
    /// The lowest.
    pub first: u32,
    /// Pods with lower ones stay at their revision.
    pub updated_from: u32,
}

/// An object that makes pods, as it is kept: a workload, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRecord {
    /// Namespace.
    pub namespace: String,
    /// Kind and name.
    pub key: WorkloadKey,
    /// The version of the object that this record was read from.
    pub version: u64,
    /// What tells the object from another one of its name; none if the record has no object.
    pub uid: Option<String>,
    /// The workload that made and controls it. Then it is a part of that one: a ReplicaSet of a Deployment.
    pub owner: Option<WorkloadKey>,
    /// The budget label on the object itself.
    pub label: Option<String>,
    /// Whether its controller has acted on its newest spec.
    pub observed: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Wanted replicas.
    pub replicas: u32,
    /// The replicas that it asks to keep room for: those of the next run of a CronJob.
    pub ceiling: Option<u32>,
    /// How pods are replaced.
    pub strategy: Strategy,
    /// The place of a part in the history of its workload; the largest is the newest.
    pub revision: u64,
    /// The mark of the pods of its newest revision; none if no pod is replaced because of a newer one.
    pub newest: Option<String>,
    /// The numbers that its pods get.
    pub ordinals: Option<Ordinals>,
    /// What its user should know about it.
    pub note: Option<&'static str>,
    /// Pods that it has, as far as its status counts them.
    pub pods: u32,
    /// Those of them that are ready.
    pub ready: u32,
    /// What its template says.
    pub template: AppFacts,
    /// The object whose template it takes, if it has none of its own.
    pub lender: Option<Box<Lender>>,
}

impl WorkloadRecord {
    /// What is read in the same way from all kinds; the rest says that nothing is wanted and nothing is there.
    #[must_use]
    pub fn of(kind: WorkloadKind, meta: &ObjectMeta, template: &TemplateView) -> Option<Self> {
        Some(Self {
            namespace: meta.namespace.clone()?,
            key: WorkloadKey { kind, name: meta.name.clone()? },
            version: version(meta),
            uid: meta.uid.clone(),
            owner: None,
            label: meta.labels.as_ref().and_then(|labels| labels.get(names::BUDGET)).cloned(),
            observed: true,
            terminating: meta.deletion_timestamp.is_some(),
            replicas: 0,
            ceiling: None,
            strategy: Strategy::OnDelete,
            revision: 0,
            newest: None,
            ordinals: None,
            note: None,
            pods: 0,
            ready: 0,
            lender: None,
            template: AppFacts::read(
                &template.metadata.labels,
                &template.metadata.annotations,
                &template.spec.init_containers,
                &template.spec.containers,
            ),
        })
    }

    /// The record of pods that no known controller made: as many are wanted as there are.
    #[must_use]
    pub fn of_loose_pods(group: &WorkloadKey, pods: &[&PodRecord]) -> Option<Self> {
        let first = pods.first()?;
        let staying = pods.iter().filter(|pod| !pod.terminating).count();
        let meta = ObjectMeta {
            namespace: Some(first.namespace.clone()),
            name: Some(group.name.clone()),
            ..ObjectMeta::default()
        };
        Some(Self {
            replicas: u32::try_from(staying).unwrap_or(u32::MAX),
            strategy: Strategy::Loose,
            template: first.app.clone(),
            ..Self::of(group.kind, &meta, &TemplateView::default())?
        })
    }

    /// Whether a pod that it made is of its newest revision, or of one that nothing replaces.
    #[must_use]
    pub fn is_newest(&self, pod: &PodRecord) -> bool {
        let kept = self.ordinals.is_some_and(|own| pod.ordinal().is_some_and(|n| n < own.updated_from));
        kept || self.newest.is_none() || self.newest == pod.revision
    }

    /// Whether it will end a pod that it made, because the pod has a number beyond its replicas.
    #[must_use]
    pub fn sends_away(&self, pod: &PodRecord) -> bool {
        let beyond =
            |own: Ordinals| pod.ordinal().is_some_and(|n| n < own.first || n - own.first >= self.replicas);
        self.ordinals.is_some_and(beyond)
    }

    /// The workload that it is, or is a part of.
    #[must_use]
    pub fn workload(&self) -> &WorkloadKey {
        self.owner.as_ref().unwrap_or(&self.key)
    }
}

/// A count that the API server does not let be negative.
fn whole(count: Option<i32>) -> u32 {
    u32::try_from(count.unwrap_or(0)).unwrap_or(0)
}

/// A count or percentage of a rollout; the API server refuses anything else.
fn int_or_percent(value: Option<&IntOrString>, unsaid: IntOrPercent) -> IntOrPercent {
    match value {
        Some(IntOrString::Int(count)) => IntOrPercent::Int(whole(Some(*count))),
        Some(IntOrString::String(text)) => text.parse().unwrap_or(unsaid),
        None => unsaid,
    }
}

#[cfg(test)]
mod tests;
