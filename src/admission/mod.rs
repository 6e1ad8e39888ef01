//! The policies that give a pod its gate and its late-bound env, and that say who may touch them.
//!
//! In: the [`Settings`] of an installation. Out: Kubernetes objects, or their text. Forbidden: state, a
//! call to the API server, a decision about sizes.
//!
//! | file | rule | object |
//! |---|---|---|
//! | `gate` | a labelled pod is created gated, with env that reads its grant | MutatingAdmissionPolicy |
//! | `mirror` | a workload's label and annotations are copied to its template | MutatingAdmissionPolicy |
//! | `guard` | only the operator opens gates, writes grants and the status, moves pods | ValidatingAdmissionPolicy |
//! | `check` | a bad label or annotation is refused with a sentence | ValidatingAdmissionPolicy |
//! | `bound` | a gated pod that would not read its grant is refused | ValidatingAdmissionPolicy |
//! | `confine` | the operator's own accounts do no more than it ever asks for | ValidatingAdmissionPolicy |
//! | `deny` | under `infeasiblePolicy: Deny`, replicas that can never fit are refused | ValidatingAdmissionPolicy |
//!
//! Gate, mirror and check have a twin in Rust, `native` beside the policy. With it `plan` and `inject` say without a
//! cluster what the policies would do (`request`), and `crate::webhook` answers where the cluster cannot evaluate them.
//! Each policy and its twin must pass the same table of cases, which is in neither language:
//! `tests/admission/gate.yaml`, `mirror.yaml`, `check.yaml`. The policies share `cel`, the twins share `object`.

pub mod bound;
mod cel;
pub(crate) mod chart;
pub mod check;
pub mod confine;
pub mod deny;
pub mod gate;
pub mod guard;
pub mod mirror;
mod object;
pub(crate) mod policy;
pub mod request;
mod workload;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::admissionregistration::v1::MatchResources;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

pub use chart::{chart_crd, chart_policies};
pub use policy::{Object, Policy};

/// What differs between two installations of the policies.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What happens to a request when a policy cannot be evaluated.
    pub failure_policy: FailurePolicy,
    /// The user names under which the operator and `poolbudget release` write.
    pub operators: Vec<String>,
    /// Labels for every object.
    pub labels: BTreeMap<String, String>,
    /// The namespaces in which the policies are in force; empty means all.
    pub namespaces: LabelSelector,
}

/// What happens to a request when a policy cannot be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The request is refused: no pod escapes the gate.
    #[default]
    Fail,
    /// The request passes: a pod that escapes the gate starts with the sizes of its own env.
    Ignore,
}

impl fmt::Display for FailurePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::Ignore => "Ignore",
        })
    }
}

impl FromStr for FailurePolicy {
    type Err = UnknownFailurePolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Fail" => Ok(Self::Fail),
            "Ignore" => Ok(Self::Ignore),
            other => Err(UnknownFailurePolicy(other.to_owned())),
        }
    }
}

/// A text that is not a failure policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure policy is Fail or Ignore, not '{0}'")]
pub struct UnknownFailurePolicy(String);

impl Settings {
    /// The settings for an operator that runs as this ServiceAccount; `poolbudget release` runs as the one with the
    /// same name and the suffix `-release`.
    #[must_use]
    pub fn for_service_account(namespace: &str, name: &str) -> Self {
        let user = |name: &str| format!("system:serviceaccount:{namespace}:{name}");
        Self {
            failure_policy: FailurePolicy::default(),
            operators: vec![user(name), user(&format!("{name}-release"))],
            labels: [("app.kubernetes.io/name".to_owned(), "poolbudget".to_owned())].into(),
            namespaces: LabelSelector::default(),
        }
    }

    pub(crate) fn metadata(&self, name: &str) -> ObjectMeta {
        ObjectMeta { name: Some(name.to_owned()), labels: Some(self.labels.clone()), ..ObjectMeta::default() }
    }

    fn scope(&self) -> MatchResources {
        MatchResources { namespace_selector: Some(self.namespaces.clone()), ..MatchResources::default() }
    }
}

/// Every policy, in the order in which they see a request.
#[must_use]
pub fn policies(settings: &Settings) -> Vec<Policy> {
    let mut policies = replaceable();
    policies.extend(staying(settings));
    policies
}

/// The policies that the webhook can replace, in the order in which they see a request.
fn replaceable() -> Vec<Policy> {
    vec![mirror::policy(), gate::policy(), check::workloads(), check::pods()]
}

/// The policies that stay where the webhook is in use: they need nothing newer than scheduling gates. As a webhook,
/// `deny` would be asked about every scale-up of the cluster.
pub(crate) fn staying(settings: &Settings) -> Vec<Policy> {
    let operators = &settings.operators;
    let mut staying = vec![
        deny::policy(),
        guard::pods(operators),
        guard::bindings(),
        guard::statuses(operators),
        bound::policy(),
    ];
    // A user who chose Ignore prefers an unguarded pod to no pod.
    if settings.failure_policy == FailurePolicy::Fail {
        staying.push(guard::births());
    }
    staying.extend(confine::policies(operators));
    staying
}

/// Every policy and its binding, in the order in which they are to be applied.
#[must_use]
pub fn objects(settings: &Settings) -> Vec<Object> {
    installed(policies(settings), settings)
}

/// These policies, each with its binding.
pub(crate) fn installed(policies: Vec<Policy>, settings: &Settings) -> Vec<Object> {
    policies.into_iter().flat_map(|policy| policy.objects(settings)).collect()
}

/// Objects as a YAML stream.
///
/// # Errors
///
/// When an object cannot be written as YAML.
pub fn render(objects: &[Object]) -> Result<String, serde_yaml::ser::Error> {
    let documents: Result<Vec<String>, _> = objects.iter().map(serde_yaml::to_string).collect();
    Ok(documents?.join("---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::WorkloadKind;

    #[test]
    fn a_failure_policy_reads_back_as_it_is_written() {
        for policy in [FailurePolicy::Fail, FailurePolicy::Ignore] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let error = "fail".parse::<FailurePolicy>().unwrap_err();
        assert_eq!(error.to_string(), "a failure policy is Fail or Ignore, not 'fail'");
    }

    /// The policy and the binding of each rule, as JSON.
    fn pairs(settings: &Settings) -> Vec<[serde_json::Value; 2]> {
        let json = |object| serde_json::to_value(object).unwrap();
        objects(settings).chunks(2).map(|pair| [json(&pair[0]), json(&pair[1])]).collect()
    }

    #[test]
    fn every_policy_comes_with_its_binding_and_the_settings_reach_both() {
        let mut settings = Settings::for_service_account("here", "someone");
        settings.failure_policy = FailurePolicy::Ignore;
        settings.namespaces.match_labels = Some([("team".to_owned(), "shop".to_owned())].into());
        for [policy, binding] in pairs(&settings) {
            assert_eq!(binding["kind"], format!("{}Binding", policy["kind"].as_str().unwrap()));
            assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
            // The failure policy of what confines the operator itself cannot be chosen.
            if policy["metadata"]["name"].as_str().unwrap().starts_with("confine-") {
                assert_eq!(policy["spec"]["failurePolicy"], "Fail");
                assert_eq!(binding["spec"]["matchResources"], serde_json::Value::Null);
                continue;
            }
            assert_eq!(policy["spec"]["failurePolicy"], "Ignore");
            assert_eq!(binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]["team"], "shop");
        }
        assert!(render(&objects(&settings)).unwrap().contains("'system:serviceaccount:here:someone'"));
    }

    #[test]
    fn what_depends_on_a_resource_of_ours_never_stands_in_the_way_when_that_is_missing() {
        for [policy, binding] in pairs(&Settings::for_service_account("here", "someone")) {
            let name = &policy["metadata"]["name"];
            let depends = policy.to_string().contains("params.");
            assert_eq!(depends, *name == deny::NAME, "{name}");
            assert_eq!(policy["spec"]["paramKind"].is_object(), depends, "{name}");
            assert_eq!(policy["spec"]["failurePolicy"], if depends { "Ignore" } else { "Fail" }, "{name}");
            assert_eq!(binding["spec"]["paramRef"]["parameterNotFoundAction"] == "Allow", depends, "{name}");
        }
    }

    #[test]
    fn a_policy_about_a_kind_of_workload_names_it_as_the_table_of_kinds_does() {
        for [policy, _] in pairs(&Settings::for_service_account("here", "someone")) {
            for rule in policy["spec"]["matchConstraints"]["resourceRules"].as_array().unwrap() {
                for resource in rule["resources"].as_array().unwrap() {
                    let plural = resource.as_str().unwrap().split('/').next().unwrap();
                    let kind = WorkloadKind::ALL.into_iter().find(|kind| kind.facts().plural == plural);
                    let Some(facts) = kind.map(WorkloadKind::facts) else { continue };
                    let named = (&rule["apiGroups"][0], &rule["apiVersions"][0]);
                    assert_eq!(named, (&facts.group.into(), &facts.version.into()), "{plural}");
                }
            }
        }
    }
}
