//! The gate: a labelled pod is born with the scheduling gate and with env that reads its grant late.
//!
//! In: nothing but names. Out: the policy on pod CREATE. It keeps no state and asks nobody. It must not
//! fail where the check has something to explain: validating policies run after mutating ones, so a pod
//! with an unknown container or a bad env name is gated, its env is left alone, and the check refuses it.
//!
//! It is idempotent: the API server may invoke it again after a sidecar injector.

use super::cel;
use super::policy::{Action, Named, Policy, Requests};
use crate::api::names;

/// The name of the policy and of its binding.
pub const NAME: &str = "gate.poolbudget.dev";

/// The birth of a pod.
pub(super) const PODS: Requests =
    Requests { group: "", version: "v1", operations: &["CREATE"], resources: &["pods"] };

/// Literal values that are remembered: printable and short enough for an annotation. The variables
/// hold numbers; a value that is not like this says nothing to anybody.
const REMEMBERED_VALUE: &str = r"^[^\x00-\x1f\x7f]{1,128}$";

/// The policy.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        name: NAME,
        purpose: "Gives each pod with a budget label a scheduling gate, and environment variables that read the \
                  pool size it will be granted.",
        requests: vec![PODS],
        labelled_only: true,
        conditions: vec![],
        variables: variables(),
        action: Action::Patch(patch()),
    }
}

fn variables() -> Vec<Named> {
    let annotations = "variables.annotations";
    vec![
        Named::new("annotations", cel::annotations("object.metadata")),
        // A pod that is born on a node cannot bear a gate (the API server answers 422): it is foreign.
        Named::new("bound", "object.spec.?nodeName.orValue('') != ''"),
        Named::new("gates", "object.spec.?schedulingGates.orValue([])"),
        Named::new("containers", cel::container_names("object.spec")),
        Named::new("index", cel::container_index(annotations, "variables.containers")),
        Named::new("knobs", knobs(annotations)),
        Named::new(
            "env",
            "!variables.bound && variables.index >= 0 && variables.knobs.size() == 2\n\
             \x20 ? object.spec.containers[variables.index].?env.orValue([]) : []",
        ),
        Named::new("replaced", replaced()),
    ]
}

/// The names of the variables for `pool_size` and `max_overflow`; empty when the check will refuse them.
fn knobs(annotations: &str) -> String {
    let (size, overflow) = (cel::text(names::POOL_SIZE_ENV), cel::text(names::MAX_OVERFLOW_ENV));
    let sound = [
        cel::profile_is_known(annotations),
        cel::own_names_are_complete(annotations),
        cel::own_names_are_valid(annotations),
        cel::own_names_differ(annotations),
    ]
    .map(|rule| format!("({rule})"))
    .join("\n&& ");
    format!(
        "{sound}\n? [{annotations}[?{size}].orValue({}), {annotations}[?{overflow}].orValue({})] : []",
        cel::text(names::DEFAULT_POOL_SIZE_ENV),
        cel::text(names::DEFAULT_MAX_OVERFLOW_ENV),
    )
}

/// The literal values that the two entries take the place of, as members of a JSON object. Of entries
/// with the same name the last one counts, as it does for the kubelet.
fn replaced() -> String {
    format!(
        r#"variables.knobs.map(n, variables.env.filter(e, e.name == n))
  .filter(same, same.size() > 0).map(same, same[same.size() - 1])
  .filter(e, e.?value.orValue('').matches(r'{REMEMBERED_VALUE}'))
  .map(e, '"' + e.name + '":"' + e.value.replace('\\', '\\\\').replace('"', '\\"') + '"')"#
    )
}

fn patch() -> String {
    [add_gate(), drop_grants(), remember_replaced(), bind_env()].map(|part| format!("({part})")).join("\n+ ")
}

fn add_gate() -> String {
    let gate = cel::text(names::GATE);
    format!(
        "variables.bound || variables.gates.exists(g, g.name == {gate}) ? []\n\
         \x20 : variables.gates.size() == 0\n\
         \x20   ? [JSONPatch{{op: 'add', path: '/spec/schedulingGates', value: [{{'name': {gate}}}]}}]\n\
         \x20   : [JSONPatch{{op: 'add', path: '/spec/schedulingGates/-', value: {{'name': {gate}}}}}]"
    )
}

/// A template may bring grant annotations along, copied from a running pod; a grant is given, not brought.
fn drop_grants() -> String {
    format!(
        "{}.filter(k, k in variables.annotations)\n\
         \x20 .map(k, JSONPatch{{op: 'remove', path: '/metadata/annotations/' + jsonpatch.escapeKey(k)}})",
        cel::list(&names::GRANT_ANNOTATIONS),
    )
}

/// Leaves the annotation alone when nothing was replaced, so that a second invocation keeps what the first wrote.
fn remember_replaced() -> String {
    format!(
        "variables.replaced.size() == 0 ? []\n\
         \x20 : (has(object.metadata.annotations) ? []\n\
         \x20     : [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{}}}}])\n\
         \x20   + [JSONPatch{{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey({}),\n\
         \x20       value: '{{' + variables.replaced.join(',') + '}}'}}]",
        cel::text(names::REPLACED_ENV),
    )
}

/// The two entries stand first in the list, so that `$(DB_POOL_SIZE)` in a later entry still resolves.
/// `dyn` because a CEL map holds values of one type only, and ours holds a string beside a map.
fn bind_env() -> String {
    let entry = |index: u8, annotation: &str| {
        format!(
            "{{'name': dyn(variables.knobs[{index}]),\n\
             \x20       'valueFrom': dyn({{'fieldRef': {{'fieldPath': \"metadata.annotations['{annotation}']\"}}}})}}"
        )
    };
    format!(
        "variables.bound || variables.index < 0 || variables.knobs.size() != 2 ? []\n\
         \x20 : [JSONPatch{{op: 'add', path: '/spec/containers/' + string(variables.index) + '/env',\n\
         \x20     value: dyn([{},\n\
         \x20       {}])\n\
         \x20       + dyn(variables.env.filter(e, !(e.name in variables.knobs)))}}]",
        entry(0, names::POOL_SIZE),
        entry(1, names::MAX_OVERFLOW),
    )
}
