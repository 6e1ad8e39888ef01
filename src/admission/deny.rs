//! The denial: if a budget says so, a request for replicas that can never fit is refused.
//!
//! In: the largest replicas that the leader states in the budget's status. Out: a policy on workloads and on
//! their `scale`, evaluated once for each budget of the namespace.
//!
//! It is a courtesy to whoever scales; the gate, not this policy, enforces the sum. So it lets everything pass that it
//! cannot judge: no status yet, no budgets, no resource of ours at all ([`Action::RefuseByBudget`]). It also passes
//! fewer replicas than before, and any other change at the same number, however far above they are.

use super::cel;
use super::policy::{Action, Named, PLAIN, Policy, Requests, Rule};
use super::workload;
use crate::api::{WorkloadKind, names};

/// The name of the policy and of its binding.
pub const NAME: &str = "deny.poolbudget.dev";

/// The policy on workloads and their scale.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        name: NAME,
        purpose: "Refuses replicas that can never fit, where the budget says infeasiblePolicy: Deny.",
        // No label selector: a Scale has the name of its workload but none of its labels.
        requests: requests(),
        conditions: vec![
            Named::new("more-than-before", format!("{} > {}", replicas("object"), replicas_before())),
            Named::new("the-budget-denies", "params.spec.?infeasiblePolicy.orValue('Wait') == 'Deny'"),
        ],
        variables: vec![
            Named::new("kind", format!("{}[request.resource.resource]", kinds())),
            Named::new("wanted", replicas("object")),
            Named::new("limits", limits()),
        ],
        action: Action::RefuseByBudget(vec![fits()]),
        ..PLAIN
    }
}

fn requests() -> Vec<Requests> {
    let with_scale = |resource: String| {
        let scale = format!("{resource}/scale");
        [resource, scale]
    };
    let mut requests = workload::writes(WorkloadKind::scales);
    for request in &mut requests {
        request.resources = std::mem::take(&mut request.resources).into_iter().flat_map(with_scale).collect();
    }
    requests
}

/// The kind of each resource.
fn kinds() -> String {
    let scaled = WorkloadKind::ALL.into_iter().filter(|kind| kind.scales());
    let pairs: Vec<String> = scaled
        .map(|kind| format!("{}: {}", cel::text(kind.facts().plural), cel::text(&kind.to_string())))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The replicas of a workload or of a Scale; a Scale omits 0.
fn replicas(object: &str) -> String {
    format!("{object}.spec.?replicas.orValue(0)")
}

fn replicas_before() -> String {
    format!("(oldObject == null ? 0 : {})", replicas("oldObject"))
}

/// What the budget states about this workload: one number, or none when the workload is not in the budget or leaves it
/// with this write. `dyn`, because a Scale does not have the fields of a workload.
fn limits() -> String {
    format!(
        "params.?status.?workloads.orValue([])\n\
         \x20 .filter(w, has(w.largestReplicas) && w.kind == variables.kind && w.name == object.metadata.?name.orValue('')\n\
         \x20   && (request.subResource == 'scale'\n\
         \x20     || dyn(object).spec.?template.?metadata.?labels[?{}].orValue('') == params.metadata.name))\n\
         \x20 .map(w, w.largestReplicas)",
        cel::text(names::BUDGET)
    )
}

fn fits() -> Rule {
    Rule::new(
        "variables.limits.all(n, variables.wanted <= n)",
        "the budget denies replicas that can never fit",
        "'beside the other workloads of ' + params.metadata.name + ' at most ' + string(variables.limits[0])\n\
         \x20 + ' of ' + variables.kind + '/' + object.metadata.name + ' fit, and '\n\
         \x20 + string(variables.wanted) + ' are asked for'",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_scales_is_watched_under_its_group_and_version_with_its_scale() {
        let policy = policy();
        for kind in WorkloadKind::ALL {
            let facts = kind.facts();
            let ours =
                |requests: &&Requests| (requests.group, requests.version) == (facts.group, facts.version);
            let resources: Vec<&String> =
                policy.requests.iter().filter(ours).flat_map(|requests| &requests.resources).collect();
            for resource in [facts.plural.to_owned(), format!("{}/scale", facts.plural)] {
                assert_eq!(resources.contains(&&resource), facts.scales, "{resource}");
            }
        }
    }
}
