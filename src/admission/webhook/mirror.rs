//! The mirror: a workload's label and annotations in its template. The twin of the policy in `admission::mirror`.
//!
//! In: a workload as it is to be and as it is. Out: the changes of its template's metadata.

use serde_json::Value;

use super::object::{self, Texts};
use super::review::Change;
use crate::api::names;

const TEMPLATE: &str = "/spec/template/metadata";

/// The changes that bring the template in step; empty when it is.
pub(super) fn changes(workload: &Value, old: Option<&Value>) -> Vec<Change> {
    let now = Keys::of(workload, Texts::labels);
    let before = old.map(|old| Keys::of(old, Texts::labels)).unwrap_or_default();
    let mut changes = label(now, before);
    let leaves = goes(names::BUDGET, now, before);
    let governed = now.own.has(names::BUDGET) || (now.template.has(names::BUDGET) && !leaves);
    let was_governed = before.own.has(names::BUDGET) || before.template.has(names::BUDGET);
    let now = Keys::of(workload, Texts::annotations);
    let before = old.map(|old| Keys::of(old, Texts::annotations)).unwrap_or_default();
    changes.extend(annotations(now, before, governed, was_governed));
    changes
}

/// Labels or annotations of a workload and of its template.
#[derive(Clone, Copy, Default)]
struct Keys<'a> {
    own: Texts<'a>,
    template: Texts<'a>,
}

impl<'a> Keys<'a> {
    fn of(workload: &'a Value, texts: fn(Option<&'a Value>) -> Texts<'a>) -> Self {
        Self { own: texts(workload.get("metadata")), template: texts(workload.pointer(TEMPLATE)) }
    }
}

/// Whether a key was taken off the workload while the template still has the value that it had there.
fn goes(key: &str, now: Keys<'_>, before: Keys<'_>) -> bool {
    !now.own.has(key) && before.own.has(key) && now.template.of(key) == before.own.of(key)
}

fn label(now: Keys<'_>, before: Keys<'_>) -> Vec<Change> {
    let path = format!("{TEMPLATE}/labels");
    match now.own.of(names::BUDGET) {
        Some(budget) if now.template.of(names::BUDGET) == Some(budget) => vec![],
        Some(budget) => object::set(&path, now.template.exist(), vec![(names::BUDGET, budget)]),
        None if goes(names::BUDGET, now, before) => {
            vec![Change::remove(object::member(&path, names::BUDGET))]
        }
        None => vec![],
    }
}

/// A workload that leaves its budget takes along what it had mirrored.
fn annotations(now: Keys<'_>, before: Keys<'_>, governed: bool, was_governed: bool) -> Vec<Change> {
    let path = format!("{TEMPLATE}/annotations");
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
    changes.extend(unwanted.map(|key| Change::remove(object::member(&path, key))));
    changes
}
