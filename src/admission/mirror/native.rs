//! The mirror in Rust: copies a workload's label and annotations to its template.
//!
//! In: a workload, new and old. Out: the changes of its template's metadata.

use json_patch::PatchOperation;
use serde_json::Value;

use crate::admission::object::{self, Texts};
use crate::api::names;
use crate::api::patch::{self, member};

/// The changes that bring the template at `path` in step; empty when it already is, and when there is none.
pub(in crate::admission) fn changes(
    path: &str,
    workload: &Value,
    old: Option<&Value>,
) -> Vec<PatchOperation> {
    let path = &format!("{path}/metadata");
    if is_decided_over(workload) || workload.pointer(path).is_none() {
        return Vec::new();
    }
    let now = Keys::of(workload, path, Texts::labels);
    let before = old.map(|old| Keys::of(old, path, Texts::labels)).unwrap_or_default();
    let mut changes = label(path, now, before);
    let leaves = goes(names::BUDGET, now, before);
    let governed = now.own.has(names::BUDGET) || (now.template.has(names::BUDGET) && !leaves);
    let was_governed = before.own.has(names::BUDGET) || before.template.has(names::BUDGET);
    let now = Keys::of(workload, path, Texts::annotations);
    let before = old.map(|old| Keys::of(old, path, Texts::annotations)).unwrap_or_default();
    changes.extend(annotations(path, now, before, governed, was_governed));
    changes
}

/// Whether this is a ReplicaSet of a Deployment: its controller decides over it.
fn is_decided_over(workload: &Value) -> bool {
    let owners = workload.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled = owners.into_iter().flatten().any(|owner| owner["controller"] == true);
    workload["kind"] == "ReplicaSet" && controlled
}

/// Labels or annotations of a workload and of its template.
#[derive(Clone, Copy, Default)]
struct Keys<'a> {
    own: Texts<'a>,
    template: Texts<'a>,
}

impl<'a> Keys<'a> {
    fn of(workload: &'a Value, path: &str, texts: fn(Option<&'a Value>) -> Texts<'a>) -> Self {
        Self { own: texts(workload.get("metadata")), template: texts(workload.pointer(path)) }
    }
}

/// Whether a key was removed from the workload while the template still has the value that it had there.
fn goes(key: &str, now: Keys<'_>, before: Keys<'_>) -> bool {
    !now.own.has(key) && before.own.has(key) && now.template.of(key) == before.own.of(key)
}

fn label(path: &str, now: Keys<'_>, before: Keys<'_>) -> Vec<PatchOperation> {
    let path = format!("{path}/labels");
    match now.own.of(names::BUDGET) {
        Some(budget) if now.template.of(names::BUDGET) == Some(budget) => vec![],
        Some(budget) => object::set(&path, now.template.exist(), vec![(names::BUDGET, budget)]),
        None if goes(names::BUDGET, now, before) => {
            vec![patch::remove(member(&path, names::BUDGET))]
        }
        None => vec![],
    }
}

/// A workload that leaves its budget also removes what was mirrored to its template.
fn annotations(
    path: &str,
    now: Keys<'_>,
    before: Keys<'_>,
    governed: bool,
    was_governed: bool,
) -> Vec<PatchOperation> {
    let path = format!("{path}/annotations");
    let wanted = |key: &'static str| now.own.of(key).filter(|_| governed).map(|text| (key, text));
    let missing = |&(key, text): &(&str, &str)| now.template.of(key) != Some(text);
    let members = names::APP_ANNOTATIONS.into_iter().filter_map(wanted).filter(missing).collect();
    let left = |key: &&str| {
        let kept = governed && now.own.has(key);
        let mirrored = before.own.has(key) && now.template.of(key) == before.own.of(key);
        was_governed && !kept && mirrored
    };
    let unwanted = names::APP_ANNOTATIONS.into_iter().filter(left);
    let mut changes = object::set(&path, now.template.exist(), members);
    changes.extend(unwanted.map(|key| patch::remove(member(&path, key))));
    changes
}
