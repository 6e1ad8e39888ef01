//! The guard: only the operator may open a gate, write a grant or move a pod between budgets, and no pod of a budget is
//! created without a gate.
//!
//! In: the operator's user names. Out: four policies: on new pods, on updates of pods, on bindings, on the status of
//! budgets. What does not affect the ledger passes: other labels and annotations, other gates, the kubelet's status.
//!
//! Both ways to a pod's metadata besides `pods` itself are covered: `pods/status` writes labels and
//! annotations, and the annotations and labels of a Binding are copied onto the pod. The subresources
//! `ephemeralcontainers` and `resize` keep the metadata of the old pod.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::Resource as _;

use super::cel;
use super::policy::{Action, Named, PLAIN, Policy, Reason, Requests, Rule};
use super::workload;
use crate::api::DbConnectionBudget;
use crate::api::names::{self, OnPods};

/// The name of the policy on pods and of its binding.
pub const NAME: &str = "guard.poolbudget.dev";

/// The name of the policy on new pods and of its binding.
pub const BIRTHS_NAME: &str = "guard-births.poolbudget.dev";

/// The name of the policy on bindings and of its binding.
pub const BINDINGS_NAME: &str = "guard-bindings.poolbudget.dev";

/// The name of the policy on the status of budgets and of its binding.
pub const STATUS_NAME: &str = "guard-status.poolbudget.dev";

/// Whether the installed policy on pods lets this user open gates.
#[must_use]
pub fn lets(policy: &ValidatingAdmissionPolicy, user: &str) -> bool {
    let conditions = policy.spec.iter().flat_map(|spec| spec.match_conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.expression.contains(&cel::text(user)))
}

/// The policy on new pods. What gives pods their gate takes effect some time after its installation, and can be
/// exchanged (policies for the webhook, and back). Meanwhile this policy refuses pods; their controllers try again.
#[must_use]
pub fn births() -> Policy {
    Policy {
        name: BIRTHS_NAME,
        purpose: "Refuses a pod with a budget label that nothing has given a gate.",
        requests: workload::pods(),
        labelled_only: true,
        // A pod that is created on a node cannot have a gate: the check refuses it, except for mirror pods of kubelets.
        conditions: vec![Named::new("without-a-node", format!("{} == ''", cel::node("object")))],
        action: Action::Refuse(
            Reason::Forbidden,
            vec![Rule::new(
                gated("object"),
                format!("a pod of a budget is born with the gate {}", names::GATE),
                "'what gives it one is not in force at this moment, try again'",
            )],
        ),
        ..PLAIN
    }
}

/// The policy on pods. `operators` are the user names that may do everything that it refuses.
#[must_use]
pub fn pods(operators: &[String]) -> Policy {
    Policy {
        name: NAME,
        purpose: "Lets nobody but poolbudget open the gate of a pod, change its grant, or move it to another \
                  budget.",
        requests: vec![Requests::core(&["UPDATE"], &["pods", "pods/status"])],
        labelled_only: true,
        conditions: vec![not_of(operators)],
        variables: vec![
            Named::new("annotations", cel::annotations("object.metadata")),
            Named::new("oldAnnotations", cel::annotations("oldObject.metadata")),
            Named::new("grant", changed(&names::on_pods(OnPods::Operator).collect::<Vec<_>>())),
            Named::new("app", changed(&born_with())),
        ],
        action: Action::Refuse(
            Reason::Forbidden,
            vec![gate_stays_shut(), grant_stays(), budget_stays(), workload_stays(), app_stays()],
        ),
        ..PLAIN
    }
}

/// The policy on the status of budgets: it records grants in flight and the quarantine. A role with all rights in a
/// namespace includes it.
#[must_use]
pub fn statuses(operators: &[String]) -> Policy {
    Policy {
        name: STATUS_NAME,
        purpose: "Lets nobody but poolbudget write the status of a budget, which is part of the sum.",
        // No label selector: a budget does not have the label of its pods.
        requests: vec![Requests {
            group: names::GROUP,
            version: "*",
            operations: &["UPDATE"],
            resources: vec![format!("{}/status", DbConnectionBudget::plural(&()))],
        }],
        conditions: vec![not_of(operators)],
        action: Action::Refuse(
            Reason::Forbidden,
            vec![Rule::new(
                "false",
                "only poolbudget may write the status of a budget",
                format!(
                    "'to stop counting a pod that is gone, name it in the annotation ' + {}",
                    cel::text(names::FORGET)
                ),
            )],
        ),
        ..PLAIN
    }
}

/// Requests from everybody except these users.
fn not_of(operators: &[String]) -> Named {
    let operators: Vec<&str> = operators.iter().map(String::as_str).collect();
    Named::new("not-the-operator", format!("!(request.userInfo.username in {})", cel::list(&operators)))
}

/// The policy on bindings.
#[must_use]
pub fn bindings() -> Policy {
    let prefix = cel::text(&format!("{}/", names::GROUP));
    let ours = |map: &str| format!("object.metadata.?{map}.orValue({{}}).exists(k, k.startsWith({prefix}))");
    Policy {
        name: BINDINGS_NAME,
        purpose: "Keeps a binding from writing poolbudget's labels and annotations onto the pod that it binds.",
        // No label selector: a Binding does not have the labels of its pod.
        requests: vec![Requests::core(&["CREATE"], &["bindings", "pods/binding"])],
        conditions: vec![Named::new(
            "carries-our-names",
            format!("{} || {}", ours("annotations"), ours("labels")),
        )],
        action: Action::Refuse(
            Reason::Forbidden,
            vec![Rule::new(
                "false",
                format!("a binding must not carry labels or annotations of {}", names::GROUP),
                "'bind the pod without them'",
            )],
        ),
        ..PLAIN
    }
}

/// Annotations that a pod is created with and keeps: the ledger multiplies by their numbers.
fn born_with() -> Vec<&'static str> {
    names::on_pods(OnPods::Birth).chain([names::DEFAULT_CONTAINER]).collect()
}

/// The keys that this write adds, changes or removes.
fn changed(keys: &[&str]) -> String {
    format!("{}.filter(k, variables.annotations[?k] != variables.oldAnnotations[?k])", cel::list(keys))
}

/// Whether a pod has our gate.
pub(super) fn gated(pod: &str) -> String {
    format!("{pod}.spec.?schedulingGates.orValue([]).exists(g, g.name == {})", cel::text(names::GATE))
}

fn gate_stays_shut() -> Rule {
    Rule::new(
        format!("{} || !{}", gated("object"), gated("oldObject")),
        format!("only poolbudget opens the gate {}", names::GATE),
        format!(
            "'it does so when the connections of the pod fit into the budget '\n\
             \x20 + oldObject.metadata.?labels[?{}].orValue('')",
            cel::text(names::BUDGET)
        ),
    )
}

fn grant_stays() -> Rule {
    Rule::new(
        "variables.grant.size() == 0",
        "only poolbudget may write the grant of a pod",
        "'this write changes ' + variables.grant.join(', ')",
    )
}

fn budget_stays() -> Rule {
    label_stays(
        names::BUDGET,
        "a pod cannot move to another budget, change the label on its workload instead",
    )
}

fn workload_stays() -> Rule {
    label_stays(
        names::WORKLOAD,
        "a pod cannot move to another workload, change the label in the pod template instead",
    )
}

fn label_stays(label: &str, allowed: &str) -> Rule {
    let key = cel::text(label);
    Rule::new(
        format!("object.metadata.?labels[?{key}] == oldObject.metadata.?labels[?{key}]"),
        allowed,
        format!("'this write changes the label ' + {key}"),
    )
}

fn app_stays() -> Rule {
    Rule::new(
        "variables.app.size() == 0",
        "the annotations by which poolbudget counts a pod cannot change, annotate its workload instead",
        "'this write changes ' + variables.app.join(', ')",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_watches_every_name_that_is_believed_on_a_pod() {
        let Policy { variables, action: Action::Refuse(_, rules), .. } = pods(&[]) else {
            panic!("the guard refuses");
        };
        let text: String =
            variables.iter().map(|v| &v.expression).chain(rules.iter().map(|r| &r.holds)).cloned().collect();
        for (name, who) in names::ON_PODS {
            assert_eq!(text.contains(&cel::text(name)), !matches!(who, OnPods::Free(_)), "{name}");
        }
    }
}
