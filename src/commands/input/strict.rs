//! What an API server, or `kubectl apply` before it, would refuse in a manifest.
//!
//! In: an object that concerns a budget. Out: the first field that is wrong, what it must be and what it is. The types
//! of the Kubernetes API decode whole objects, so no field is read by rules of its own. null passes wherever a field is
//! optional, and so does a whole number written with a fraction of 0. An unknown field is an error if it looks like a
//! misspelling; otherwise it is only noted, since a newer Kubernetes may know it.

use std::fmt::Write;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::fields::{Fields, Unknown};
use super::{NAMED, Object, kinds, sense};
use crate::cluster::template::shortened;

/// The most characters of a value that a message quotes.
pub(super) const QUOTED: usize = 80;

/// Decodes a loosened value; an error shows the value as it is in the original.
pub(super) type Decode = fn(value: &Value, original: &Value) -> Option<String>;

impl Object {
    /// Why the API server would refuse it; none if the server accepts it, and for kinds that concern no budget.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let Some(kind) = kinds::kind(self) else { return kinds::unserved(self) };
        let mut value = self.value.clone();
        loosen(&mut value);
        if let Some(why) = (kind.decode)(&value, &self.value) {
            return Some(why);
        }
        let fields = self.fields(&value);
        let misspelt = fields.unknown.iter().filter(|field| field.meant.is_some());
        told(misspelt).or(fields.missing).or_else(|| sense::senseless(self, &value))
    }

    /// What the API server may accept but is probably not meant.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut value = self.value.clone();
        loosen(&mut value);
        let fields = self.fields(&value);
        let strange = told(fields.unknown.iter().filter(|field| field.meant.is_none()));
        let strange = strange
            .map(|what| format!("{what}; kubectl apply refuses fields that its API server does not know"));
        let label = self.idle_label();
        strange.into_iter().chain(sense::unread(self)).chain(label).collect()
    }

    fn fields(&self, value: &Value) -> Fields {
        let mut fields = Fields::default();
        let Some(kind) = kinds::kind(self) else { return fields };
        if let Some(schema) = &kind.whole {
            fields.look(value, schema, "");
        }
        for (way, schema) in kind.parts {
            let part = way.iter().try_fold(value, |value, key| value.get(key));
            if let Some(part) = part {
                fields.look(part, schema, &way.join("."));
            }
        }
        fields
    }

    /// Writes it as the API server reads it: null fields are left out, as charts and the API server's own YAML have
    /// them, and a whole number written with a fraction loses the fraction.
    pub fn loosen(&mut self) {
        loosen(&mut self.value);
    }
}

/// The unknown fields, the first few by name; none if there are none.
fn told<'a>(fields: impl Iterator<Item = &'a Unknown> + Clone) -> Option<String> {
    let one = |field: &Unknown| {
        let meant = field.meant.as_ref().map_or_else(String::new, |meant| format!(", did you mean {meant}?"));
        format!("{}: there is no such field{meant}", shortened(&field.way, 2 * QUOTED))
    };
    let mut text = fields.clone().take(NAMED).map(one).collect::<Vec<_>>().join("; ");
    let more = fields.count().saturating_sub(NAMED);
    if more > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "; and {more} more");
    }
    (!text.is_empty()).then_some(text)
}

pub(super) fn decode<K: DeserializeOwned>(value: &Value, original: &Value) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, K>(value).err()?;
    let expected = error.inner().to_string();
    let expected = expected.rsplit_once("expected ").map_or("something else", |(_, what)| what);
    let found = at(original, error.path());
    Some(format!("{} must be {}; it is {}", error.path(), right(expected, found), shown(found, expected)))
}

/// The value at a path; none if there is none.
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
            "a list, in which each item begins with \"- \"".to_owned()
        }
        "a sequence" => "a list".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "IntOrString" => "a whole number or a string".to_owned(),
        "Quantity" => "a quantity, such as 500m or 1Gi".to_owned(),
        "i32" | "i64" | "u32" | "a 32-bit integer" => "a whole number".to_owned(),
        what if what.starts_with("struct ") || what.starts_with("a map") => "a map of fields".to_owned(),
        what if what.chars().next().is_some_and(char::is_uppercase) => "a map of fields".to_owned(),
        what => what.to_owned(),
    }
}

/// What is there, and the correct spelling if a pair of quotes is enough.
pub(super) fn shown(found: Option<&Value>, expected: &str) -> String {
    let quotes = |text: String| {
        if expected == "a string" { format!("{text}; put it in quotes") } else { text }
    };
    match found {
        None => "something else".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(truth)) => quotes(format!("the boolean {truth}")),
        Some(Value::Number(number)) => quotes(format!("the number {number}")),
        Some(Value::String(text)) => format!("the string {:?}", shortened(text, QUOTED)),
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
            // In a map of strings, null is the empty string.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::input::Place;

    fn found(value: Value) -> Option<String> {
        Object { place: Place { origin: String::new(), number: 1, line: 1 }, value }.fault()
    }

    fn deployment(mut spec: Value, mut pod: Value) -> Value {
        spec["selector"] = json!({"matchLabels": {"app": "a"}});
        if pod.get("containers").is_none() {
            pod["containers"] = json!([{"name": "app"}]);
        }
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
            "x-unknown": [1, {"a": null}], "paused": null});
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
        for version in ["autoscaling/v1", "autoscaling/v2"] {
            let spec = json!({"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "a"},
                "minReplicas": 5});
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
            (container(json!({"env": {"A": "b"}})), format!("{env} must be a list, in which each item begins with \"- \"; it is a map")),
            (container(json!({"env": [null]})), format!("{env}[0] must be a map of fields; it is null")),
            (container(json!({"env": [{"name": "A", "value": 7}]})), format!("{env}[0].value must be a string; it is the number 7; put it in quotes")),
            (container(json!({"env": [{"name": "A", "value": true}]})), format!("{env}[0].value must be a string; it is the boolean true; put it in quotes")),
            (container(json!({"env": [{"value": "7"}]})), format!("{env}[0].name is missing")),
            (container(json!({"env": "A=b"})), format!("{env} must be a list; it is the string \"A=b\"")),
            (container(json!({"command": "run"})), "spec.template.spec.containers[0].command must be a list; it is the string \"run\"".into()),
            (container(json!({"args": ["-w", 4]})), "spec.template.spec.containers[0].args[1] must be a string; it is the number 4; put it in quotes".into()),
            (container(json!({"tty": "yes"})), "spec.template.spec.containers[0].tty must be true or false; it is the string \"yes\"".into()),
            (found(deployment(json!({"replicas": "3"}), json!({}))), "spec.replicas must be a whole number; it is the string \"3\"".into()),
            (found(deployment(json!({"replicas": 1.5}), json!({}))), "spec.replicas must be a whole number; it is the number 1.5".into()),
            (found(deployment(json!({"replicas": -1}), json!({}))), "spec.replicas must not be below 0; it is the number -1".into()),
            (found(deployment(json!({}), json!({"containers": {"app": {}}}))), "spec.template.spec.containers must be a list, in which each item begins with \"- \"; it is a map".into()),
            (found(deployment(json!({}), json!({"containers": [null]}))), "spec.template.spec.containers[0] must be a map of fields; it is null".into()),
            (found(deployment(json!({}), json!({"schedulingGates": {"name": "a"}}))), "spec.template.spec.schedulingGates must be a list, in which each item begins with \"- \"; it is a map".into()),
            (found(deployment(json!({"strategy": {"type": "Rolling"}}), json!({}))), "spec.strategy.type must be one of RollingUpdate, Recreate; it is the string \"Rolling\"".into()),
            (found(deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": "1"}}}), json!({}))), "spec.strategy.rollingUpdate.maxSurge must be a whole number or a percentage such as 25%; it is the string \"1\"".into()),
            (found(deployment(json!({"strategy": {"rollingUpdate": {"maxSurge": true}}}), json!({}))), "spec.strategy.rollingUpdate.maxSurge must be a whole number or a string; it is the boolean true".into()),
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
            "poolbudget.dev/v1beta1 DbConnectionBudget",
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
                "metadata.labels.poolbudget.dev/budget must be a string; it is the number 1; put it in quotes"
            );
            assert!(of("annotations", json!(true)).is_some(), "{kind}");
            assert!(
                of("labels", json!("main"))
                    .is_none_or(|told| told.ends_with("is missing") || told.contains("is missing,")),
                "{kind}"
            );
        }
    }
}
