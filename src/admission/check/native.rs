//! The check in Rust: bad labels and annotations.
//!
//! In: a pod, or a workload, new and old. Out: the first rule of `profile::rules` that does not hold.

use serde_json::Value;

use crate::admission::object::{self, Texts};
use crate::admission::policy::Reason;
use crate::admission::request::Refusal;
use crate::api::keys::{self, Map};
use crate::api::names;
use crate::profile::rules::Rule;
use crate::profile::stated::Stated;

/// Why a pod is refused.
pub(in crate::admission) fn pod(pod: &Value) -> Option<Refusal> {
    object::governed(pod.get("metadata"))
        .then(|| judge(pod, object::unknown(pod.get("metadata")), true))
        .flatten()
}

/// Why a workload with its template at `path` is refused. One that was bad before keeps its scale-downs, its finalizers
/// and its image updates.
pub(in crate::admission) fn workload(path: &str, workload: &Value, old: Option<&Value>) -> Option<Refusal> {
    let now = workload.pointer(path);
    let governed = object::governed(now.and_then(|now| now.get("metadata")));
    let unknown = unknown(path, workload);
    let is_new = |old: &Value| {
        let before = self::unknown(path, old);
        // If there is too much to look at, keys are only counted.
        if unknown.len().max(before.len()) > keys::MOST {
            return unknown.len() > before.len();
        }
        unknown.iter().any(|key| !before.contains(key))
    };
    if !(governed || is_meant_to_be(path, workload))
        || old.is_some_and(|old| !is_new(old) && same(now, old.pointer(path)))
    {
        return None;
    }
    judge(now.unwrap_or(&Value::Null), unknown, false)
}

/// Unknown keys of ours on a workload and in its template.
fn unknown<'a>(path: &str, workload: &'a Value) -> Vec<&'a str> {
    let template = workload.pointer(path).and_then(|template| template.get("metadata"));
    [object::unknown(workload.get("metadata")), object::unknown(template)].concat()
}

/// Whether the author of a workload meant to put it under a budget and misspelt the label. An object made by a
/// controller only repeats what its owner says, and the author of the owner was told.
fn is_meant_to_be(path: &str, workload: &Value) -> bool {
    let owners = workload.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let is_controlled = owners
        .into_iter()
        .flatten()
        .any(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
    let template = workload.pointer(path).and_then(|template| template.get("metadata"));
    let misspelt = |metadata| object::unknown_in(Map::Labels, metadata).next().is_some();
    !is_controlled && (misspelt(workload.get("metadata")) || misspelt(template))
}

/// Whether two templates are the same in everything that is judged.
fn same(now: Option<&Value>, before: Option<&Value>) -> bool {
    let (Some(now), Some(before)) = (now, before) else { return now.is_none() };
    // A template with too much to look at is not compared either.
    match (is_in_bounds(now), is_in_bounds(before)) {
        (true, true) => {}
        (now, before) => return now == before,
    }
    let judged = |template| {
        let metadata = Value::get(template, "metadata");
        let annotations = names::APP_ANNOTATIONS.map(|key| Texts::annotations(metadata).of(key));
        let kubectl = Texts::annotations(metadata).of(names::DEFAULT_CONTAINER);
        let budget = Texts::labels(metadata).of(names::BUDGET);
        let containers = (object::containers(template), object::sets(template));
        (budget, annotations, kubectl, containers, object::node(template))
    };
    judged(now) == judged(before)
}

fn is_in_bounds(template: &Value) -> bool {
    object::stated(template, &object::notes(template), false).is_in_bounds()
}

fn judge<'a>(template: &'a Value, unknown: Vec<&'a str>, is_pod: bool) -> Option<Refusal> {
    let notes = object::notes(template);
    let stated = Stated { unknown, ..object::stated(template, &notes, is_pod) };
    // As the policies do: a pod that states nothing about itself is not asked which container it means.
    let one = stated.regular.len() + stated.init.len() <= 1;
    let silent = one
        && stated.unknown.is_empty()
        && names::APP_ANNOTATIONS.into_iter().all(|key| !notes.contains_key(key));
    if silent
        && [Rule::Many, Rule::Long, Rule::Budget, Rule::NoNode]
            .iter()
            .all(|rule| rule.broken(&stated).is_none())
    {
        return None;
    }
    stated.fault().map(|sentence| Refusal { reason: Reason::Invalid, sentence })
}
