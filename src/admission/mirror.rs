//! The mirror: a workload's budget label and app annotations stand in its pod template too.
//!
//! In: nothing but names. Out: the policy on workload writes. What is set on the workload is set in the
//! template; what is taken away there is taken away in the template when it still has the value that the
//! workload had. A key that only ever stood in the template is left alone. So
//! `kubectl label deployment api poolbudget.dev/budget=main` is an ordinary rolling update.
//!
//! Nothing else of a workload is touched, and neither are its `scale` and `status` subresources.

use super::cel;
use super::policy::{Action, Named, Policy, Requests};
use crate::api::names;

/// The name of the policy and of its binding.
pub const NAME: &str = "mirror.poolbudget.dev";

/// The kinds whose template is kept in step: those that the operator knows how to count.
pub(super) const WORKLOADS: Requests =
    Requests { group: "apps", version: "v1", operations: &["CREATE", "UPDATE"], resources: &["deployments"] };

const TEMPLATE: &str = "object.spec.template.metadata";
const LABELS_PATH: &str = "/spec/template/metadata/labels";
const ANNOTATIONS_PATH: &str = "/spec/template/metadata/annotations";

/// The policy.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        name: NAME,
        purpose: "Copies a workload's budget label and its poolbudget.dev annotations into the pod template, and \
                  takes them out again when they are removed.",
        requests: vec![WORKLOADS],
        // A selector sees the workload's own labels only, and the label may stand in the template alone.
        labelled_only: false,
        conditions: vec![Named::new("governed-now-or-before", governed_now_or_before())],
        variables: variables(),
        action: Action::Patch(format!("({})\n+ ({})", mirror_label(), mirror_annotations())),
    }
}

fn governed_now_or_before() -> String {
    format!("([object] + (oldObject == null ? [] : [oldObject]))\n  .exists(o, {})", governed_workload("o"))
}

fn governed_workload(workload: &str) -> String {
    format!(
        "{} || {}",
        cel::governed(&format!("{workload}.metadata")),
        cel::governed(&format!("{workload}.spec.template.metadata"))
    )
}

fn variables() -> Vec<Named> {
    let before = |map: String| format!("oldObject == null ? {{}} : {map}");
    let budget = cel::text(names::BUDGET);
    let keys = cel::list(&names::APP_ANNOTATIONS);
    vec![
        Named::new("labels", cel::labels("object.metadata")),
        Named::new("annotations", cel::annotations("object.metadata")),
        Named::new("oldLabels", before(cel::labels("oldObject.metadata"))),
        Named::new("oldAnnotations", before(cel::annotations("oldObject.metadata"))),
        Named::new("templateLabels", cel::labels(TEMPLATE)),
        Named::new("templateAnnotations", cel::annotations(TEMPLATE)),
        Named::new(
            "leaves",
            format!(
                "!({budget} in variables.labels) && {budget} in variables.oldLabels\n\
                 \x20 && {budget} in variables.templateLabels\n\
                 \x20 && variables.templateLabels[{budget}] == variables.oldLabels[{budget}]"
            ),
        ),
        Named::new(
            "governed",
            format!(
                "{budget} in variables.labels || ({budget} in variables.templateLabels && !variables.leaves)"
            ),
        ),
        Named::new("wasGoverned", format!("oldObject != null && ({})", governed_workload("oldObject"))),
        Named::new(
            "wanted",
            format!("variables.governed ? {keys}.filter(k, k in variables.annotations) : []"),
        ),
        // A workload that leaves its budget takes along what it had mirrored.
        Named::new(
            "unwanted",
            format!(
                "variables.wasGoverned\n\
                 \x20 ? {keys}.filter(k, !(k in variables.wanted) && k in variables.oldAnnotations\n\
                 \x20     && k in variables.templateAnnotations\n\
                 \x20     && variables.templateAnnotations[k] == variables.oldAnnotations[k])\n\
                 \x20 : []"
            ),
        ),
    ]
}

fn mirror_label() -> String {
    let budget = cel::text(names::BUDGET);
    let path = format!("'{LABELS_PATH}/' + jsonpatch.escapeKey({budget})");
    format!(
        "variables.leaves ? [JSONPatch{{op: 'remove', path: {path}}}]\n\
         \x20 : {budget} in variables.labels\n\
         \x20   ? (has({TEMPLATE}.labels) ? [] : [JSONPatch{{op: 'add', path: '{LABELS_PATH}', value: {{}}}}])\n\
         \x20     + [JSONPatch{{op: 'add', path: {path}, value: variables.labels[{budget}]}}]\n\
         \x20   : []"
    )
}

fn mirror_annotations() -> String {
    let path = format!("'{ANNOTATIONS_PATH}/' + jsonpatch.escapeKey(k)");
    format!(
        "(variables.wanted.size() == 0 || has({TEMPLATE}.annotations) ? []\n\
         \x20   : [JSONPatch{{op: 'add', path: '{ANNOTATIONS_PATH}', value: {{}}}}])\n\
         + variables.wanted.map(k, JSONPatch{{op: 'add', path: {path}, value: variables.annotations[k]}})\n\
         + variables.unwanted.map(k, JSONPatch{{op: 'remove', path: {path}}})"
    )
}
