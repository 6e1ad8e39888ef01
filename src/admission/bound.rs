//! The last look: a gated pod whose containers would not read the grant is refused.
//!
//! In: the table of `profile`. Out: a policy on new pods. It sees a pod after all changes, so it finds what an injector
//! did after the gate. The operator would never grant such a pod; here its creator gets an error at once that names the
//! problem. What the check refuses (missing containers, too many of them, bad names of variables) is left to the check.

use super::cel;
use super::gate;
use super::guard;
use super::policy::{Action, Named, PLAIN, Policy, Reason, Rule};
use super::workload;
use crate::api::names;

/// The name of the policy and of its binding.
pub const NAME: &str = "check-bound.poolbudget.dev";

/// The policy.
#[must_use]
pub fn policy() -> Policy {
    let annotations = "variables.annotations";
    Policy {
        name: NAME,
        purpose: "Refuses a pod whose container, once all others have changed it, does not read the pool size that it \
                  will be granted.",
        requests: workload::pods(),
        labelled_only: true,
        conditions: vec![
            Named::new("gated", guard::gated("object")),
            Named::new(
                "in-bounds",
                cel::in_bounds("object.spec", &cel::annotations("object.metadata"), cel::POD),
            ),
        ],
        variables: vec![
            Named::new("annotations", cel::annotations("object.metadata")),
            Named::new("profile", cel::profile(annotations)),
            Named::new("containers", cel::container_names("object.spec")),
            Named::new("named", cel::named_containers(annotations, "variables.containers")),
            Named::new("entries", gate::entries(annotations)),
            Named::new("unbound", unbound()),
        ],
        action: Action::Refuse(
            Reason::Invalid,
            vec![Rule::new(
                "variables.unbound.size() == 0",
                format!(
                    "the container that opens connections must read its pool size from the grant, as the gate policy sets \
                     it: name the container in {}, and keep other mutating admission from changing its env",
                    names::CONTAINER
                ),
                "variables.unbound.join(', ') + ' does not'",
            )],
        ),
        ..PLAIN
    }
}

/// The containers that open connections and do not read every variable from the grant. Of entries with the same name
/// the last one counts, as it does for the kubelet.
fn unbound() -> String {
    let last = "c.env.filter(v, v.name == e[0])";
    let last = format!("{last}[{last}.size() - 1]");
    format!(
        "variables.entries.size() == 0 || variables.named.size() > {} ? []\n\
         \x20 : ({} + {})\n\
         \x20   .filter(c, c.name in variables.named && !variables.entries.all(e,\n\
         \x20     c.?env.orValue([]).exists(v, v.name == e[0])\n\
         \x20     && (e[1].startsWith('=') ? {last}.?value.orValue('') == e[1].substring(1)\n\
         \x20       : {last}.?valueFrom.?fieldRef.?fieldPath.orValue('') == \"metadata.annotations['\" + e[1] + \"']\")))\n\
         \x20   .map(c, c.name)",
        names::MAX_CONTAINERS,
        cel::containers("object.spec"),
        cel::init_containers("object.spec"),
    )
}
