//! The check: a bad label or annotation is refused with a sentence that says what is allowed.
//!
//! In: nothing but names. Out: two policies with the same rules, one on workloads (their template, into
//! which the mirror has already copied what stands on the workload), one on new pods (for templates that
//! no workload write brought here, such as those of unknown kinds).
//!
//! A workload is judged when something of what is judged changes: one that was bad before keeps its
//! scale-downs, its finalizers and its image updates.

use super::cel;
use super::gate;
use super::policy::{Action, Named, Policy, Reason, Rule};
use super::workload;
use crate::api::names;

/// The name of the policy on workloads and of its binding.
pub const WORKLOADS_NAME: &str = "check-workloads.poolbudget.dev";

/// The name of the policy on pods and of its binding.
pub const PODS_NAME: &str = "check-pods.poolbudget.dev";

/// What the name of an object may look like; a label value may also hold capitals and underscores.
const OBJECT_NAME: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

/// The longest sentence, in bytes, that the API server takes from a policy.
pub(super) const MAX_SENTENCE: usize = 5 * 1024;

/// The policy on workloads.
#[must_use]
pub fn workloads() -> Policy {
    let template = &workload::template("object");
    Policy {
        name: WORKLOADS_NAME,
        purpose: "Refuses a workload with a poolbudget.dev label or annotation that says nothing sensible.",
        requests: workload::WORKLOADS.to_vec(),
        labelled_only: false,
        conditions: vec![
            Named::new("governed", cel::governed(&format!("{template}.?metadata"))),
            something_to_judge(template),
            Named::new("judged-parts-change", judged_parts_change()),
        ],
        variables: variables(template),
        action: Action::Refuse(Reason::Invalid, rules()),
    }
}

/// The policy on pods.
#[must_use]
pub fn pods() -> Policy {
    Policy {
        name: PODS_NAME,
        purpose: "Refuses a pod with a poolbudget.dev label or annotation that says nothing sensible.",
        requests: vec![gate::PODS],
        labelled_only: true,
        conditions: vec![something_to_judge("object")],
        variables: variables("object"),
        action: Action::Refuse(Reason::Invalid, rules()),
    }
}

/// Most pods bear the label and nothing else: one look at that is cheaper than every rule.
fn something_to_judge(template: &str) -> Named {
    Named::new(
        "something-to-judge",
        format!(
            "!{template}.metadata.labels[{}].matches(r'{OBJECT_NAME}')\n\
             || {}.exists(k, k in {})",
            cel::text(names::BUDGET),
            cel::list(&names::APP_ANNOTATIONS),
            cel::annotations(&format!("{template}.metadata")),
        ),
    )
}

fn judged_parts_change() -> String {
    let key = cel::text(names::BUDGET);
    let differ = |part: &dyn Fn(&str) -> String| {
        format!("{} != {}", part(&workload::template("object")), part(&workload::template("oldObject")))
    };
    format!(
        "oldObject == null\n|| {}\n|| {}.exists(k, {})\n|| {}",
        differ(&|template| format!("{template}.metadata.?labels[?{key}]")),
        cel::list(&names::APP_ANNOTATIONS),
        differ(&|template| format!("{template}.metadata.?annotations[?k]")),
        differ(&|template| cel::container_names(&format!("{template}.spec"))),
    )
}

fn variables(template: &str) -> Vec<Named> {
    vec![
        Named::new(
            "budget",
            format!("{template}.metadata.?labels[?{}].orValue('')", cel::text(names::BUDGET)),
        ),
        Named::new("annotations", cel::annotations(&format!("{template}.metadata"))),
        Named::new("containers", cel::container_names(&format!("{template}.spec"))),
        Named::new("index", cel::container_index("variables.annotations", "variables.containers")),
    ]
}

fn rules() -> Vec<Rule> {
    vec![
        budget_is_a_name(),
        is_a_count(names::PROCESSES),
        is_a_count(names::ENGINES),
        container_is_there(),
        profile_is_known(),
        own_names_are_complete(),
        own_names_are_valid(),
        own_names_differ(),
    ]
}

/// CEL that quotes the value of an annotation.
fn quoted(key: &str) -> String {
    format!("\"'\" + variables.annotations[?{}].orValue('') + \"'\"", cel::text(key))
}

fn says(key: &str) -> String {
    format!("'it says ' + {}", quoted(key))
}

pub(super) fn budget_is_a_name() -> Rule {
    Rule {
        holds: format!("variables.budget.matches(r'{OBJECT_NAME}')"),
        allowed: format!(
            "{} must be the name of a DbConnectionBudget: lower-case letters, digits, '-' and '.', with a letter \
             or digit at both ends",
            names::BUDGET
        ),
        found: "'it says ' + \"'\" + variables.budget + \"'\"".to_owned(),
    }
}

pub(super) fn is_a_count(key: &str) -> Rule {
    let value = format!("variables.annotations[{}]", cel::text(key));
    Rule {
        holds: format!(
            "!({} in variables.annotations)\n  || ({value}.matches(r'^[1-9][0-9]{{0,5}}$') && int({value}) <= {})",
            cel::text(key),
            names::MAX_PROCESSES
        ),
        allowed: format!(
            "{key} must be a whole number from 1 to {}, in digits alone and without leading zeros",
            names::MAX_PROCESSES
        ),
        found: says(key),
    }
}

pub(super) fn container_is_there() -> Rule {
    Rule {
        holds: "variables.index >= 0".to_owned(),
        allowed: format!(
            "{} must name a container of the pod (init containers do not count)",
            names::CONTAINER
        ),
        found: format!(
            "{} + ', the containers are ' + variables.containers.join(', ')",
            says(names::CONTAINER)
        ),
    }
}

pub(super) fn profile_is_known() -> Rule {
    Rule {
        holds: cel::profile_is_known("variables.annotations"),
        allowed: format!(
            "{} must be {} or absent (for an app that reads other variables, name them in {} and {})",
            names::PROFILE,
            names::DEFAULT_PROFILE,
            names::POOL_SIZE_ENV,
            names::MAX_OVERFLOW_ENV
        ),
        found: says(names::PROFILE),
    }
}

pub(super) fn own_names_are_complete() -> Rule {
    let key = cel::text(names::POOL_SIZE_ENV);
    Rule {
        holds: cel::own_names_are_complete("variables.annotations"),
        allowed: format!(
            "{} and {} must be given together or not at all",
            names::POOL_SIZE_ENV,
            names::MAX_OVERFLOW_ENV
        ),
        found: format!(
            "'only ' + ({key} in variables.annotations ? {key} : {}) + ' is there'",
            cel::text(names::MAX_OVERFLOW_ENV)
        ),
    }
}

pub(super) fn own_names_are_valid() -> Rule {
    Rule {
        holds: cel::own_names_are_valid("variables.annotations"),
        allowed: format!(
            "{} and {} must be names of environment variables: letters, digits, '_', '-' and '.', beginning with \
             a letter or '_', at most 253 characters",
            names::POOL_SIZE_ENV,
            names::MAX_OVERFLOW_ENV
        ),
        found: format!(
            "'they say ' + {} + ' and ' + {}",
            quoted(names::POOL_SIZE_ENV),
            quoted(names::MAX_OVERFLOW_ENV)
        ),
    }
}

pub(super) fn own_names_differ() -> Rule {
    Rule {
        holds: cel::own_names_differ("variables.annotations"),
        allowed: format!(
            "{} and {} must name two different environment variables",
            names::POOL_SIZE_ENV,
            names::MAX_OVERFLOW_ENV
        ),
        found: format!("'both say ' + {}", quoted(names::POOL_SIZE_ENV)),
    }
}
