//! The same changes as a patch: the manifests stay as they are, and kustomize adds what they need.
//!
//! In: an object before and after. Out: a JSON patch that turns the one into the other, and fails if the object has
//! changed in the meantime; all of the patches as a kustomize Component.

use json_patch::{Patch, diff};
use serde_json::{Value, json};

use crate::commands::input::Object;

/// A patch of one object and its target, as `patches` of kustomize expects it.
pub(super) fn of(old: &Object, new: &Object, template: &[&str]) -> Result<Value, String> {
    if old.name().is_empty() {
        return Err(format!(
            "{} has no name, but kustomize needs one to find the target of a patch: use inject without --patch",
            old.key()
        ));
    }
    let path: String = template.iter().flat_map(|part| ["/", part]).collect();
    let at = |object: &Object| object.value.pointer(&path).cloned().unwrap_or(Value::Null);
    let operations = operations(&path, &at(old), &at(new));
    let mut patched = old.value.clone();
    let patch: Patch = serde_json::from_value(json!(operations)).map_err(|error| error.to_string())?;
    if json_patch::patch(&mut patched, &patch).is_err() || patched != new.value {
        return Err(format!("{} cannot be patched: use inject without --patch", old.key()));
    }
    let text = serde_yaml::to_string(&operations).map_err(|error| error.to_string())?;
    Ok(json!({"target": target(old), "patch": text}))
}

/// A kustomize Component.
pub(super) fn component(patches: &[Value]) -> String {
    let component =
        json!({"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": patches});
    serde_yaml::to_string(&component).unwrap_or_else(|_| component.to_string())
}

fn target(object: &Object) -> Value {
    let version = object.api_version().rsplit('/').next().unwrap_or_default();
    let fields = [
        ("group", object.group()),
        ("version", version),
        ("kind", object.kind()),
        ("name", object.name()),
        ("namespace", object.namespace()),
    ];
    let stated = fields.into_iter().filter(|(_, text)| !text.is_empty());
    stated.map(|(field, text)| (field.to_owned(), json!(text))).collect::<serde_json::Map<_, _>>().into()
}

/// The operations on a pod template.
fn operations(path: &str, old: &Value, new: &Value) -> Vec<Value> {
    let part = |at: &str| (old.pointer(at).cloned(), new.pointer(at).cloned());
    let mut operations = Vec::new();
    for at in ["/metadata", "/spec/schedulingGates"] {
        match part(at) {
            (Some(old), Some(new)) => {
                let found = diff(&old, &new).0.into_iter().map(|operation| json!(operation));
                operations.extend(found.map(|operation| moved(operation, &format!("{path}{at}"))));
            }
            (None, Some(new)) => {
                operations.push(json!({"op": "add", "path": format!("{path}{at}"), "value": new}));
            }
            _ => {}
        }
    }
    for list in ["initContainers", "containers"] {
        let (old, new) = part(&format!("/spec/{list}"));
        let (old, new) = (entries(old.as_ref()), entries(new.as_ref()));
        for (index, (old, new)) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
            let container = format!("{path}/spec/{list}/{index}");
            operations.push(json!({"op": "test", "path": format!("{container}/name"), "value": old["name"]}));
            operations.extend(env(&format!("{container}/env"), old, new));
        }
    }
    operations
}

/// What is removed from the env of a container, each entry tested first, and what is added in its place.
fn env(path: &str, old: &Value, new: &Value) -> Vec<Value> {
    let new_entries = entries(new.get("env"));
    if old.get("env").is_none() {
        return vec![json!({"op": "add", "path": path, "value": new_entries})];
    }
    let mut left: Vec<&Value> = entries(old.get("env")).iter().collect();
    let mut operations = Vec::new();
    for index in (0..left.len()).rev() {
        let Some(entry) = left.get(index).filter(|entry| !new_entries.contains(entry)) else { continue };
        let place = format!("{path}/{index}");
        operations.push(json!({"op": "test", "path": format!("{place}/name"), "value": entry["name"]}));
        operations.push(json!({"op": "remove", "path": place}));
        left.remove(index);
    }
    for (index, entry) in new_entries.iter().enumerate() {
        if left.get(index) != Some(&entry) {
            operations.push(json!({"op": "add", "path": format!("{path}/{index}"), "value": entry}));
            left.insert(index.min(left.len()), entry);
        }
    }
    operations
}

fn entries(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The same operation at a deeper path.
fn moved(mut operation: Value, path: &str) -> Value {
    for field in ["path", "from"] {
        if let Some(Value::String(place)) = operation.get_mut(field) {
            place.insert_str(0, path);
        }
    }
    operation
}
