//! What mode Rollout writes into a workload, and how it is taken back.
//!
//! In: a workload as it is stored, whole; the values that its app should read. Out: one [`Write`], made for exactly the
//! version that was read. Forbidden here: deciding whether to write.
//!
//! What stood there before is kept in an annotation of the workload, in the same write: it is all the memory there is, so
//! any leader, and `poolbudget release`, can put it back. The annotation is not in the template, so that it makes no rollout.
//! Values go in by server-side apply, except where an entry reads another source: the API server merges both into an
//! entry with a value *and* a source and refuses it, so that entry is replaced as a whole. They are put back by a JSON
//! patch, because giving an applied field up would leave an empty value behind.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::template::AppFacts;
use super::workload::{TemplateSpecView, TemplateView};
use crate::api::WorkloadKind;
use crate::api::names::{ORIGINAL_ENV, ROLLOUT_MANAGER};
use crate::budget::amount::Connections;
use crate::budget::split::Split;
use crate::profile::Gets;
use crate::profile::stated::Stated;

const VERSION: &str = "/metadata/resourceVersion";
const FIELDS: &str = "/metadata/managedFields";
/// Where a workload keeps what its pods are made of.
const POD: &str = "/spec/template/spec";
/// The lists of containers in it.
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// The annotation: what was written, and what stood there.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// The budget that wrote.
    pub budget: String,
    /// When it was written last.
    pub at: Time,
    /// How often somebody else has taken the values back, within an hour of each write.
    #[serde(default)]
    pub taken_back: u32,
    /// Who did it last, as far as the API server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What was written, by container and variable.
    pub env: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// One variable of a [`Note`].
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was written.
    pub written: String,
    /// The entry that stood there, without its name; none where there was none.
    pub original: Option<Map<String, Value>>,
}

/// What was written into a workload, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// What was written.
    pub note: Note,
    /// Who has the values now.
    pub values: Kept,
}

/// Who has the values that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They stand as they were written.
    Ours,
    /// Somebody has taken at least one of them away, and put none in its place.
    Removed,
    /// Somebody has put others in their place.
    Replaced,
}

impl Rewritten {
    /// Reads a workload. None where nothing was written that can be told.
    #[must_use]
    pub fn read(meta: &ObjectMeta, pods: &TemplateSpecView) -> Option<Self> {
        let note: Note = serde_json::from_str(meta.annotations.as_ref()?.get(ORIGINAL_ENV)?).ok()?;
        let kept = |container: &String, name: &String, entry: &Entry| {
            let mut all = pods.init_containers.iter().chain(&pods.containers);
            let container = all.find(|known| known.name == *container);
            match container.and_then(|container| container.env.iter().rfind(|var| var.name == *name)) {
                None => Kept::Removed,
                Some(var) if var.value_from.is_none() && var.value.as_ref() == Some(&entry.written) => {
                    Kept::Ours
                }
                Some(_) => Kept::Replaced,
            }
        };
        let all = note
            .env
            .iter()
            .flat_map(|(container, env)| env.iter().map(move |(name, entry)| kept(container, name, entry)));
        let values = all.fold(Kept::Ours, |sum, one| match (sum, one) {
            (Kept::Replaced, _) | (_, Kept::Replaced) => Kept::Replaced,
            (Kept::Removed, _) | (_, Kept::Removed) => Kept::Removed,
            (Kept::Ours, Kept::Ours) => Kept::Ours,
        });
        Some(Self { note, values })
    }
}

/// The values that an app is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// Its containers.
    pub containers: Vec<String>,
    /// Names and values, the same in each, in the order in which they are added.
    pub env: Vec<(String, String)>,
}

/// Kinds whose templates are written: those that replace their pods by themselves when their template changes.
pub const WRITTEN: [WorkloadKind; 3] =
    [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet];

/// The values for instances of this size. None where `object` does not say which variables its app reads, or where none
/// could tell it a size.
#[must_use]
pub fn values(object: &Value, size: Connections, ratio: u32) -> Option<Values> {
    let template: TemplateView = serde_json::from_value(object.pointer("/spec/template")?.clone()).ok()?;
    let empty = BTreeMap::new();
    let stated = Stated {
        budget: "",
        notes: template.metadata.annotations.as_ref().unwrap_or(&empty),
        regular: template.spec.containers.iter().map(|container| container.name.as_str()).collect(),
        init: template.spec.init_containers.iter().map(|container| container.name.as_str()).collect(),
        node: "",
        unknown: Vec::new(),
        sets: Vec::new(),
        is_pod: false,
    };
    let (init, regular) = (&template.spec.init_containers, &template.spec.containers);
    let app = AppFacts::read(&template.metadata.labels, &template.metadata.annotations, init, regular);
    let split = Split::of(size, ratio, app.knobs());
    let value = |gets| match gets {
        Gets::PoolSize => split.pool_size.to_string(),
        Gets::MaxOverflow => split.max_overflow.to_string(),
        Gets::Text(text) => text.to_owned(),
    };
    let env: Vec<(String, String)> =
        stated.entries().iter().map(|entry| (entry.name.to_owned(), value(entry.gets))).collect();
    let containers = stated.containers().into_iter().map(ToOwned::to_owned).collect();
    (!env.is_empty()).then_some(Values { containers, env })
}

/// The version of an object as a number.
#[must_use]
pub fn version(object: &Value) -> u64 {
    object.pointer(VERSION).and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Who writes, and what is to be remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The budget.
    pub budget: String,
    /// The time.
    pub now: Timestamp,
    /// How often the values were taken back by now.
    pub taken_back: u32,
}

/// A write that is good for one version of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Server-side apply.
    Apply(Value),
    /// A JSON patch.
    Patch(Value),
}

impl Note {
    /// Whether it is about the variables that these values are for.
    #[must_use]
    pub fn is_about(&self, values: &Values) -> bool {
        let names = |env: &BTreeMap<String, Entry>| {
            env.len() == values.env.len() && values.env.iter().all(|(name, _)| env.contains_key(name))
        };
        self.env.len() == values.containers.len()
            && values.containers.iter().all(|container| self.env.get(container).is_some_and(names))
    }
}

/// What may be written to `object`, a workload as it is stored. None where one of the containers is not there.
#[must_use]
pub fn write(object: &Value, values: &Values, author: &Author) -> Option<Write> {
    let places: Vec<Place<'_>> =
        values.containers.iter().map(|name| place(object, name)).collect::<Option<_>>()?;
    let text = serde_json::to_string(&note(object, &places, values, author)).ok()?;
    // Of other groups it is not known whether their containers are merged by name.
    let merges = object["apiVersion"] == "apps/v1" && places.iter().all(|place| place.merges(values));
    Some(if merges { apply(object, &places, values, &text) } else { replace(object, &places, values, &text) })
}

/// What is remembered: of a value that is still ours, what stood there before it; else what stands there now.
fn note(object: &Value, places: &[Place<'_>], values: &Values, author: &Author) -> Note {
    let before = noted(object).filter(|note| note.is_about(values));
    let entry = |place: &Place<'_>, (name, value): &(String, String)| {
        let now = effective(place.env, name).map(|(_, entry)| entry);
        let old = before.as_ref().and_then(|note| note.env.get(place.container)?.get(name));
        let original = match old {
            Some(old) if now.is_some_and(|now| is_literal(now, &old.written)) => old.original.clone(),
            _ => now.and_then(Value::as_object).cloned().map(|mut entry| {
                entry.remove("name");
                entry
            }),
        };
        (name.clone(), Entry { written: value.clone(), original })
    };
    let by = (author.taken_back > 0).then(|| {
        let named = places
            .iter()
            .find_map(|place| values.env.iter().find_map(|(name, _)| owner(object, place, name)));
        named.or_else(|| before.as_ref().and_then(|note| note.by.clone()))
    });
    let env = |place: &Place<'_>| values.env.iter().map(|pair| entry(place, pair)).collect();
    Note {
        budget: author.budget.clone(),
        at: Time(author.now),
        taken_back: author.taken_back,
        by: by.flatten(),
        env: places.iter().map(|place| (place.container.to_owned(), env(place))).collect(),
    }
}

fn apply(object: &Value, places: &[Place<'_>], values: &Values, note: &str) -> Write {
    let env: Vec<Value> =
        values.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut lists = Map::new();
    for place in places {
        let list = lists.entry(place.list).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!({"name": place.container, "env": env}));
        }
    }
    let meta = &object["metadata"];
    Write::Apply(json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"],
            // Nobody may have written since it was read.
            "uid": meta["uid"], "resourceVersion": meta["resourceVersion"],
            "annotations": {ORIGINAL_ENV: note},
        },
        "spec": {"template": {"spec": lists}},
    }))
}

fn replace(object: &Value, places: &[Place<'_>], values: &Values, note: &str) -> Write {
    let mut patch = vec![as_read(object)];
    for place in places {
        if object.pointer(&place.path).is_none() {
            patch.push(json!({"op": "add", "path": place.path, "value": []}));
        }
        for (name, value) in &values.env {
            let entry = json!({"name": name, "value": value});
            patch.push(match effective(place.env, name) {
                Some((index, _)) => {
                    json!({"op": "replace", "path": format!("{}/{index}", place.path), "value": entry})
                }
                None => json!({"op": "add", "path": format!("{}/-", place.path), "value": entry}),
            });
        }
    }
    if object["metadata"].get("annotations").is_none() {
        patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    patch.push(json!({"op": "add", "path": annotation(), "value": note}));
    Write::Patch(Value::Array(patch))
}

/// The next step of putting back what stood in `object` before; none when nothing is left to do. First the values; a value
/// that somebody else has written since stays. Then the note and the ownership of fields go, which makes no rollout: a
/// patch owns what it sets, so that this takes a second one.
#[must_use]
pub fn restore(object: &Value) -> Option<Write> {
    object.pointer(&annotation())?;
    let note = noted(object);
    let env = note.iter().flat_map(|note| &note.env);
    let mut patch: Vec<Value> = env
        .filter_map(|(container, env)| Some(originals(&place(object, container)?, env)))
        .flatten()
        .collect();
    if patch.is_empty() {
        patch.push(json!({"op": "remove", "path": annotation()}));
        let fields = object.pointer(FIELDS).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let ours = fields.iter().enumerate().rev().filter(|(_, entry)| entry["manager"] == ROLLOUT_MANAGER);
        // From the end, so that a removal moves none that is still to come.
        patch.extend(ours.map(|(index, _)| json!({"op": "remove", "path": format!("{FIELDS}/{index}")})));
    }
    patch.insert(0, as_read(object));
    Some(Write::Patch(Value::Array(patch)))
}

fn originals(place: &Place<'_>, note: &BTreeMap<String, Entry>) -> Vec<Value> {
    let mut ours: Vec<(usize, &String, &Entry)> = note
        .iter()
        .filter_map(|(name, entry)| Some((effective(place.env, name)?, name, entry)))
        .filter(|((_, now), _, entry)| is_literal(now, &entry.written))
        .map(|((index, _), name, entry)| (index, name, entry))
        .collect();
    // From the end, so that a removal moves none that is still to come.
    ours.sort_by_key(|(index, ..)| std::cmp::Reverse(*index));
    let step = |(index, name, entry): (usize, &String, &Entry)| {
        let path = format!("{}/{index}", place.path);
        let Some(original) = &entry.original else { return Some(json!({"op": "remove", "path": path})) };
        let mut original = original.clone();
        original.insert("name".into(), json!(name));
        let same = place.env.get(index).and_then(Value::as_object) == Some(&original);
        (!same).then(|| json!({"op": "replace", "path": path, "value": original}))
    };
    ours.into_iter().filter_map(step).collect()
}

/// Who else says that he owns the value of a variable.
fn owner(object: &Value, place: &Place<'_>, name: &str) -> Option<String> {
    let (container, name) = (json!({"name": place.container}), json!({"name": name}));
    let path = [
        "f:spec".into(),
        "f:template".into(),
        "f:spec".into(),
        format!("f:{}", place.list),
        format!("k:{container}"),
        "f:env".into(),
        format!("k:{name}"),
    ];
    let owns = |entry: &&Value| {
        let found = path.iter().try_fold(&entry["fieldsV1"], |fields, key| fields.get(key));
        found.is_some() && entry["manager"] != ROLLOUT_MANAGER
    };
    let entries = object.pointer(FIELDS).and_then(Value::as_array)?;
    Some(entries.iter().rfind(owns)?["manager"].as_str()?.to_owned())
}

fn noted(object: &Value) -> Option<Note> {
    serde_json::from_str(object.pointer(&annotation())?.as_str()?).ok()
}

/// The env of a container of a workload.
struct Place<'a> {
    container: &'a str,
    list: &'static str,
    /// The path of its env, there or not.
    path: String,
    env: &'a [Value],
}

impl Place<'_> {
    /// Whether the API server can merge literals into it by name.
    fn merges(&self, values: &Values) -> bool {
        values.env.iter().all(|(name, _)| {
            let mut same = self.env.iter().filter(|entry| entry["name"] == *name);
            same.next().is_none_or(|entry| entry.get("valueFrom").is_none()) && same.next().is_none()
        })
    }
}

fn place<'a>(object: &'a Value, name: &'a str) -> Option<Place<'a>> {
    LISTS.into_iter().find_map(|list| {
        let path = format!("{POD}/{list}");
        let index =
            object.pointer(&path)?.as_array()?.iter().position(|container| container["name"] == *name)?;
        let path = format!("{path}/{index}/env");
        let env = object.pointer(&path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Some(Place { container: name, list, path, env })
    })
}

/// The entry that takes effect, the last of its name, and its place.
fn effective<'a>(env: &'a [Value], name: &str) -> Option<(usize, &'a Value)> {
    env.iter().enumerate().rfind(|(_, entry)| entry["name"] == *name)
}

fn is_literal(entry: &Value, value: &str) -> bool {
    entry["value"] == *value && entry.get("valueFrom").is_none()
}

fn as_read(object: &Value) -> Value {
    json!({"op": "test", "path": VERSION, "value": object.pointer(VERSION)})
}

fn annotation() -> String {
    format!("/metadata/annotations/{}", ORIGINAL_ENV.replace('/', "~1"))
}

#[cfg(test)]
mod tests;
