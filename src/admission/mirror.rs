//! The mirror: copies a workload's budget label and app annotations to its pod template.
//!
//! In: only names. Out: the policy on workload writes. What is set on the workload is set in the template; what is
//! removed from the workload is removed from the template if it still has the workload's old value there. A key that
//! was only ever in the template is left alone. So `kubectl label deployment api poolbudget.dev/budget=main` is an
//! ordinary rolling update.
//!
//! Nothing else of a workload is touched, and its `scale` and `status` subresources are not touched either.

pub(super) mod native;

use super::cel;
use super::policy::{Action, Named, PLAIN, Policy};
use super::workload;
use crate::api::names;

/// The name of the policy and of its binding.
pub const NAME: &str = "mirror.poolbudget.dev";

/// The policy.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        name: NAME,
        purpose: "Copies a workload's budget label and its poolbudget.dev annotations into the pod template, and \
                  takes them out again when they are removed.",
        // No label selector: it would see only the workload's own labels, and the label may be in the template alone.
        requests: workload::workloads(),
        conditions: vec![
            Named::new("own-master", workload::is_own_master()),
            Named::new("has-a-template", format!("{}.?metadata.hasValue()", workload::template("object"))),
            Named::new("governed-now-or-before", governed_now_or_before()),
        ],
        variables: variables(),
        action: Action::Patch(format!("({})\n+ ({})", mirror_label(), mirror_annotations())),
        ..PLAIN
    }
}

fn governed_now_or_before() -> String {
    format!("([object] + (oldObject == null ? [] : [oldObject]))\n  .exists(o, {})", governed_workload("o"))
}

fn governed_workload(object: &str) -> String {
    format!(
        "{} || {}",
        cel::governed(&format!("{object}.metadata")),
        cel::governed(&format!("{}.?metadata", workload::template(object)))
    )
}

fn variables() -> Vec<Named> {
    let before = |map: String| format!("oldObject == null ? {{}} : {map}");
    let budget = cel::text(names::BUDGET);
    let keys = cel::list(&names::APP_ANNOTATIONS);
    vec![
        Named::new("template", format!("{}.metadata", workload::template("object"))),
        Named::new("path", format!("{} + '/metadata'", workload::template_path())),
        Named::new("labels", cel::labels("object.metadata")),
        Named::new("annotations", cel::annotations("object.metadata")),
        Named::new("oldLabels", before(cel::labels("oldObject.metadata"))),
        Named::new("oldAnnotations", before(cel::annotations("oldObject.metadata"))),
        Named::new("templateLabels", cel::labels("variables.template")),
        Named::new("templateAnnotations", cel::annotations("variables.template")),
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
        // A workload that leaves its budget also removes what was mirrored to its template.
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

/// CEL for the path of a member of one of the two maps.
fn member(map: &str, key: &str) -> String {
    format!("variables.path + '/{map}/' + jsonpatch.escapeKey({key})")
}

/// CEL for the patch that adds an empty map if the template has none.
fn map_itself(map: &str) -> String {
    format!("[JSONPatch{{op: 'add', path: variables.path + '/{map}', value: {{}}}}]")
}

fn mirror_label() -> String {
    let budget = cel::text(names::BUDGET);
    let path = member("labels", &budget);
    format!(
        "variables.leaves ? [JSONPatch{{op: 'remove', path: {path}}}]\n\
         \x20 : {budget} in variables.labels\n\
         \x20   ? (has(variables.template.labels) ? [] : {})\n\
         \x20     + [JSONPatch{{op: 'add', path: {path}, value: variables.labels[{budget}]}}]\n\
         \x20   : []",
        map_itself("labels")
    )
}

fn mirror_annotations() -> String {
    let path = member("annotations", "k");
    format!(
        "(variables.wanted.size() == 0 || has(variables.template.annotations) ? []\n\
         \x20   : {})\n\
         + variables.wanted.map(k, JSONPatch{{op: 'add', path: {path}, value: variables.annotations[k]}})\n\
         + variables.unwanted.map(k, JSONPatch{{op: 'remove', path: {path}}})",
        map_itself("annotations")
    )
}
