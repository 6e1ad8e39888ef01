//! Deployments and their ReplicaSets: the narrow views that are parsed, and the records that are kept.
//!
//! In: objects of apps/v1. Out: [`DeploymentRecord`], [`ReplicaSetRecord`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde::Deserialize;

use super::env::Container;
use super::meta;
use super::pod::{controller, version};
use super::template::AppFacts;
use crate::api::names;
use crate::budget::rollout::{IntOrPercent, Strategy};

/// What a Deployment gets that says nothing.
const QUARTER: IntOrPercent = IntOrPercent::Percent(25);

const REVISION: &str = "deployment.kubernetes.io/revision";

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

/// A Deployment, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRecord {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The version of the object that this record was read from.
    pub version: u64,
    /// The budget label on the object itself.
    pub label: Option<String>,
    /// Whether its controller has acted on its newest spec.
    pub observed: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Wanted replicas.
    pub replicas: u32,
    /// How pods are replaced.
    pub strategy: Strategy,
    /// What its template says.
    pub template: AppFacts,
}

/// A ReplicaSet of a Deployment, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSetRecord {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The version of the object that this record was read from.
    pub version: u64,
    /// The Deployment that controls it.
    pub deployment: String,
    /// Its place in the Deployment's history; the largest is the newest.
    pub revision: u64,
    /// Wanted replicas.
    pub replicas: u32,
    /// Pods that it has.
    pub pods: u32,
    /// Those of them that are ready.
    pub ready: u32,
    /// What its template says.
    pub template: AppFacts,
}

impl DeploymentRecord {
    /// Reads a Deployment. None when it lacks what every stored object has.
    #[must_use]
    pub fn read(deployment: &DeploymentView) -> Option<Self> {
        let meta = &deployment.metadata;
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            version: version(meta),
            label: meta.labels.as_ref().and_then(|labels| labels.get(names::BUDGET)).cloned(),
            observed: deployment.status.observed_generation.unwrap_or(0) >= meta.generation.unwrap_or(0),
            terminating: meta.deletion_timestamp.is_some(),
            replicas: whole(deployment.spec.replicas.or(Some(1))),
            strategy: strategy(&deployment.spec.strategy),
            template: facts(&deployment.spec.template),
        })
    }
}

impl ReplicaSetRecord {
    /// Reads a ReplicaSet. None when no Deployment controls it.
    #[must_use]
    pub fn read(set: &ReplicaSetView) -> Option<Self> {
        let meta = &set.metadata;
        let owner = controller(meta).filter(|owner| owner.kind == "Deployment")?;
        let revision = meta.annotations.as_ref().and_then(|notes| notes.get(REVISION));
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            version: version(meta),
            deployment: owner.name,
            revision: revision.and_then(|text| text.parse().ok()).unwrap_or(0),
            replicas: whole(set.spec.replicas.or(Some(1))),
            pods: whole(set.status.replicas),
            ready: whole(set.status.ready_replicas),
            template: facts(&set.spec.template),
        })
    }
}

fn facts(template: &TemplateView) -> AppFacts {
    let TemplateView { metadata, spec } = template;
    AppFacts::read(&metadata.labels, &metadata.annotations, &spec.init_containers, &spec.containers)
}

fn whole(count: Option<i32>) -> u32 {
    u32::try_from(count.unwrap_or(0)).unwrap_or(0)
}

fn strategy(view: &StrategyView) -> Strategy {
    if view.type_.as_deref() == Some("Recreate") {
        return Strategy::Recreate;
    }
    let numbers = view.rolling_update.clone().unwrap_or_default();
    Strategy::RollingUpdate {
        max_surge: int_or_percent(numbers.max_surge.as_ref()),
        max_unavailable: int_or_percent(numbers.max_unavailable.as_ref()),
    }
}

/// The API server fills in 25 % and refuses anything that is neither a count nor a percentage.
fn int_or_percent(value: Option<&IntOrString>) -> IntOrPercent {
    match value {
        Some(IntOrString::Int(count)) => IntOrPercent::Int(whole(Some(*count))),
        Some(IntOrString::String(text)) => text.parse().unwrap_or(QUARTER),
        None => QUARTER,
    }
}
