//! One admission policy as the rest of this folder writes it, and its two Kubernetes objects.
//!
//! In: a [`Policy`] and the [`Settings`] of an installation. Out: the policy object and its binding, in
//! the types of the Kubernetes API. What a policy says is not decided here.
//!
//! If the CRD of a policy's parameter resource is missing when the API server starts, the policy cannot be evaluated:
//! with the failure policy Fail it would refuse every matching write. So policies with parameters let it pass instead.

use k8s_openapi::api::admissionregistration::v1::{
    JSONPatch, MatchCondition, MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    MutatingAdmissionPolicyBindingSpec, MutatingAdmissionPolicySpec, MutatingWebhookConfiguration, Mutation,
    NamedRuleWithOperations, ParamKind, ParamRef, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
    ValidatingWebhookConfiguration, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use kube::Resource as _;
use serde::Serialize;

use super::{FailurePolicy, Settings};
use crate::api::{DbConnectionBudget, names};

/// The well-known annotation that says what a cluster object is for.
pub(crate) const DESCRIPTION: &str = "kubernetes.io/description";

/// A policy: which requests it sees, what it computes from them, and what it does.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The name of the policy and of its binding.
    pub name: &'static str,
    /// What it is for, in a sentence; shown on the object.
    pub purpose: &'static str,
    pub(crate) requests: Vec<Requests>,
    /// Sees only objects that have the budget label, before or after the write.
    pub(super) labelled_only: bool,
    pub(super) scope: Scope,
    pub(super) conditions: Vec<Named>,
    pub(super) variables: Vec<Named>,
    pub(super) action: Action,
}

/// Where a policy is in force, and what happens when it cannot be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// As the installation has chosen.
    Chosen,
    /// In every namespace, and what cannot be judged is refused: it concerns only our own accounts.
    Always,
}

/// Requests of one API group.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) operations: &'static [&'static str],
    pub(super) resources: Vec<String>,
}

/// A CEL expression with a name: a match condition or a variable.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: &'static str,
    pub(super) expression: String,
}

/// What a policy does with a request that it sees.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Applies the JSON patch that this expression gives.
    Patch(String),
    /// Refuses the request unless every rule holds.
    Refuse(Reason, Vec<Rule>),
    /// The same, once for each budget of the object's namespace, which is `params`. A request passes when there is no
    /// budget, and when a budget cannot be read.
    RefuseByBudget(Vec<Rule>),
}

/// The class of a refusal: what the caller's HTTP status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 403: valid, but not for this caller.
    Forbidden,
    /// 422: wrong, whoever asks.
    Invalid,
}

/// A rule of a refusing policy.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// CEL that is true when the request may pass.
    pub(super) holds: String,
    /// What is allowed, in a sentence without a full stop.
    pub(super) allowed: String,
    /// CEL for what was found instead; the rest of the sentence.
    pub(super) found: String,
    /// Whether the sentence says first what was found.
    pub(super) found_first: bool,
}

/// A Kubernetes object of an installed policy.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Object {
    /// A policy that changes objects.
    Mutating(Box<MutatingAdmissionPolicy>),
    /// The binding that puts it into force.
    MutatingBinding(Box<MutatingAdmissionPolicyBinding>),
    /// A policy that refuses requests.
    Validating(Box<ValidatingAdmissionPolicy>),
    /// The binding that puts it into force.
    ValidatingBinding(Box<ValidatingAdmissionPolicyBinding>),
    /// Makes API servers ask the webhook to change objects.
    MutatingWebhooks(Box<MutatingWebhookConfiguration>),
    /// Makes API servers ask the webhook to judge objects.
    ValidatingWebhooks(Box<ValidatingWebhookConfiguration>),
}

impl Object {
    /// With every budget of the namespace as parameter.
    fn by_budget(mut self) -> Self {
        match &mut self {
            Self::Validating(policy) => {
                if let Some(spec) = &mut policy.spec {
                    spec.param_kind = Some(ParamKind {
                        api_version: Some(DbConnectionBudget::api_version(&()).into_owned()),
                        kind: Some(DbConnectionBudget::kind(&()).into_owned()),
                    });
                    spec.failure_policy = Some(FailurePolicy::Ignore.to_string());
                }
            }
            Self::ValidatingBinding(binding) => {
                binding.spec.param_ref = Some(ParamRef {
                    selector: Some(LabelSelector::default()),
                    parameter_not_found_action: Some("Allow".to_owned()),
                    ..ParamRef::default()
                });
            }
            _ => {}
        }
        self
    }
}

impl Requests {
    /// For resources of the core group, such as pods.
    pub(super) fn core(operations: &'static [&'static str], resources: &[&str]) -> Self {
        let resources = resources.iter().map(|resource| (*resource).to_owned()).collect();
        Self { group: "", version: "v1", operations, resources }
    }

    /// The same in the types of the API.
    pub(crate) fn rule(&self) -> NamedRuleWithOperations {
        NamedRuleWithOperations {
            api_groups: Some(vec![self.group.to_owned()]),
            api_versions: Some(vec![self.version.to_owned()]),
            operations: Some(self.operations.iter().map(|operation| (*operation).to_owned()).collect()),
            resources: Some(self.resources.clone()),
            ..NamedRuleWithOperations::default()
        }
    }
}

impl Rule {
    /// A rule whose sentence says first what is allowed.
    pub(super) fn new(
        holds: impl Into<String>,
        allowed: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { holds: holds.into(), allowed: allowed.into(), found: found.into(), found_first: false }
    }
}

/// The default for every field of a policy: it sees every object of its requests.
pub(super) const PLAIN: Policy = Policy {
    name: "",
    purpose: "",
    requests: Vec::new(),
    labelled_only: false,
    scope: Scope::Chosen,
    conditions: Vec::new(),
    variables: Vec::new(),
    action: Action::Refuse(Reason::Forbidden, Vec::new()),
};

impl Named {
    pub(super) fn new(name: &'static str, expression: impl Into<String>) -> Self {
        Self { name, expression: expression.into() }
    }
}

impl Policy {
    /// The policy and its binding, in the order in which they are applied.
    pub(super) fn objects(self, settings: &Settings) -> [Object; 2] {
        let frame = Frame {
            name: self.name,
            purpose: self.purpose,
            settings,
            scope: self.scope,
            match_constraints: Some(self.match_constraints()),
            match_conditions: self.match_conditions(),
            variables: non_empty(self.variables.into_iter().map(variable).collect()),
        };
        match self.action {
            Action::Patch(expression) => frame.mutating(expression),
            Action::Refuse(reason, rules) => frame.validating(reason, rules),
            Action::RefuseByBudget(rules) => {
                frame.validating(Reason::Forbidden, rules).map(Object::by_budget)
            }
        }
    }

    fn match_constraints(&self) -> MatchResources {
        MatchResources {
            resource_rules: Some(self.requests.iter().map(Requests::rule).collect()),
            object_selector: self.selector(),
            ..MatchResources::default()
        }
    }

    /// Which objects it sees, by their labels before or after the write; none means all.
    pub(crate) fn selector(&self) -> Option<LabelSelector> {
        let labelled = LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: names::BUDGET.to_owned(),
                operator: "Exists".to_owned(),
                values: None,
            }]),
            match_labels: None,
        };
        self.labelled_only.then_some(labelled)
    }

    /// The conditions that narrow this down further.
    pub(crate) fn match_conditions(&self) -> Option<Vec<MatchCondition>> {
        non_empty(self.conditions.iter().map(match_condition).collect())
    }
}

/// What both kinds of policy are made of, in the types of the API.
struct Frame<'a> {
    name: &'static str,
    purpose: &'static str,
    settings: &'a Settings,
    scope: Scope,
    match_constraints: Option<MatchResources>,
    match_conditions: Option<Vec<MatchCondition>>,
    variables: Option<Vec<Variable>>,
}

impl Frame<'_> {
    fn mutating(self, expression: String) -> [Object; 2] {
        let match_resources = self.namespaces();
        let policy = MutatingAdmissionPolicy {
            metadata: self.described(),
            spec: Some(MutatingAdmissionPolicySpec {
                failure_policy: self.failure_policy(),
                // A sidecar injector may write the env list after us.
                reinvocation_policy: Some("IfNeeded".to_owned()),
                mutations: Some(vec![json_patch(expression)]),
                match_constraints: self.match_constraints,
                match_conditions: self.match_conditions,
                variables: self.variables,
                param_kind: None,
            }),
        };
        let binding = MutatingAdmissionPolicyBinding {
            metadata: self.settings.metadata(self.name),
            spec: Some(MutatingAdmissionPolicyBindingSpec {
                policy_name: Some(self.name.to_owned()),
                match_resources,
                param_ref: None,
            }),
        };
        [Object::Mutating(Box::new(policy)), Object::MutatingBinding(Box::new(binding))]
    }

    fn validating(self, reason: Reason, rules: Vec<Rule>) -> [Object; 2] {
        let match_resources = self.namespaces();
        let policy = ValidatingAdmissionPolicy {
            metadata: self.described(),
            spec: Some(ValidatingAdmissionPolicySpec {
                failure_policy: self.failure_policy(),
                validations: Some(rules.into_iter().map(|rule| validation(reason, rule)).collect()),
                match_constraints: self.match_constraints,
                match_conditions: self.match_conditions,
                variables: self.variables,
                param_kind: None,
                audit_annotations: None,
            }),
            status: None,
        };
        let binding = ValidatingAdmissionPolicyBinding {
            metadata: self.settings.metadata(self.name),
            spec: ValidatingAdmissionPolicyBindingSpec {
                policy_name: self.name.to_owned(),
                validation_actions: vec!["Deny".to_owned()],
                match_resources,
                param_ref: None,
            },
        };
        [Object::Validating(Box::new(policy)), Object::ValidatingBinding(Box::new(binding))]
    }

    fn described(&self) -> ObjectMeta {
        let mut metadata = self.settings.metadata(self.name);
        metadata.annotations = Some([(DESCRIPTION.to_owned(), self.purpose.to_owned())].into());
        metadata
    }

    fn failure_policy(&self) -> Option<String> {
        Some(match self.scope {
            Scope::Chosen => self.settings.failure_policy.to_string(),
            Scope::Always => FailurePolicy::Fail.to_string(),
        })
    }

    fn namespaces(&self) -> Option<MatchResources> {
        (self.scope == Scope::Chosen).then(|| self.settings.scope())
    }
}

fn match_condition(condition: &Named) -> MatchCondition {
    MatchCondition { name: condition.name.to_owned(), expression: condition.expression.clone() }
}

fn variable(variable: Named) -> Variable {
    Variable { name: variable.name.to_owned(), expression: variable.expression }
}

fn json_patch(expression: String) -> Mutation {
    Mutation {
        patch_type: "JSONPatch".to_owned(),
        json_patch: Some(JSONPatch { expression: Some(expression) }),
        apply_configuration: None,
    }
}

/// The caller reads `message` alone when `messageExpression` yields a line break or too much text.
fn validation(reason: Reason, rule: Rule) -> Validation {
    let sentence = if rule.found_first {
        format!("{} + \"; {}\"", rule.found, rule.allowed)
    } else {
        format!("\"{}; \" + {}", rule.allowed, rule.found)
    };
    Validation {
        expression: rule.holds,
        message_expression: Some(sentence),
        message: Some(rule.allowed),
        reason: Some(format!("{reason:?}")),
    }
}

fn non_empty<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
