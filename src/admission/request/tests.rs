//! Every case of `tests/admission/*.yaml` by the twin in Rust, without a cluster, and what no table can say.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::admission::{self, CheckCase, Door};

use super::{Outcome, Reason, Refusal, Request, Resource, mutate, validate};
use crate::api::{names, patch};

type Texts = BTreeMap<String, String>;

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

/// The twin in the place of an API server: it changes an object, and then looks at it.
struct Twin;

impl Twin {
    /// What is stored. Asked again, and at a write that changes nothing, it changes nothing.
    fn write(object: &Value, old: Option<&Value>) -> Result<Value, admission::Refusal> {
        let resource = resource(object);
        let after = mutated(&resource, object, old);
        for before in [old, Some(&after)] {
            assert_eq!(mutate(&request(&resource, &after, before)), Outcome::Pass, "{object:#}");
        }
        match validate(&request(&resource, &after, old)) {
            Outcome::Refuse(Refusal { reason, sentence }) => {
                let code = if reason == Reason::Invalid { 422 } else { 403 };
                Err(admission::Refusal { code, sentence })
            }
            _ => Ok(after),
        }
    }
}

impl Door for Twin {
    fn tells_nearest(&self) -> bool {
        true
    }

    async fn create(&self, object: &Value) -> Result<Value, admission::Refusal> {
        Self::write(object, None)
    }

    async fn change(&self, object: &Value, change: &Value) -> Result<Value, admission::Refusal> {
        let before = Self::write(object, None)?;
        let mut after = before.clone();
        json_patch::merge(&mut after, change);
        Self::write(&after, Some(&before))
    }
}

/// Where an object is written, `group/version/plural`.
fn resource(object: &Value) -> String {
    let text = |field: &str| object[field].as_str().unwrap();
    let version = text("apiVersion");
    let group = if version.contains('/') { "" } else { "/" };
    format!("{group}{version}/{}s", text("kind").to_lowercase())
}

#[tokio::test]
async fn a_labelled_pod_is_born_with_its_gate_and_with_env_that_reads_its_grant() {
    admission::gate(&Twin).await;
}

#[tokio::test]
async fn what_is_set_on_a_workload_is_set_in_its_template_and_goes_with_it() {
    admission::mirror(&Twin).await;
}

#[tokio::test]
async fn a_bad_label_or_annotation_is_refused_with_the_sentence_of_the_policy() {
    admission::check(&Twin).await;
}

#[test]
fn what_was_bad_before_may_change_in_everything_else() {
    for case in CheckCase::all() {
        for (place, before) in case.objects().iter().filter(|(_, object)| object["kind"] != "Pod") {
            let mut after = mutated(&resource(before), before, None);
            let before = after.clone();
            after["metadata"]["finalizers"] = json!(["example.com/x"]);
            after["spec"]["replicas"] = json!(3);
            let found = validate(&request(&resource(&before), &after, Some(&before)));
            assert_eq!(found, Outcome::Pass, "{} {place}", case.name);
        }
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
