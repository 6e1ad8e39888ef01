//! The check: bad labels and annotations. The twin of the policies in `admission::check`.
//!
//! In: a pod, or a workload as it is to be and as it is. Out: the first rule of `profile::rules` that does not hold.

use serde_json::Value;

use super::super::policy::Reason;
use super::object::{self, Texts};
use super::review::Refusal;
use crate::api::names;
use crate::profile::rules::Rule;

/// Why a pod is refused.
pub(super) fn pod(pod: &Value) -> Option<Refusal> {
    object::governed(pod.get("metadata")).then(|| template(pod)).flatten()
}

/// Why a workload is refused whose template stands at `path`. One that was bad before keeps its scale-downs, its finalizers and its image updates.
pub(super) fn workload(path: &str, workload: &Value, old: Option<&Value>) -> Option<Refusal> {
    let now = workload.pointer(path)?;
    if !object::governed(now.get("metadata")) || old.is_some_and(|old| same(now, old.pointer(path))) {
        return None;
    }
    template(now)
}

/// Whether two templates are the same in all that is judged.
fn same(now: &Value, before: Option<&Value>) -> bool {
    let Some(before) = before else { return false };
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

fn template(template: &Value) -> Option<Refusal> {
    let notes = object::notes(template);
    let stated = object::stated(template, &notes);
    // As the policies do: a pod that says nothing of itself is not asked which container it means.
    let one = stated.regular.len() + stated.init.len() <= 1;
    let silent = one && names::APP_ANNOTATIONS.into_iter().all(|key| !notes.contains_key(key));
    if silent && [Rule::Budget, Rule::NoNode].iter().all(|rule| rule.broken(&stated).is_none()) {
        return None;
    }
    stated.fault().map(|sentence| Refusal { reason: Reason::Invalid, sentence })
}
