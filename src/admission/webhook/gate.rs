//! The gate: what a labelled pod is born with. The twin of the policy in `admission::gate`.
//!
//! In: a pod that is to be created. Out: its scheduling gate and the env entries that read its grant, as
//! changes; none for a pod that has them. What the check is to explain is gated, its env is left alone.

use serde_json::{Value, json};

use super::check;
use super::object::{self, Texts};
use super::review::Change;
use crate::api::names;

const ANNOTATIONS: &str = "/metadata/annotations";

/// The changes that gate a pod; empty when there is nothing left to change.
pub(super) fn changes(pod: &Value) -> Vec<Change> {
    let metadata = pod.get("metadata");
    if !object::governed(metadata) {
        return Vec::new();
    }
    let annotations = Texts::annotations(metadata);
    let mut changes = dropped_grants(annotations);
    // A pod that is born on a node cannot bear a gate (the API server answers 422): it is foreign.
    if pod.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty()) {
        return changes;
    }
    changes.extend(gate(pod));
    if let Ok(app) = check::app(annotations, &object::container_names(pod)) {
        changes.extend(late_bound(pod, app.container, app.knobs, annotations));
    }
    changes
}

fn gate(pod: &Value) -> Option<Change> {
    let gate = json!({"name": names::GATE});
    match pod.pointer("/spec/schedulingGates").and_then(Value::as_array).map(Vec::as_slice) {
        None | Some([]) => Some(Change::add("/spec/schedulingGates".to_owned(), json!([gate]))),
        Some(gates) if gates.iter().any(|other| other.get("name") == gate.get("name")) => None,
        Some(_) => Some(Change::add("/spec/schedulingGates/-".to_owned(), gate)),
    }
}

/// A template may bring grant annotations along, copied from a running pod; a grant is given, not brought.
fn dropped_grants(annotations: Texts<'_>) -> Vec<Change> {
    let brought = names::GRANT_ANNOTATIONS.into_iter().filter(|key| annotations.has(key));
    brought.map(|key| Change::remove(object::member(ANNOTATIONS, key))).collect()
}

/// The two entries stand first in the list, so that `$(DB_POOL_SIZE)` in a later entry still resolves.
fn late_bound(pod: &Value, container: usize, knobs: [&str; 2], annotations: Texts<'_>) -> Vec<Change> {
    let path = format!("/spec/containers/{container}/env");
    let env = pod.pointer(&path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let [size, overflow] = knobs;
    let mut bound = vec![entry(size, names::POOL_SIZE), entry(overflow, names::MAX_OVERFLOW)];
    bound.extend(env.iter().filter(|entry| knobs.iter().all(|knob| !is_named(entry, knob))).cloned());
    if bound == env {
        return Vec::new();
    }
    let mut changes = remembered(env, knobs, annotations);
    changes.push(Change::add(path, Value::Array(bound)));
    changes
}

fn entry(name: &str, annotation: &str) -> Value {
    let path = format!("metadata.annotations['{annotation}']");
    // The API server fills the version of a field's path in before it asks.
    json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
}

fn is_named(entry: &Value, name: &str) -> bool {
    entry.get("name").and_then(Value::as_str) == Some(name)
}

/// The literals that are replaced, as JSON in an annotation, which stays as it is when there are none. Of
/// entries with the same name the last one counts, as it does for the kubelet.
fn remembered(env: &[Value], knobs: [&str; 2], annotations: Texts<'_>) -> Vec<Change> {
    let literal = |knob: &str| {
        let last = env.iter().rev().find(|entry| is_named(entry, knob))?;
        let value = last.get("value")?.as_str()?;
        says_something(value).then(|| format!("\"{knob}\":{}", Value::from(value)))
    };
    let replaced: Vec<String> = knobs.into_iter().filter_map(literal).collect();
    let text = format!("{{{}}}", replaced.join(","));
    let members = if replaced.is_empty() { vec![] } else { vec![(names::REPLACED_ENV, text.as_str())] };
    object::set(ANNOTATIONS, annotations.exist(), members)
}

/// Printable and short enough for an annotation; the variables hold numbers, anything else tells nobody.
fn says_something(value: &str) -> bool {
    let printable = |char: char| char > '\u{1f}' && char != '\u{7f}';
    (1..=128).contains(&value.chars().count()) && value.chars().all(printable)
}
