//! Every case of `tests/admission/*.yaml`, without a cluster. No case depends on what the API server adds to an object
//! (defaults) before it asks.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::large::in_full;

use super::{Outcome, Reason, Refusal, Request, Resource, mutate, validate, workload};
use crate::api::{WorkloadKind, names, patch};

type Texts = BTreeMap<String, String>;

fn table<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let cases: Vec<T> = serde_yaml::from_str(&in_full(text)).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// A request as the API server would make it for `resource`, `group/version/plural`.
fn request(resource: &str, object: &Value, old: Option<&Value>) -> Request {
    let parts: Vec<&str> = resource.split('/').collect();
    let [group, version, resource] = parts[..] else { panic!("{resource}") };
    let text = |text: &str| text.to_owned();
    Request {
        uid: text("1"),
        resource: Resource { group: text(group), version: text(version), resource: text(resource) },
        operation: text(if old.is_some() { "UPDATE" } else { "CREATE" }),
        object: Some(object.clone()),
        old_object: old.cloned(),
        ..Request::default()
    }
}

/// The object after the gate or the mirror has changed it.
fn mutated(resource: &str, object: &Value, old: Option<&Value>) -> Value {
    let mut after = object.clone();
    match mutate(&request(resource, object, old)) {
        Outcome::Pass => {}
        Outcome::Patch(changes) => json_patch::patch(&mut after, &changes).unwrap(),
        Outcome::Refuse(refusal) => panic!("{refusal:?}"),
    }
    after
}

fn texts(value: Option<&Value>) -> Texts {
    value.map(|value| serde_json::from_value(value.clone()).unwrap()).unwrap_or_default()
}

// The gate ------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct GateCase {
    name: String,
    given: Value,
    #[serde(default = "our_gate")]
    gates: Vec<String>,
    env: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    annotations: Texts,
}

fn our_gate() -> Vec<String> {
    vec![names::GATE.to_owned()]
}

#[test]
fn a_labelled_pod_is_born_with_its_gate_and_with_env_that_reads_its_grant() {
    for case in table::<GateCase>(include_str!("../../../tests/admission/gate.yaml")) {
        let mut pod = case.given.clone();
        pod["metadata"]["labels"] = json!({names::BUDGET: "main"});
        let pod = mutated("/v1/pods", &pod, None);
        let gates = pod.pointer("/spec/schedulingGates").and_then(Value::as_array);
        let gates: Vec<&str> =
            gates.into_iter().flatten().map(|gate| gate["name"].as_str().unwrap()).collect();
        assert_eq!(gates, case.gates, "{}", case.name);
        assert_eq!(env_of(&pod), case.env, "{}", case.name);
        assert_eq!(texts(pod.pointer("/metadata/annotations")), case.annotations, "{}", case.name);
        assert_eq!(mutate(&request("/v1/pods", &pod, None)), Outcome::Pass, "{}: a second pass", case.name);
    }
}

fn env_of(pod: &Value) -> BTreeMap<String, Vec<String>> {
    let containers = ["containers", "initContainers"].map(|kind| pod["spec"][kind].as_array());
    let described = |container: &Value| -> Vec<String> {
        container["env"].as_array().into_iter().flatten().map(describe_entry).collect()
    };
    containers
        .into_iter()
        .flatten()
        .flatten()
        .map(|container| (container["name"].as_str().unwrap().to_owned(), described(container)))
        .filter(|(_, entries)| !entries.is_empty())
        .collect()
}

fn describe_entry(entry: &Value) -> String {
    let name = entry["name"].as_str().unwrap();
    let Some(source) = entry.get("valueFrom") else {
        return format!("{name}={}", entry.get("value").and_then(Value::as_str).unwrap_or_default());
    };
    let path = source.pointer("/fieldRef/fieldPath").and_then(Value::as_str).unwrap_or_default();
    match path.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']")) {
        Some(annotation) => format!("{name}<{annotation}"),
        None => format!("{name} from {}", source.as_object().unwrap().keys().next().unwrap()),
    }
}

#[test]
fn what_a_kubelet_mirrors_gets_no_gate_and_keeps_its_env_but_brings_no_grant_either() {
    let env = json!([{"name": "DB_POOL_SIZE", "value": "5"}]);
    let pod = json!({
        "metadata": {
            "labels": {names::BUDGET: "main"},
            "annotations": {names::MIRROR_POD: "1", names::CONNECTIONS: "1"},
        },
        "spec": {"nodeName": "node-0", "containers": [{"name": "app", "env": env}]},
    });
    let after = mutated("/v1/pods", &pod, None);
    assert_eq!(
        texts(after.pointer("/metadata/annotations")),
        [(names::MIRROR_POD.to_owned(), "1".to_owned())].into()
    );
    assert_eq!(after["spec"], pod["spec"]);
}

#[test]
fn fields_that_nobody_here_knows_come_through() {
    let pod = json!({
        "metadata": {"labels": {names::BUDGET: "main"}, "x-new": 1},
        "spec": {"containers": [{"name": "app", "x-new": {"deep": [1]}}], "x-new": true},
    });
    let after = mutated("/v1/pods", &pod, None);
    assert_eq!(after["metadata"]["x-new"], 1);
    assert_eq!(after["spec"]["containers"][0]["x-new"]["deep"][0], 1);
    assert_eq!(after["spec"]["x-new"], true);
}

#[test]
fn a_pod_without_the_label_is_left_alone_even_when_it_is_asked_for() {
    let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "app"}]}});
    assert_eq!(mutate(&request("/v1/pods", &pod, None)), Outcome::Pass);
    assert_eq!(validate(&request("/v1/pods", &pod, None)), Outcome::Pass);
}

#[test]
fn objects_that_no_rule_is_about_pass() {
    let object = json!({"metadata": {"labels": {names::BUDGET: "Not A Name"}}});
    for resource in ["/v1/services", "apps/v2/deployments", "example.com/v1/pods"] {
        assert_eq!(mutate(&request(resource, &object, None)), Outcome::Pass, "{resource}");
        assert_eq!(validate(&request(resource, &object, None)), Outcome::Pass, "{resource}");
    }
    let eviction = Request { sub_resource: "eviction".to_owned(), ..request("/v1/pods", &object, None) };
    assert_eq!(mutate(&eviction), Outcome::Pass);
}

#[test]
fn an_object_of_any_shape_is_answered() {
    for object in [json!(null), json!([]), json!({"metadata": {"labels": []}, "spec": "none"}), json!(7)] {
        for resource in ["/v1/pods", "apps/v1/deployments"] {
            assert_eq!(mutate(&request(resource, &object, None)), Outcome::Pass, "{object}");
            assert_eq!(validate(&request(resource, &object, None)), Outcome::Pass, "{object}");
        }
    }
    // The API server refuses a pod without containers, with its own message, but only later.
    let pod = json!({"metadata": {"labels": {names::BUDGET: "main"}}, "spec": {"containers": null}});
    let gate = json!([{"name": names::GATE}]);
    let expected = Outcome::Patch(vec![patch::add(patch::place("/spec/schedulingGates"), gate)]);
    assert_eq!(mutate(&request("/v1/pods", &pod, None)), expected);
    assert_eq!(validate(&request("/v1/pods", &pod, None)), Outcome::Pass);
}

// The mirror ----------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct MirrorCase {
    name: String,
    #[serde(default)]
    kind: WorkloadKind,
    created: Value,
    changed: Option<Value>,
    template: TemplateKeys,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct TemplateKeys {
    labels: Texts,
    annotations: Texts,
}

#[test]
fn what_is_set_on_a_workload_is_set_in_its_template_and_goes_with_it() {
    for case in table::<MirrorCase>(include_str!("../../../tests/admission/mirror.yaml")) {
        let object = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        let resource = format!("{}/v1/{}s", case.kind.group(), case.kind.to_string().to_lowercase());
        let template = json!({"template": {"metadata": object(&case.created["template"])}});
        let spec = if case.kind == WorkloadKind::CronJob {
            json!({"jobTemplate": {"spec": template}})
        } else {
            template
        };
        let sent = json!({"kind": case.kind, "metadata": object(&case.created["metadata"]), "spec": spec});
        let mut after = mutated(&resource, &sent, None);
        if let Some(change) = &case.changed {
            let before = after.clone();
            json_patch::merge(&mut after, change);
            after = mutated(&resource, &after, Some(&before));
            let again = mutated(&resource, &after, Some(&before));
            assert_eq!(again, after, "{}: a second pass", case.name);
        }
        let template = after.pointer(&workload::pointer(case.kind)).unwrap();
        let template = &template["metadata"];
        let found = TemplateKeys {
            labels: texts(template.get("labels")),
            annotations: texts(template.get("annotations")),
        };
        assert_eq!(found, case.template, "{}", case.name);
        let unchanged = mutate(&request(&resource, &after, Some(&after)));
        assert_eq!(unchanged, Outcome::Pass, "{}: a write that changes nothing", case.name);
    }
}

// The check -----------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct CheckCase {
    name: String,
    #[serde(default = "main_budget")]
    budget: String,
    #[serde(default)]
    labels: Texts,
    #[serde(default)]
    annotations: Texts,
    #[serde(default)]
    spec: serde_json::Map<String, Value>,
    refused: Option<String>,
    nearest: Option<String>,
}

fn main_budget() -> String {
    "main".to_owned()
}

#[test]
fn a_bad_label_or_annotation_is_refused_with_the_sentence_of_the_policy() {
    for case in table::<CheckCase>(include_str!("../../../tests/admission/check.yaml")) {
        let mut template = json!({
            "metadata": {"labels": {names::BUDGET: case.budget}, "annotations": case.annotations},
            "spec": {"initContainers": [{"name": "migrate"}], "containers": [{"name": "app"}, {"name": "proxy"}]},
        });
        template["spec"].as_object_mut().unwrap().extend(case.spec);
        for (key, value) in case.labels {
            template["metadata"]["labels"][key] = json!(value);
        }
        // The policy cannot know the nearest key.
        let nearest = case.nearest.map_or_else(|| ";".to_owned(), |key| format!(": did you mean {key}?"));
        let expected = case
            .refused
            .map(|sentence| sentence.replacen(';', &nearest, 1))
            .map_or(Outcome::Pass, |sentence| Outcome::Refuse(Refusal { reason: Reason::Invalid, sentence }));
        let found = validate(&request("/v1/pods", &template, None));
        assert_eq!(found, expected, "{} on a pod", case.name);
        let cron_job = json!({"spec": {"jobTemplate": {"spec": {"template": template}}}});
        let found = validate(&request("batch/v1/cronjobs", &cron_job, None));
        assert_eq!(found, expected, "{} in the template of a CronJob", case.name);
        let workload = json!({"spec": {"replicas": 1, "template": template}});
        let found = validate(&request("apps/v1/deployments", &workload, None));
        assert_eq!(found, expected, "{} in a template", case.name);
        let mut scaled = workload.clone();
        scaled["spec"]["replicas"] = json!(0);
        let found = validate(&request("apps/v1/deployments", &scaled, Some(&workload)));
        assert_eq!(found, Outcome::Pass, "{} was there before", case.name);
    }
}

#[test]
fn a_key_that_nobody_knows_is_refused_on_a_workload_wherever_it_stands_and_once() {
    let workload = |own: Value, template: Value| json!({"metadata": own, "spec": {"template": {"metadata": template, "spec": {"containers": [{"name": "a"}]}}}});
    let refused = |object: &Value, old: Option<&Value>| {
        validate(&request("apps/v1/deployments", object, old)) != Outcome::Pass
    };
    let labels = |key: &str| json!({"labels": {key: "main"}});
    let misspelt = labels("poolbudget.dev/budgets");
    let governed = labels(names::BUDGET);
    let noted = json!({"annotations": {"poolbudget.dev/process": "4"}});
    for (own, template, expected) in [
        (misspelt.clone(), json!({}), true),
        (json!({}), misspelt.clone(), true),
        (noted.clone(), governed.clone(), true),
        // No one is told about annotations while no budget label is set.
        (noted, json!({}), false),
        (labels("app"), labels("app"), false),
    ] {
        let object = workload(own, template);
        assert_eq!(refused(&object, None), expected, "{object}");
        let mut scaled = object.clone();
        scaled["spec"]["replicas"] = json!(0);
        assert!(!refused(&scaled, Some(&object)), "{object} was there before");
        assert_eq!(
            refused(&object, Some(&workload(json!({}), governed.clone()))),
            expected,
            "{object} comes"
        );
    }
    let mut made = workload(misspelt.clone(), misspelt.clone());
    made["metadata"]["ownerReferences"] = json!([{"kind": "Deployment", "name": "a", "controller": true}]);
    assert!(!refused(&made, None), "its maker is told");
    let borrowing = json!({"metadata": misspelt, "spec": {"workloadRef": {"name": "a"}}});
    assert_ne!(validate(&request("argoproj.io/v1alpha1/rollouts", &borrowing, None)), Outcome::Pass);
}

#[test]
fn what_was_too_much_to_look_at_before_may_change_and_not_grow() {
    let labels = json!({names::BUDGET: "main"});
    let env: Vec<Value> = (0..1200).map(|n| json!({"name": format!("A{n}")})).collect();
    let keys: serde_json::Map<String, Value> =
        (0..3000).map(|n| (format!("poolbudget.dev/unknown-{n}"), json!("x"))).collect();
    let workload = |env: &[Value], notes: &serde_json::Map<String, Value>, image: &str| {
        let containers = json!([{"name": "app", "image": image, "env": env}]);
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
        json!({"metadata": {"annotations": notes}, "spec": {"template": template}})
    };
    let none = serde_json::Map::new();
    let mut more = keys.clone();
    more.insert("poolbudget.dev/one-more".to_owned(), json!("x"));
    for (what, now, before, refused) in [
        ("an image", workload(&env, &none, "b"), workload(&env, &none, "a"), false),
        ("too many env entries", workload(&env, &none, "a"), workload(&[], &none, "a"), true),
        ("few enough env entries", workload(&[], &none, "a"), workload(&env, &none, "a"), false),
        ("an image beside keys", workload(&[], &keys, "b"), workload(&[], &keys, "a"), false),
        ("one more key", workload(&[], &more, "a"), workload(&[], &keys, "a"), true),
    ] {
        let found = validate(&request("apps/v1/deployments", &now, Some(&before)));
        assert_eq!(found != Outcome::Pass, refused, "{what}");
    }
}

#[test]
fn a_pool_in_another_container_than_kubectl_takes_is_refused() {
    let pod = |container: &str| {
        let env = json!([{"name": "DB_POOL_SIZE", "value": "5"}]);
        json!({
            "metadata": {"labels": {names::BUDGET: "main"}, "annotations": {names::DEFAULT_CONTAINER: container}},
            "spec": {"containers": [{"name": "app", "env": env}, {"name": "proxy"}]},
        })
    };
    assert_eq!(validate(&request("/v1/pods", &pod("app"), None)), Outcome::Pass);
    let Outcome::Refuse(refusal) = validate(&request("/v1/pods", &pod("proxy"), None)) else {
        panic!("it passes")
    };
    assert!(
        refusal.sentence.starts_with("app sets DB_POOL_SIZE or DB_MAX_OVERFLOW, but only proxy is counted;")
    );
}
