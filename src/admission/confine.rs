//! The confinement: limits what the operator's own accounts may do with their rights.
//!
//! In: their user names. Out: policies that see the requests of these accounts and refuse what neither the operator nor
//! `poolbudget release` ever asks for. RBAC cannot tell a labelled pod from another one, or a gate from an image:
//! whoever has stolen a token has what RBAC gives, less what is refused here. `docs/trust.md` says what is left.
//!
//! They are in force in every namespace and refuse what they cannot evaluate, whatever the installation has chosen for
//! others. What another admission plugin changes in the same request counts as changed by the account. Subresources for
//! which RBAC gives neither account a right are not checked: kubelets write statuses all the time.

use super::cel;
use super::guard::gated;
use super::policy::{Action, Named, PLAIN, Policy, Reason, Requests, Rule, Scope};
use crate::api::WorkloadKind;
use crate::api::kinds::Facts;
use crate::api::names::{self, OnPods};

/// The name of the policy on pods and of its binding.
pub const PODS_NAME: &str = "confine-pods.poolbudget.dev";

/// The name of the policy on the scale of ReplicaSets and of its binding.
pub const SCALE_NAME: &str = "confine-scale.poolbudget.dev";

/// The name of the policy on Secrets and of its binding.
pub const SECRETS_NAME: &str = "confine-secrets.poolbudget.dev";

/// The metadata fields that the API server itself maintains.
const COUNTED: [&str; 3] = ["managedFields", "resourceVersion", "generation"];

/// All of these policies.
#[must_use]
pub fn policies(accounts: &[String]) -> Vec<Policy> {
    vec![pods(accounts), scale(accounts), secrets(accounts)]
}

/// A pod is granted or taken over once, while it waits. No pod may be created, and only pods of budgets may be deleted.
fn pods(accounts: &[String]) -> Policy {
    let requests = Requests::core(&["CREATE", "UPDATE", "DELETE"], &["pods"]);
    Policy {
        variables: vec![
            Named::new("annotations", cel::annotations("object.metadata")),
            Named::new("oldAnnotations", cel::annotations("oldObject.metadata")),
            Named::new("gates", gates("object")),
            Named::new("oldGates", gates("oldObject")),
        ],
        ..confining(
            PODS_NAME,
            "Lets the accounts of poolbudget do nothing to pods but grant those of budgets that wait, and delete \
             those of budgets.",
            requests,
            accounts,
            vec![
                Rule::new(
                    "request.operation != 'CREATE' || (has(request.dryRun) && request.dryRun)",
                    "the accounts of poolbudget create no pods except as a dry run",
                    "'this request is no dry run'",
                ),
                Rule::new(
                    format!("request.operation == 'CREATE' || {}", cel::governed("oldObject.metadata")),
                    format!(
                        "the accounts of poolbudget may write and delete only pods with the label {}",
                        names::BUDGET
                    ),
                    "'this one does not bear it'",
                ),
                spec_stays(),
                metadata_stays(),
                grant_opens(),
                only_waiting_pods_are_taken_over(),
            ],
        )
    }
}

/// The common parts of a policy on requests of these accounts.
fn confining(
    name: &'static str,
    purpose: &'static str,
    requests: Requests,
    accounts: &[String],
    rules: Vec<Rule>,
) -> Policy {
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    Policy {
        name,
        purpose,
        requests: vec![requests],
        scope: Scope::Always,
        conditions: vec![Named::new(
            "an-account-of-poolbudget",
            format!("request.userInfo.username in {}", cel::list(&accounts)),
        )],
        action: Action::Refuse(Reason::Forbidden, rules),
        ..PLAIN
    }
}

fn gates(pod: &str) -> String {
    format!("{pod}.spec.?schedulingGates.orValue([])")
}

/// Whether two maps are equal except for these keys.
fn same(new: &str, old: &str, but: &[&str]) -> String {
    let but = cel::list(but);
    format!(
        "(dyn({new}).all(k, k in {but} || (k in dyn({old}) && dyn({new})[k] == dyn({old})[k]))\n\
         \x20 && dyn({old}).all(k, k in {but} || k in dyn({new})))"
    )
}

fn on_update(holds: &str) -> String {
    format!("request.operation != 'UPDATE' || ({holds})")
}

fn spec_stays() -> Rule {
    Rule::new(
        on_update(&format!(
            "{}\n\
             \x20 && (variables.gates == variables.oldGates\n\
             \x20   || variables.gates == variables.oldGates.filter(g, g.name != {}))",
            same("object.spec", "oldObject.spec", &["schedulingGates"]),
            cel::text(names::GATE),
        )),
        format!(
            "the accounts of poolbudget may change nothing in the spec of a pod except its gate {}",
            names::GATE
        ),
        "'this write does'",
    )
}

fn metadata_stays() -> Rule {
    let mut but = COUNTED.to_vec();
    but.push("annotations");
    Rule::new(
        on_update(&format!(
            "{}\n  && {}",
            same("object.metadata", "oldObject.metadata", &but),
            same("variables.annotations", "variables.oldAnnotations", &written_on_pods()),
        )),
        format!(
            "the accounts of poolbudget may change nothing in the metadata of a pod except {}",
            written_on_pods().join(", ")
        ),
        "'this write does'",
    )
}

/// What the operator writes on pods.
fn written_on_pods() -> Vec<&'static str> {
    names::on_pods(OnPods::Operator).collect()
}

/// If a grant could be written later, a pod could hold more than it is counted with.
fn grant_opens() -> Rule {
    Rule::new(
        on_update(&format!(
            "{}.all(k, variables.annotations[?k] == variables.oldAnnotations[?k]) || ({} && !{})",
            cel::list(&names::GRANT_ANNOTATIONS),
            gated("oldObject"),
            gated("object"),
        )),
        "a grant can be written only once, by the write that opens the gate",
        "'this write opens none'",
    )
}

fn only_waiting_pods_are_taken_over() -> Rule {
    let key = cel::text(names::TAKEN_OVER_BY);
    Rule::new(
        on_update(&format!(
            "variables.annotations[?{key}] == variables.oldAnnotations[?{key}] || {}",
            gated("object")
        )),
        format!("{} is written on pods that wait alone", names::TAKEN_OVER_BY),
        "'this one does not wait'",
    )
}

/// Adoption of a full database scales one old ReplicaSet down by one at a time. A Scale has no labels.
fn scale(accounts: &[String]) -> Policy {
    let Facts { group, version, plural, .. } = WorkloadKind::ReplicaSet.facts();
    let requests =
        Requests { group, version, operations: &["UPDATE"], resources: vec![format!("{plural}/scale")] };
    let rule = Rule::new(
        "object.spec.?replicas.orValue(0) == oldObject.spec.?replicas.orValue(0) - 1",
        "the accounts of poolbudget may scale ReplicaSets only down, and only by one",
        "'from ' + string(oldObject.spec.?replicas.orValue(0)) + ' this write goes to '\n\
         \x20 + string(object.spec.?replicas.orValue(0))",
    );
    confining(
        SCALE_NAME,
        "Lets the accounts of poolbudget scale ReplicaSets by nothing but one replica less.",
        requests,
        accounts,
        vec![rule],
    )
}

/// RBAC cannot limit a create to a name, and a Secret of another type can ask for the token of another account.
fn secrets(accounts: &[String]) -> Policy {
    let requests = Requests::core(&["CREATE", "UPDATE"], &["secrets"]);
    let rule = Rule::new(
        format!(
            "object.metadata.?name.orValue('') == {}\n\
             \x20 && (request.operation == 'UPDATE' || object.?type.orValue('') == 'kubernetes.io/tls')",
            cel::text(names::WEBHOOK_SECRET)
        ),
        format!(
            "the accounts of poolbudget may write only the Secret {}, and only with type kubernetes.io/tls",
            names::WEBHOOK_SECRET
        ),
        "'this is another one'",
    );
    confining(
        SECRETS_NAME,
        "Lets the accounts of poolbudget write no Secret but the certificate of its webhook.",
        requests,
        accounts,
        vec![rule],
    )
}
