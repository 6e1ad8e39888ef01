//! The kinds that concern a budget: the versions in which an API server serves them, and the types that decode them.
//!
//! In: an object. Out: its kind, or why no API server serves it. The types of the Kubernetes API define its kinds
//! completely; of kinds of other projects, only what poolbudget reads is known.

use std::sync::LazyLock;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::{v1, v2};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, PodTemplate, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Object;
use super::strict::{self, Decode};
use crate::api::names;
use crate::cluster::autoscaler::TargetView;
use crate::cluster::workload::rollout::RolloutStrategyView;

/// A kind in a version.
pub(super) struct Kind {
    name: &'static str,
    api_version: &'static str,
    /// Decodes an object as the API server does.
    pub(super) decode: Decode,
    /// The fields that exist, by place.
    pub(super) parts: &'static [Part],
    /// The same for the whole object.
    pub(super) whole: Option<Schema>,
}

/// A place in an object, and the fields that exist there.
pub(super) type Part = (&'static [&'static str], &'static Schema);

/// The fields of a type, as JSON Schema; built on first use.
pub(super) type Schema = LazyLock<Value>;

fn schema<T: JsonSchema>() -> Value {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

static METADATA: Schema = LazyLock::new(schema::<ObjectMeta>);
static TEMPLATE: Schema = LazyLock::new(schema::<PodTemplateSpec>);

const fn of<K: k8s_openapi::Resource + DeserializeOwned + JsonSchema>() -> Kind {
    let whole = Some(LazyLock::new(schema::<K> as fn() -> Value));
    Kind { name: K::KIND, api_version: K::API_VERSION, decode: strict::decode::<K>, parts: &[], whole }
}

const fn foreign<K: DeserializeOwned>(
    name: &'static str,
    api_version: &'static str,
    parts: &'static [Part],
) -> Kind {
    Kind { name, api_version, decode: strict::decode::<K>, parts, whole: None }
}

static KINDS: [Kind; 13] = [
    of::<Deployment>(),
    of::<StatefulSet>(),
    of::<DaemonSet>(),
    of::<ReplicaSet>(),
    of::<Job>(),
    of::<CronJob>(),
    of::<Pod>(),
    of::<PodTemplate>(),
    of::<v2::HorizontalPodAutoscaler>(),
    of::<v1::HorizontalPodAutoscaler>(),
    foreign::<Rollout>(
        "Rollout",
        "argoproj.io/v1alpha1",
        &[(&["metadata"], &METADATA), (&["spec", "template"], &TEMPLATE)],
    ),
    foreign::<ScaledObject>("ScaledObject", "keda.sh/v1alpha1", &[(&["metadata"], &METADATA)]),
    foreign::<Budget>("DbConnectionBudget", "poolbudget.dev/v1beta1", &[(&["metadata"], &METADATA)]),
];

/// Groups in which every kind is known; the second part lists the kinds that concern no budget.
const CLOSED: [(&str, &[&str]); 3] = [("apps", &["ControllerRevision"]), ("batch", &[]), (names::GROUP, &[])];

/// Kubernetes groups in which users look for workloads and autoscalers, or once did.
const KUBERNETES: [&str; 6] = ["", "core", "apps", "batch", "autoscaling", "extensions"];

impl Kind {
    fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether a group is its own, or one in which users look for it.
    fn is_sought_in(&self, group: &str) -> bool {
        self.group() == group || [self.group(), group].iter().all(|group| KUBERNETES.contains(group))
    }
}

/// The kind of an object; none if it concerns no budget or is not served.
pub(super) fn kind(object: &Object) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == object.kind() && kind.api_version == object.api_version())
}

/// Why no API server accepts an object of this version and kind; none if one may.
pub(super) fn unserved(object: &Object) -> Option<String> {
    let (kind, version) = (object.kind(), object.api_version());
    if self::kind(object).is_some() || kind.ends_with("List") {
        return None;
    }
    let same = |known: &&Kind| known.name.eq_ignore_ascii_case(kind) && known.is_sought_in(object.group());
    let served: Vec<&Kind> = KINDS.iter().filter(same).collect();
    if let Some(known) = served.first() {
        let versions: Vec<&str> = served.iter().map(|known| known.api_version).collect();
        let versions = versions.join(" or ");
        return Some(if known.name == kind {
            format!("apiVersion {version} does not have this kind: use {versions}")
        } else {
            format!("there is no kind {kind} in {version}: did you mean {} of {versions}?", known.name)
        });
    }
    let (_, others) = CLOSED.iter().find(|(group, _)| *group == object.group())?;
    let of_group = KINDS.iter().filter(|known| known.group() == object.group()).map(|known| known.name);
    let all: Vec<&str> = of_group.chain(others.iter().copied()).collect();
    (!all.contains(&kind))
        .then(|| format!("there is no kind {kind} in {version}; its kinds are: {}", all.join(", ")))
}

/// An Argo Rollout: the Kubernetes API has no types for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is only decoded")]
struct Rollout {
    metadata: Option<ObjectMeta>,
    spec: Option<RolloutSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is only decoded")]
struct RolloutSpec {
    replicas: Option<i32>,
    template: Option<PodTemplateSpec>,
    workload_ref: Option<TargetView>,
    strategy: Option<RolloutStrategyView>,
}

/// An autoscaler of KEDA.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is only decoded")]
struct ScaledObject {
    metadata: Option<ObjectMeta>,
    spec: Option<ScaledObjectSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is only decoded")]
struct ScaledObjectSpec {
    scale_target_ref: Option<TargetView>,
    min_replica_count: Option<i32>,
    max_replica_count: Option<i32>,
}

/// A budget, except its spec, which is checked against the schema of the resource.
#[derive(Deserialize)]
#[expect(dead_code, reason = "it is only decoded")]
struct Budget {
    metadata: Option<ObjectMeta>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::input::Place;

    fn told(api_version: &str, kind: &str) -> Option<String> {
        let place = Place { origin: String::new(), number: 1, line: 1 };
        unserved(&Object { place, value: json!({"apiVersion": api_version, "kind": kind}) })
    }

    #[test]
    fn a_kind_in_a_version_that_is_not_served_is_told_with_those_that_are() {
        let hpa = "apiVersion autoscaling/v3 does not have this kind: use autoscaling/v2 or autoscaling/v1";
        for (version, kind, sentence) in [
            ("apps/v2", "Deployment", "apiVersion apps/v2 does not have this kind: use apps/v1"),
            ("apps/v1beta1", "StatefulSet", "apiVersion apps/v1beta1 does not have this kind: use apps/v1"),
            (
                "extensions/v1beta1",
                "DaemonSet",
                "apiVersion extensions/v1beta1 does not have this kind: use apps/v1",
            ),
            ("v1", "Deployment", "apiVersion v1 does not have this kind: use apps/v1"),
            ("batch/v1beta1", "CronJob", "apiVersion batch/v1beta1 does not have this kind: use batch/v1"),
            ("apps/v1", "Pod", "apiVersion apps/v1 does not have this kind: use v1"),
            ("autoscaling/v3", "HorizontalPodAutoscaler", hpa),
            (
                "keda.sh/v1",
                "ScaledObject",
                "apiVersion keda.sh/v1 does not have this kind: use keda.sh/v1alpha1",
            ),
            (
                "argoproj.io/v1",
                "Rollout",
                "apiVersion argoproj.io/v1 does not have this kind: use argoproj.io/v1alpha1",
            ),
            (
                "poolbudget.dev/v1",
                "DbConnectionBudget",
                "apiVersion poolbudget.dev/v1 does not have this kind: use poolbudget.dev/v1beta1",
            ),
            (
                "poolbudget.dev/v1beta1",
                "DBConnectionBudget",
                "there is no kind DBConnectionBudget in poolbudget.dev/v1beta1: did you mean DbConnectionBudget of poolbudget.dev/v1beta1?",
            ),
            (
                "apps/v1",
                "deployment",
                "there is no kind deployment in apps/v1: did you mean Deployment of apps/v1?",
            ),
            (
                "poolbudget.dev/v1beta1",
                "Budget",
                "there is no kind Budget in poolbudget.dev/v1beta1; its kinds are: DbConnectionBudget",
            ),
            ("batch/v1", "Cron", "there is no kind Cron in batch/v1; its kinds are: Job, CronJob"),
        ] {
            assert_eq!(told(version, kind).as_deref(), Some(sentence), "{version} {kind}");
        }
    }

    #[test]
    fn what_is_served_and_what_others_serve_is_not_told() {
        for known in &KINDS {
            assert_eq!(told(known.api_version, known.name), None, "{} {}", known.api_version, known.name);
        }
        for (version, kind) in [
            ("v1", "ConfigMap"),
            ("apps/v1", "ControllerRevision"),
            ("apps/v1", "DeploymentList"),
            ("example.com/v1", "Deployment"),
            ("serving.knative.dev/v1", "Service"),
            ("keda.sh/v1alpha1", "ScaledJob"),
            ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler"),
            ("argoproj.io/v1alpha1", "Application"),
        ] {
            assert_eq!(told(version, kind), None, "{version} {kind}");
        }
    }
}
