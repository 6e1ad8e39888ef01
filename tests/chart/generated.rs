//! The templates that are generated are those that the source would generate now.

use std::fs;

use poolbudget::admission::{Object, Settings, chart_policies, objects};
use poolbudget::webhook::configuration::{self, Place};
use serde_json::Value;

use crate::render::{chart, render};

#[test]
fn the_generated_templates_are_what_the_source_says() {
    for (name, generated) in
        [("policies.yaml", chart_policies().unwrap()), ("webhook.yaml", configuration::chart().unwrap())]
    {
        let committed = fs::read_to_string(chart().join("templates").join(name)).unwrap();
        assert!(committed == generated, "run `make verify`: templates/{name} is out of date");
    }
}

#[test]
fn the_chart_installs_the_same_policies_as_the_binary_prints() {
    let settings = Settings::for_service_account("there", "poolbudget");
    assert_same(&objects(&settings), &[]);
}

#[test]
fn the_chart_installs_the_same_configurations_as_the_binary_prints() {
    let settings = Settings::for_service_account("there", "poolbudget");
    let mode = r#"admission.mode="webhook""#;
    assert_same(&configuration::objects(&settings, &Place::service("there")), &[mode]);
    let place = Place::Url("https://10.0.0.7:9443".to_owned());
    let url = r#"admission.webhook.url="https://10.0.0.7:9443/""#;
    assert_same(&configuration::objects(&settings, &place), &[mode, url]);
}

fn assert_same(printed: &[Object], values: &[&str]) {
    let printed: Vec<Value> =
        printed.iter().map(|object| without_labels(serde_json::to_value(object).unwrap())).collect();
    let rendered = render(values);
    let of_admission = |object: &&Value| object["apiVersion"] == "admissionregistration.k8s.io/v1";
    let installed = rendered.objects().iter().filter(of_admission).cloned().map(without_labels);
    // Helm orders by kind.
    let sorted = |mut objects: Vec<Value>| {
        objects.sort_by_key(|object| format!("{}{}", object["kind"], object["metadata"]["name"]));
        objects
    };
    assert_eq!(sorted(installed.collect()), sorted(printed));
}

fn without_labels(mut object: Value) -> Value {
    object["metadata"].as_object_mut().unwrap().remove("labels");
    object
}
