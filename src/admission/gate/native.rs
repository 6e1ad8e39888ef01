//! The gate in Rust: what a labelled pod is created with.
//!
//! In: a pod that is to be created. Out: its scheduling gate and the env entries that read its grant, as changes; none
//! for a pod that has them. If the check has something to explain, the pod is gated but its env is left alone.

use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::POD_NAME;
use crate::admission::object::{self, Texts};
use crate::api::names;
use crate::api::patch::{self, member, place};
use crate::profile::Gets;
use crate::profile::stated::{Entry, Stated};

const ANNOTATIONS: &str = "/metadata/annotations";

/// The changes that gate a pod; empty when nothing is left to change.
pub(in crate::admission) fn changes(pod: &Value) -> Vec<PatchOperation> {
    let metadata = pod.get("metadata");
    if !object::governed(metadata) {
        return Vec::new();
    }
    let annotations = Texts::annotations(metadata);
    let mut changes = dropped_grants(annotations);
    // A pod that is created on a node cannot have a gate (the API server answers 422): the check refuses it.
    if !object::node(pod).is_empty() {
        return changes;
    }
    changes.extend(gate(pod));
    changes.extend(late_bound(pod, annotations));
    changes
}

fn gate(pod: &Value) -> Option<PatchOperation> {
    let gate = json!({"name": names::GATE});
    match pod.pointer("/spec/schedulingGates").and_then(Value::as_array).map(Vec::as_slice) {
        None | Some([]) => Some(patch::add(place("/spec/schedulingGates"), json!([gate]))),
        Some(gates) if gates.iter().any(|other| other.get("name") == gate.get("name")) => None,
        Some(_) => Some(patch::add(place("/spec/schedulingGates/-"), gate)),
    }
}

/// A template may contain grant annotations that were copied from a running pod. Only the operator gives grants.
fn dropped_grants(annotations: Texts<'_>) -> Vec<PatchOperation> {
    let brought = names::GRANT_ANNOTATIONS.into_iter().filter(|key| annotations.has(key));
    brought.map(|key| patch::remove(member(ANNOTATIONS, key))).collect()
}

/// Binds the containers that open connections. Nothing is bound where the check has something to refuse.
fn late_bound(pod: &Value, annotations: Texts<'_>) -> Vec<PatchOperation> {
    let notes = object::notes(pod);
    let stated = object::stated(pod, &notes, true);
    if !stated.is_in_bounds() {
        return Vec::new();
    }
    let (entries, mut named) = (stated.entries(), stated.containers());
    if entries.is_empty() || named.len() > names::MAX_CONTAINERS {
        return Vec::new();
    }
    let several = named.len() > 1;
    let (mut changes, mut replaced) = (Vec::new(), Vec::new());
    for path in [object::CONTAINERS, object::INIT_CONTAINERS] {
        let containers = pod.pointer(path).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let Some(name) = container.get("name").and_then(Value::as_str) else { continue };
            // Each name once: the API server refuses a pod with duplicate names.
            let Some(found) = named.iter().position(|wanted| *wanted == name) else { continue };
            named.swap_remove(found);
            let env = container.get("env").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let prefix = if several { format!("{name}/") } else { String::new() };
            replaced.extend(entries.iter().filter_map(|entry| remembered(entry, env, &prefix)));
            let bound = bound_env(&stated, &entries, container, env);
            if bound != env {
                changes.push(patch::add(place(&format!("{path}/{index}/env")), bound));
            }
        }
    }
    let text = format!("{{{}}}", replaced.join(","));
    let members = if replaced.is_empty() { vec![] } else { vec![(names::REPLACED_ENV, text.as_str())] };
    changes.extend(object::set(ANNOTATIONS, annotations.exist(), members));
    changes
}

/// Our entries come first in the list, so that `$(DB_POOL_SIZE)` in a later entry still resolves.
fn bound_env(stated: &Stated<'_>, entries: &[Entry<'_>], container: &Value, env: &[Value]) -> Vec<Value> {
    let grant = entries.iter().map(|Entry { name, gets }| match gets {
        Gets::PoolSize => of_annotation(name, names::POOL_SIZE),
        Gets::MaxOverflow => of_annotation(name, names::MAX_OVERFLOW),
        Gets::Text(text) => json!({"name": name, "value": text}),
    });
    let companions = stated.companions().into_iter();
    let missing = companions.filter(|(name, _)| !env.iter().any(|entry| is_named(entry, name)));
    let beside = missing.map(|(name, value)| json!({"name": name, "value": value}));
    let others = env.iter().filter(|entry| !entries.iter().any(|ours| is_named(entry, ours.name)));
    let named = name_of_connections(entries, container, env);
    grant.chain(beside).chain(named).chain(others.cloned()).collect()
}

/// A container's connections have the name of its pod, unless it names them itself. What `envFrom` brings cannot be seen,
/// and an entry would win over it.
fn name_of_connections(entries: &[Entry<'_>], container: &Value, env: &[Value]) -> Option<Value> {
    let name = names::APP_NAME_ENV;
    let takes_in = container.get("envFrom").and_then(Value::as_array).is_some_and(|from| !from.is_empty());
    let is_there =
        env.iter().any(|entry| is_named(entry, name)) || entries.iter().any(|ours| ours.name == name);
    (!takes_in && !is_there).then(|| of_field(name, POD_NAME))
}

fn of_annotation(name: &str, annotation: &str) -> Value {
    of_field(name, &format!("metadata.annotations['{annotation}']"))
}

fn of_field(name: &str, path: &str) -> Value {
    // The API server fills in the version of a field path before it asks.
    json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}})
}

fn is_named(entry: &Value, name: &str) -> bool {
    entry.get("name").and_then(Value::as_str) == Some(name)
}

/// The literal that an entry replaces, as a member of a JSON object. Of entries with the same name the last one counts,
/// as it does for the kubelet. A literal that already equals our text is left out.
fn remembered(entry: &Entry<'_>, env: &[Value], prefix: &str) -> Option<String> {
    let last = env.iter().rev().find(|theirs| is_named(theirs, entry.name))?;
    let value = last.get("value")?.as_str()?;
    let stands = matches!(entry.gets, Gets::Text(text) if text == value);
    (!stands && says_something(value)).then(|| format!("\"{prefix}{}\":{}", entry.name, Value::from(value)))
}

/// Printable and short enough for an annotation; the variables hold numbers, so any other value is of no use.
fn says_something(value: &str) -> bool {
    let printable = |char: char| char > '\u{1f}' && char != '\u{7f}';
    (1..=128).contains(&value.chars().count()) && value.chars().all(printable)
}
