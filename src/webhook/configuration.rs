//! Tells the API server to ask the webhook: two configurations, made from the policies that they replace.
//!
//! In: the [`Settings`] of an installation and the address of the webhook. Out: Kubernetes objects. Each entry sees
//! what its policy would see, by the same rules, selector and match conditions, so that no other object waits for us.
//! No object of the operator has the budget label, and so the operator can always start.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, NamedRuleWithOperations, RuleWithOperations,
    ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::admission::chart::{self, GENERATED, SLOT};
use crate::admission::policy::{DESCRIPTION, Policy, Requests};
use crate::admission::{self, Object, Settings, check, gate, installed, mirror, staying};

/// The name of both configurations.
pub const NAME: &str = "poolbudget.dev";

/// The path on which objects are changed.
pub const MUTATE: &str = "/mutate";

/// The path on which objects are judged.
pub const VALIDATE: &str = "/validate";

/// How long the API server waits. An answer takes a millisecond. It takes this long to notice that a replica has just
/// died; the controller whose request met that replica sends it again.
const TIMEOUT_SECONDS: i32 = 5;

/// Where the API server finds the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Service, on port 443.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The URL of a host, for API servers that cannot reach Services.
    Url(String),
}

impl Place {
    /// The Service of an installation.
    #[must_use]
    pub fn service(namespace: &str) -> Self {
        Self::Service { namespace: namespace.to_owned(), name: "poolbudget-webhook".to_owned() }
    }

    /// Without an authority: the operator writes it into the configuration that is installed.
    fn client(&self, path: &str) -> WebhookClientConfig {
        let (service, url) = match self {
            Self::Service { namespace, name } => {
                let (namespace, name, path) = (namespace.clone(), name.clone(), Some(path.to_owned()));
                (Some(ServiceReference { namespace, name, path, port: None }), None)
            }
            Self::Url(host) => (None, Some(format!("{}{path}", host.trim_end_matches('/')))),
        };
        WebhookClientConfig { ca_bundle: None, service, url }
    }
}

/// What is installed where the webhook is in use: the policies that stay, and the configurations.
#[must_use]
pub fn objects(settings: &Settings, place: &Place) -> Vec<Object> {
    let mut objects = installed(staying(settings), settings);
    objects.extend(configurations(settings, place));
    objects
}

/// The configurations alone.
#[must_use]
pub fn configurations(settings: &Settings, place: &Place) -> [Object; 2] {
    let changing = [mirror::policy(), gate::policy()];
    let judging = [check::workloads(), check::pods()];
    let mutating = MutatingWebhookConfiguration {
        metadata: metadata(settings, "Asks poolbudget what pods with a budget label are born with."),
        webhooks: Some(changing.map(|policy| mutating(&policy, settings, place.client(MUTATE))).into()),
    };
    let validating = ValidatingWebhookConfiguration {
        metadata: metadata(
            settings,
            "Asks poolbudget whether its labels and annotations say something sensible.",
        ),
        webhooks: Some(judging.map(|policy| validating(&policy, settings, place.client(VALIDATE))).into()),
    };
    [Object::MutatingWebhooks(Box::new(mutating)), Object::ValidatingWebhooks(Box::new(validating))]
}

/// The template of the configurations in the Helm chart.
///
/// # Errors
///
/// When a configuration cannot be written as YAML.
pub fn chart() -> Result<String, serde_yaml::ser::Error> {
    let configurations = configurations(&chart::slots(), &Place::Url(SLOT.to_owned()));
    let injection = "  annotations:\n    {{- include \"poolbudget.authorityInjection\" . | nindent 4 }}\n";
    let mut text =
        chart::with_values(&admission::render(&configurations)?).replace("  annotations:\n", injection);
    for path in [MUTATE, VALIDATE] {
        text = text.replace(
            &format!("clientConfig:\n    url: {SLOT}{path}\n"),
            &format!("clientConfig: {{{{ include \"poolbudget.webhookClient\" (list . \"{path}\") }}}}\n"),
        );
    }
    Ok(format!("{GENERATED}{}", chart::only_for("webhook", &text)))
}

fn metadata(settings: &Settings, purpose: &str) -> ObjectMeta {
    let mut metadata = settings.metadata(NAME);
    metadata.annotations = Some([(DESCRIPTION.to_owned(), purpose.to_owned())].into());
    metadata
}

fn mutating(policy: &Policy, settings: &Settings, client: WebhookClientConfig) -> MutatingWebhook {
    MutatingWebhook {
        name: policy.name.to_owned(),
        client_config: client,
        rules: Some(policy.requests.iter().map(rule).collect()),
        object_selector: policy.selector(),
        namespace_selector: Some(settings.namespaces.clone()),
        match_conditions: policy.match_conditions(),
        match_policy: Some("Equivalent".to_owned()),
        failure_policy: Some(settings.failure_policy.to_string()),
        // A sidecar injector may write the env list after us.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT_SECONDS),
        admission_review_versions: vec!["v1".to_owned()],
    }
}

fn validating(policy: &Policy, settings: &Settings, client: WebhookClientConfig) -> ValidatingWebhook {
    let same = mutating(policy, settings, client);
    ValidatingWebhook {
        name: same.name,
        client_config: same.client_config,
        rules: same.rules,
        object_selector: same.object_selector,
        namespace_selector: same.namespace_selector,
        match_conditions: same.match_conditions,
        match_policy: same.match_policy,
        failure_policy: same.failure_policy,
        side_effects: same.side_effects,
        timeout_seconds: same.timeout_seconds,
        admission_review_versions: same.admission_review_versions,
    }
}

fn rule(requests: &Requests) -> RuleWithOperations {
    let NamedRuleWithOperations { api_groups, api_versions, operations, resources, .. } = requests.rule();
    RuleWithOperations {
        api_groups,
        api_versions,
        operations,
        resources,
        scope: Some("Namespaced".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rendered(place: &Place) -> [Value; 2] {
        let settings = Settings::for_service_account("there", "poolbudget");
        configurations(&settings, place).map(|object| serde_json::to_value(object).unwrap())
    }

    #[test]
    fn each_entry_sees_what_its_policy_sees() {
        let settings = Settings::for_service_account("there", "poolbudget");
        let [mutating, validating] = rendered(&Place::service("there"));
        let entries =
            [mutating, validating].map(|object| object["webhooks"].as_array().unwrap().clone()).concat();
        let policies: Vec<Value> =
            admission::objects(&settings).iter().map(|o| serde_json::to_value(o).unwrap()).collect();
        for entry in &entries {
            let policy = policies.iter().find(|policy| policy["metadata"]["name"] == entry["name"]).unwrap();
            let constraints = &policy["spec"]["matchConstraints"];
            assert_eq!(entry["objectSelector"], constraints["objectSelector"], "{}", entry["name"]);
            assert_eq!(entry["matchConditions"], policy["spec"]["matchConditions"], "{}", entry["name"]);
            let mut rules = entry["rules"].clone();
            for rule in rules.as_array_mut().unwrap() {
                rule.as_object_mut().unwrap().remove("scope");
            }
            assert_eq!(rules, constraints["resourceRules"], "{}", entry["name"]);
        }
        let names: Vec<&Value> = entries.iter().map(|entry| &entry["name"]).collect();
        assert_eq!(names, [mirror::NAME, gate::NAME, check::WORKLOADS_NAME, check::PODS_NAME]);
    }

    #[test]
    fn no_slot_is_left_in_the_chart_and_nothing_else_that_helm_would_expand() {
        let text = chart().unwrap();
        assert!(!text.contains(SLOT), "{text}");
        assert_eq!(text.matches(".Values.failurePolicy").count(), 4);
        assert_eq!(text.matches(".Values.namespaceSelector").count(), 4);
        assert_eq!(text.matches("poolbudget.webhookClient").count(), 4);
        assert_eq!(text.matches("poolbudget.labels").count(), 2);
        let settings = Settings::for_service_account("ns", "name");
        let text = admission::render(&configurations(&settings, &Place::service("ns"))).unwrap();
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn the_webhook_is_found_by_its_service_or_by_a_url() {
        let [mutating, validating] = rendered(&Place::service("there"));
        let service = json!({"namespace": "there", "name": "poolbudget-webhook", "path": "/mutate"});
        assert_eq!(mutating["webhooks"][1]["clientConfig"], json!({"service": service}));
        assert_eq!(validating["webhooks"][0]["clientConfig"]["service"]["path"], "/validate");
        let [mutating, _] = rendered(&Place::Url("https://127.0.0.1:9443/".to_owned()));
        assert_eq!(mutating["webhooks"][0]["clientConfig"], json!({"url": "https://127.0.0.1:9443/mutate"}));
    }
}
