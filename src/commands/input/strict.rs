//! What the API server would refuse in a manifest because it cannot be decoded, or because a field that decides over numbers
//! of pods says nothing that there is.
//!
//! In: an object that concerns a budget. Out: the first field that is wrong, what it must be and what it is. Objects are
//! decoded by the types of the Kubernetes API, as a whole, so that no field is read by rules of its own. Forbidden here: to
//! refuse what the API server takes. Fields that nobody knows pass, as they do there; so does null wherever something may
//! be left out, and a number without a fraction that is written with one.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::{v1, v2};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, PodTemplate, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::Object;
use crate::api::DbConnectionBudget;
use crate::cluster::autoscaler::TargetView;
use crate::cluster::template::shortened;
use crate::cluster::workload::rollout::RolloutStrategyView;

/// The most characters of a value that a message quotes.
const QUOTED: usize = 80;

/// An Argo Rollout, whose types the Kubernetes API does not have.
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

/// A budget, but for its spec, which is held against the schema of the resource.
#[derive(Deserialize)]
#[expect(dead_code, reason = "it is only decoded")]
struct Budget {
    metadata: Option<ObjectMeta>,
}

impl Object {
    /// Why the API server would refuse it; none where it takes it, and of kinds that concern no budget.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        fault(self)
    }

    /// Writes it as the API server reads it: what is null is left out, as charts and the API server's own YAML have it, and
    /// a number without a fraction is written without one.
    pub fn loosen(&mut self) {
        loosen(&mut self.value);
    }
}

fn fault(object: &Object) -> Option<String> {
    let decode = match (object.group(), object.kind()) {
        ("apps", "Deployment") => decode_as::<Deployment>,
        ("apps", "StatefulSet") => decode_as::<StatefulSet>,
        ("apps", "DaemonSet") => decode_as::<DaemonSet>,
        ("apps", "ReplicaSet") => decode_as::<ReplicaSet>,
        ("batch", "Job") => decode_as::<Job>,
        ("batch", "CronJob") => decode_as::<CronJob>,
        ("", "Pod") => decode_as::<Pod>,
        ("", "PodTemplate") => decode_as::<PodTemplate>,
        ("autoscaling", "HorizontalPodAutoscaler") if object.api_version() == "autoscaling/v1" => {
            decode_as::<v1::HorizontalPodAutoscaler>
        }
        ("autoscaling", "HorizontalPodAutoscaler") => decode_as::<v2::HorizontalPodAutoscaler>,
        ("argoproj.io", "Rollout") => decode::<Rollout>,
        ("keda.sh", "ScaledObject") => decode::<ScaledObject>,
        (group, "DbConnectionBudget") if group == DbConnectionBudget::group(&()) => decode::<Budget>,
        _ => return None,
    };
    let mut value = object.value.clone();
    loosen(&mut value);
    decode(&mut value, &object.value).or_else(|| senseless(object, &value))
}

/// Decodes a kind of the Kubernetes API by its type, of whatever version it is.
fn decode_as<K>(value: &mut Value, original: &Value) -> Option<String>
where
    K: k8s_openapi::Resource + DeserializeOwned,
{
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), K::API_VERSION.into());
    }
    decode::<K>(value, original)
}

fn decode<K: DeserializeOwned>(value: &mut Value, original: &Value) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, K>(&*value).err()?;
    let expected = error.inner().to_string();
    let expected = expected.rsplit_once("expected ").map_or("something else", |(_, what)| what);
    let found = at(original, error.path());
    Some(format!("{} must be {}; it is {}", error.path(), right(expected, found), shown(found, expected)))
}

/// The value at a path; none where nothing is there.
fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get(*index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => Some(value),
    })
}

/// What must be there, in the words of a manifest.
fn right(expected: &str, found: Option<&Value>) -> String {
    match expected {
        "a sequence" if matches!(found, Some(Value::Object(_))) => {
            "a list, each entry of which begins with \"- \"".to_owned()
        }
        "a sequence" => "a list".to_owned(),
        "a string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "IntOrString" => "a whole number or a text".to_owned(),
        "Quantity" => "a quantity, such as 500m or 1Gi".to_owned(),
        "i32" | "i64" | "u32" | "a 32-bit integer" => "a whole number".to_owned(),
        what if what.starts_with("struct ") || what.starts_with("a map") => "a map of fields".to_owned(),
        what if what.chars().next().is_some_and(char::is_uppercase) => "a map of fields".to_owned(),
        what => what.to_owned(),
    }
}

/// What is there, and how it is written so that it is right, where a pair of quotes does it.
fn shown(found: Option<&Value>, expected: &str) -> String {
    let quotes = |text: String| {
        if expected == "a string" { format!("{text}; write it in quotes") } else { text }
    };
    match found {
        None => "something else".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(truth)) => quotes(format!("the boolean {truth}")),
        Some(Value::Number(number)) => quotes(format!("the number {number}")),
        Some(Value::String(text)) => format!("the text {:?}", shortened(text, QUOTED)),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::Object(_)) => "a map".to_owned(),
    }
}

/// What the API server reads as if it were written more strictly.
fn loosen(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(loosen);
        }
        Value::Array(items) => {
            // Among texts, null is the empty one.
            if items.iter().any(Value::is_string) {
                items.iter_mut().filter(|item| item.is_null()).for_each(|item| *item = "".into());
            }
            items.iter_mut().for_each(loosen);
        }
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

fn whole(number: f64) -> Option<i64> {
    format!("{number:.0}").parse().ok().filter(|_| number.fract() == 0.0)
}

/// Fields with few words, where the pods of a kind are counted by which one it is.
const WORDS: [(&str, &str, &[&str]); 8] = [
    ("Deployment", "/spec/strategy/type", &["RollingUpdate", "Recreate"]),
    ("StatefulSet", "/spec/updateStrategy/type", &["RollingUpdate", "OnDelete"]),
    ("StatefulSet", "/spec/podManagementPolicy", &["OrderedReady", "Parallel"]),
    ("DaemonSet", "/spec/updateStrategy/type", &["RollingUpdate", "OnDelete"]),
    ("CronJob", "/spec/concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    ("Job", "/spec/completionMode", &["NonIndexed", "Indexed"]),
    ("Job", "/spec/podReplacementPolicy", &["TerminatingOrFailed", "Failed"]),
    ("CronJob", "/spec/jobTemplate/spec/completionMode", &["NonIndexed", "Indexed"]),
];

/// Numbers of pods, which are none or more.
const COUNTS: [&str; 7] = [
    "/spec/replicas",
    "/spec/parallelism",
    "/spec/completions",
    "/spec/minReplicas",
    "/spec/maxReplicas",
    "/spec/jobTemplate/spec/parallelism",
    "/spec/jobTemplate/spec/completions",
];

/// Shares of a rollout: a number of pods, or a percentage.
const SHARES: [(&str, &str); 5] = [
    ("Deployment", "/spec/strategy/rollingUpdate/maxSurge"),
    ("Deployment", "/spec/strategy/rollingUpdate/maxUnavailable"),
    ("StatefulSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable"),
    ("DaemonSet", "/spec/updateStrategy/rollingUpdate/maxSurge"),
    ("DaemonSet", "/spec/updateStrategy/rollingUpdate/maxUnavailable"),
];

/// A field that can be decoded and that the API server would refuse all the same.
fn senseless(object: &Object, value: &Value) -> Option<String> {
    let field = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
    let words = WORDS.iter().filter(|(kind, ..)| *kind == object.kind()).find_map(|(_, pointer, words)| {
        let text = value.pointer(pointer)?.as_str()?;
        // What is empty gets its default.
        let unknown = !text.is_empty() && !words.contains(&text);
        let (field, found) = (field(pointer), shortened(text, QUOTED));
        unknown.then(|| format!("{field} must be one of {}; it is the text {found:?}", words.join(", ")))
    });
    let counts = || {
        COUNTS.iter().find_map(|pointer| {
            let number = value.pointer(pointer)?.as_i64().filter(|number| *number < 0)?;
            Some(format!("{} must not be below 0; it is the number {number}", field(pointer)))
        })
    };
    let shares = || {
        SHARES.iter().filter(|(kind, _)| *kind == object.kind()).find_map(|(_, pointer)| {
            let share = value.pointer(pointer)?;
            let wrong = !is_share(share);
            wrong.then(|| {
                let found = shown(Some(share), "");
                format!(
                    "{} must be a whole number or a percentage such as 25%; it is {found}",
                    field(pointer)
                )
            })
        })
    };
    words.or_else(counts).or_else(shares).or_else(|| entry_without_name(object))
}

fn is_share(share: &Value) -> bool {
    match share {
        Value::Number(number) => number.as_i64().is_none_or(|number| number >= 0),
        Value::String(text) => text
            .strip_suffix('%')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())),
        _ => true,
    }
}

/// Lists of a pod whose entries go by their names.
const NAMED: [&str; 3] = ["schedulingGates", "containers", "initContainers"];

/// An entry of a pod template that has no name, which nobody could tell from another one.
fn entry_without_name(object: &Object) -> Option<String> {
    let workload = object.workload().or_else(|| object.lends())?;
    let spec = object.template(workload)?.get("spec")?;
    let way = [workload.template, &["spec"]].concat().join(".");
    let nameless = |list: Option<&Value>, way: &str| {
        let entries = list.and_then(Value::as_array)?.iter();
        let named =
            |entry: &Value| entry.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        let place = entries.clone().position(|entry| !named(entry))?;
        Some(format!("{way}[{place}].name is missing"))
    };
    let env = |list: &str| {
        let containers = spec.get(list).and_then(Value::as_array)?;
        let of = |(place, container): (usize, &Value)| {
            nameless(container.get("env"), &format!("{way}.{list}[{place}].env"))
        };
        containers.iter().enumerate().find_map(of)
    };
    let lists = NAMED.iter().find_map(|list| nameless(spec.get(list), &format!("{way}.{list}")));
    lists.or_else(|| env("containers")).or_else(|| env("initContainers"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::input::Place;

    fn found(value: Value) -> Option<String> {
        fault(&Object { place: Place { origin: String::new(), number: 1, line: 1 }, value })
    }

    #[expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]
    fn deployment(spec: Value, pod: Value) -> Value {
        let mut spec = spec;
        spec["template"] = json!({"spec": pod});
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec})
    }

    fn container(more: Value) -> Option<String> {
        let mut container = more;
        container["name"] = json!("app");
        found(deployment(json!({}), json!({"containers": [container]})))
    }

    #[test]
    fn what_is_null_is_left_out_and_a_whole_number_has_no_fraction() {
        let mut value =
            json!({"a": null, "b": [{"c": null, "d": 1.0}], "e": {"f": null}, "g": ["h", null], "i": 1.5});
        loosen(&mut value);
        assert_eq!(value, json!({"b": [{"d": 1}], "e": {}, "g": ["h", ""], "i": 1.5}));
    }

    #[test]
    fn what_the_api_server_takes_is_taken() {
        let whole = json!({"replicas": 3.0, "strategy": {"type": "", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "x-unknown": [1, {"a": null}], "selector": null});
        let pod = json!({"containers": [{
            "name": "app", "image": null, "args": ["a", null], "x-unknown": 5,
            "resources": {"limits": {"cpu": 1, "memory": 0.5}, "requests": {"cpu": "100m"}},
            "env": [{"name": "A", "value": null}, {"name": "B"}], "ports": [{"containerPort": 80}],
            "livenessProbe": {"httpGet": {"port": "http"}}, "restartPolicy": "Always"}],
            "initContainers": null, "securityContext": {"runAsUser": 1000}});
        let mut object = deployment(whole, pod);
        object["metadata"] =
            json!({"name": "a", "creationTimestamp": null, "labels": {"a": null, "b": "c"}, "x": {}});
        object["status"] = json!({});
        assert_eq!(found(object), None);
        for version in ["autoscaling/v1", "autoscaling/v2", "autoscaling/v2beta2"] {
            let spec = json!({"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "a"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}}]});
            assert_eq!(
                found(json!({"apiVersion": version, "kind": "HorizontalPodAutoscaler", "spec": spec})),
                None,
                "{version}"
            );
        }
    }

    #[test]
    fn a_value_of_another_type_is_told_with_its_field_and_what_is_right() {
        let env = "spec.template.spec.containers[0].env";
        let cases = [
            (container(json!({"env": {"A": "b"}})), format!("{env} must be a list, each entry of which begins with \"- \"; it is a map")),
            (container(json!({"env": [null]})), format!("{env}[0] must be a map of fields; it is null")),
            (container(json!({"env": [{"name": "A", "value": 7}]})), format!("{env}[0].value must be a text; it is the number 7; write it in quotes")),
            (container(json!({"env": [{"name": "A", "value": true}]})), format!("{env}[0].value must be a text; it is the boolean true; write it in quotes")),
            (container(json!({"env": [{"value": "7"}]})), format!("{env}[0].name is missing")),
            (container(json!({"env": "A=b"})), format!("{env} must be a list; it is the text \"A=b\"")),
            (container(json!({"command": "run"})), "spec.template.spec.containers[0].command must be a list; it is the text \"run\"".into()),
            (container(json!({"args": ["-w", 4]})), "spec.template.spec.containers[0].args[1] must be a text; it is the number 4; write it in quotes".into()),
            (container(json!({"tty": "yes"})), "spec.template.spec.containers[0].tty must be true or false; it is the text \"yes\"".into()),
            (found(deployment(json!({"replicas": "3"}), json!({}))), "spec.replicas must be a whole number; it is the text \"3\"".into()),
            (found(deployment(json!({"replicas": 1.5}), json!({}))), "spec.replicas must be a whole number; it is the number 1.5".into()),
            (found(deployment(json!({"replicas": -1}), json!({}))), "spec.replicas must not be below 0; it is the number -1".into()),
            (found(deployment(json!({}), json!({"containers": {"app": {}}}))), "spec.template.spec.containers must be a list, each entry of which begins with \"- \"; it is a map".into()),
            (found(deployment(json!({}), json!({"containers": [null]}))), "spec.template.spec.containers[0] must be a map of fields; it is null".into()),
            (found(deployment(json!({}), json!({"schedulingGates": {"name": "a"}}))), "spec.template.spec.schedulingGates must be a list, each entry of which begins with \"- \"; it is a map".into()),
            (found(deployment(json!({"strategy": {"type": "Rolling"}}), json!({}))), "spec.strategy.type must be one of RollingUpdate, Recreate; it is the text \"Rolling\"".into()),
            (found(deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": "1"}}}), json!({}))), "spec.strategy.rollingUpdate.maxSurge must be a whole number or a percentage such as 25%; it is the text \"1\"".into()),
            (found(deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": true}}}), json!({}))), "spec.strategy.rollingUpdate.maxSurge must be a whole number or a text; it is the boolean true".into()),
        ];
        for (told, sentence) in cases {
            assert_eq!(told, Some(sentence));
        }
    }

    #[test]
    fn labels_and_annotations_of_every_kind_are_texts() {
        for kind in [
            "apps/v1 Deployment",
            "apps/v1 StatefulSet",
            "apps/v1 DaemonSet",
            "apps/v1 ReplicaSet",
            "batch/v1 Job",
            "batch/v1 CronJob",
            "v1 Pod",
            "v1 PodTemplate",
            "argoproj.io/v1alpha1 Rollout",
            "keda.sh/v1alpha1 ScaledObject",
            "autoscaling/v2 HorizontalPodAutoscaler",
            "poolbudget.dev/v1alpha1 DbConnectionBudget",
        ] {
            let (version, name) = kind.split_once(' ').expect("a version and a kind");
            let of = |map: &str, value: Value| {
                found(
                    json!({"apiVersion": version, "kind": name, "metadata": {"name": "a", map: {"poolbudget.dev/budget": value}}}),
                )
            };
            let told = of("labels", json!(1)).expect(kind);
            assert_eq!(
                told,
                "metadata.labels.poolbudget.dev/budget must be a text; it is the number 1; write it in quotes"
            );
            assert!(of("annotations", json!(true)).is_some(), "{kind}");
            assert_eq!(of("labels", json!("main")), None, "{kind}");
        }
    }
}
