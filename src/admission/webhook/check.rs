//! The check: bad labels and annotations. The twin of the policies in `admission::check`, whose rules it borrows
//! for the sentences.
//!
//! In: a pod, or a workload as it is to be and as it is. Out: the first rule that does not hold, or what the gate
//! needs to know.

use serde_json::Value;

use super::super::check::{self as policy, MAX_SENTENCE};
use super::super::policy::{Reason, Rule};
use super::object::{self, Texts};
use super::review::Refusal;
use crate::api::names;

/// What the annotations say of the app in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct App<'a> {
    /// The index of the container that opens the connections.
    pub(super) container: usize,
    /// The variables for `pool_size` and `max_overflow`.
    pub(super) knobs: [&'a str; 2],
}

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
        (Texts::labels(metadata).of(names::BUDGET), annotations, object::container_names(template))
    };
    judged(now) == judged(before)
}

fn template(template: &Value) -> Option<Refusal> {
    let metadata = template.get("metadata");
    let budget = Texts::labels(metadata).of(names::BUDGET).unwrap_or_default();
    let annotations = Texts::annotations(metadata);
    // As the policies do: a pod that says nothing of itself is not asked which container it means.
    if is_object_name(budget) && names::APP_ANNOTATIONS.into_iter().all(|key| !annotations.has(key)) {
        return None;
    }
    name_of_budget(budget)
        .and_then(|()| count(names::PROCESSES, annotations))
        .and_then(|()| count(names::ENGINES, annotations))
        .and_then(|()| app(annotations, &object::container_names(template)))
        .err()
}

/// The container and the variables that a pod's annotations name.
pub(super) fn app<'a>(annotations: Texts<'a>, containers: &[&str]) -> Result<App<'a>, Refusal> {
    let container = container(annotations, containers)?;
    let profile = annotations.of(names::PROFILE).unwrap_or(names::DEFAULT_PROFILE);
    if profile != names::DEFAULT_PROFILE {
        return Err(refusal(policy::profile_is_known(), &format!("it says '{profile}'")));
    }
    Ok(App { container, knobs: knobs(annotations)? })
}

fn name_of_budget(budget: &str) -> Result<(), Refusal> {
    if is_object_name(budget) {
        return Ok(());
    }
    Err(refusal(policy::budget_is_a_name(), &format!("it says '{budget}'")))
}

fn count(key: &str, annotations: Texts<'_>) -> Result<(), Refusal> {
    let Some(text) = annotations.of(key) else { return Ok(()) };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain && text.parse().is_ok_and(|number: u32| number <= names::MAX_PROCESSES) {
        return Ok(());
    }
    Err(refusal(policy::is_a_count(key), &format!("it says '{text}'")))
}

fn container(annotations: Texts<'_>, containers: &[&str]) -> Result<usize, Refusal> {
    let named = annotations.of(names::CONTAINER);
    let index = match named {
        Some(name) => containers.iter().position(|container| *container == name),
        None => (!containers.is_empty()).then_some(0),
    };
    index.ok_or_else(|| {
        let (said, there) = (named.unwrap_or_default(), containers.join(", "));
        refusal(policy::container_is_there(), &format!("it says '{said}', the containers are {there}"))
    })
}

fn knobs(annotations: Texts<'_>) -> Result<[&str; 2], Refusal> {
    let own = [names::POOL_SIZE_ENV, names::MAX_OVERFLOW_ENV].map(|key| annotations.of(key));
    let only = |key: &str| refusal(policy::own_names_are_complete(), &format!("only {key} is there"));
    match own {
        [None, None] => Ok([names::DEFAULT_POOL_SIZE_ENV, names::DEFAULT_MAX_OVERFLOW_ENV]),
        [Some(_), None] => Err(only(names::POOL_SIZE_ENV)),
        [None, Some(_)] => Err(only(names::MAX_OVERFLOW_ENV)),
        [Some(size), Some(overflow)] if !is_env_name(size) || !is_env_name(overflow) => {
            let found = format!("they say '{size}' and '{overflow}'");
            Err(refusal(policy::own_names_are_valid(), &found))
        }
        [Some(size), Some(overflow)] if size == overflow => {
            Err(refusal(policy::own_names_differ(), &format!("both say '{size}'")))
        }
        [Some(size), Some(overflow)] => Ok([size, overflow]),
    }
}

/// Lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of each part.
fn is_object_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.split('.').all(|part| {
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(inside)
    })
}

fn is_env_name(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && text.len() <= 253 && text.bytes().all(inside)
}

/// The sentence of a rule. The API server leaves out what a policy found when it is too long or has a line break.
fn refusal(rule: Rule, found: &str) -> Refusal {
    let whole = format!("{}; {found}", rule.allowed);
    let quotable = whole.len() <= MAX_SENTENCE && !whole.contains('\n');
    Refusal { reason: Reason::Invalid, sentence: if quotable { whole } else { rule.allowed } }
}
