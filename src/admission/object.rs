//! Reading objects of any kind: labels, annotations, containers.
//!
//! In: JSON as the API server sends it. Out: borrowed text. A field that is absent, null or of another type counts as
//! missing: the API server itself refuses it, with its own message, before or after us.

use json_patch::PatchOperation;
use serde_json::Value;

use crate::api::keys::Map;
use crate::api::names;
use crate::api::patch::{self, member, place};
use crate::profile::stated::{Notes, Stated};

pub(super) const CONTAINERS: &str = "/spec/containers";
pub(super) const INIT_CONTAINERS: &str = "/spec/initContainers";

/// One of the two string maps in an object's metadata.
#[derive(Clone, Copy, Default)]
pub(super) struct Texts<'a>(Option<&'a Value>);

impl<'a> Texts<'a> {
    pub(super) fn labels(metadata: Option<&'a Value>) -> Self {
        Self(metadata.and_then(|metadata| metadata.get("labels")))
    }

    pub(super) fn annotations(metadata: Option<&'a Value>) -> Self {
        Self(metadata.and_then(|metadata| metadata.get("annotations")))
    }

    pub(super) fn of(self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }

    pub(super) fn has(self, key: &str) -> bool {
        self.of(key).is_some()
    }

    /// Whether the map exists at all: a member can only be added to an existing one.
    pub(super) fn exist(self) -> bool {
        self.0.is_some_and(Value::is_object)
    }
}

/// Whether the metadata has the budget label.
pub(super) fn governed(metadata: Option<&Value>) -> bool {
    Texts::labels(metadata).has(names::BUDGET)
}

/// The annotations of a pod or a pod template.
pub(super) fn notes(pod: &Value) -> Notes {
    let notes = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    notes.into_iter().flatten().filter_map(text).collect()
}

/// What a pod (or a pod template, if not `is_pod`) states by its label, its annotations and its containers.
pub(super) fn stated<'a>(pod: &'a Value, notes: &'a Notes, is_pod: bool) -> Stated<'a> {
    let budget = Texts::labels(pod.get("metadata")).of(names::BUDGET).unwrap_or_default();
    let [regular, init] = containers(pod);
    let unknown = unknown(pod.get("metadata"));
    Stated { budget, notes, regular, init, node: node(pod), unknown, sets: sets(pod), is_pod }
}

/// Unknown keys of ours in the metadata.
pub(super) fn unknown(metadata: Option<&Value>) -> Vec<&str> {
    let annotations = unknown_in(Map::Annotations, metadata);
    unknown_in(Map::Labels, metadata).chain(annotations).collect()
}

/// Unknown keys of ours in one of the two maps of the metadata.
pub(super) fn unknown_in(map: Map, metadata: Option<&Value>) -> impl Iterator<Item = &str> {
    let name = if map == Map::Labels { "labels" } else { "annotations" };
    let keys = metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_object);
    keys.into_iter().flat_map(|keys| keys.keys()).map(String::as_str).filter(move |key| map.is_unknown(key))
}

/// The node that a pod or a pod template names; empty for none.
pub(super) fn node(pod: &Value) -> &str {
    pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default()
}

/// The names of the containers of a pod or a pod template, and of its init containers.
pub(super) fn containers(pod: &Value) -> [Vec<&str>; 2] {
    [CONTAINERS, INIT_CONTAINERS].map(|path| {
        let containers = pod.pointer(path).and_then(Value::as_array);
        let name = |container| Value::get(container, "name").and_then(Value::as_str).unwrap_or_default();
        containers.into_iter().flatten().map(name).collect()
    })
}

/// The env entries of its containers, as pairs of container name and entry name.
pub(super) fn sets(pod: &Value) -> Vec<(&str, &str)> {
    let containers = [CONTAINERS, INIT_CONTAINERS].map(|path| pod.pointer(path).and_then(Value::as_array));
    let name = |object| Value::get(object, "name").and_then(Value::as_str).unwrap_or_default();
    let entries = |container| {
        let env = Value::get(container, "env").and_then(Value::as_array);
        env.into_iter().flatten().map(move |entry| (name(container), name(entry)))
    };
    containers.into_iter().flatten().flatten().flat_map(entries).collect()
}

/// Adds members to a map of texts, and first the map itself if it does not exist.
pub(super) fn set(map: &str, exists: bool, members: Vec<(&str, &str)>) -> Vec<PatchOperation> {
    if members.is_empty() {
        return Vec::new();
    }
    let map_itself = (!exists).then(|| patch::add(place(map), serde_json::Map::new()));
    let members = members.into_iter().map(|(key, text)| patch::add(member(map, key), text));
    map_itself.into_iter().chain(members).collect()
}
