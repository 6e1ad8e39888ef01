//! The templates that are generated are those that the source would generate now.

use std::fs;

use poolbudget::admission::{Settings, chart_policies, objects};
use serde_json::Value;

use crate::render::{chart, render};

#[test]
fn the_template_of_the_policies_is_what_the_source_says() {
    let committed = fs::read_to_string(chart().join("templates/policies.yaml")).unwrap();
    assert!(
        committed == chart_policies().unwrap(),
        "run `make verify`: templates/policies.yaml is out of date"
    );
}

#[test]
fn the_chart_installs_the_same_policies_as_the_binary_prints() {
    let settings = Settings::for_service_account("there", "poolbudget");
    let printed: Vec<Value> = objects(&settings)
        .iter()
        .map(|object| without_labels(serde_json::to_value(object).unwrap()))
        .collect();
    let rendered = render(&[]);
    let of_policies = |object: &&Value| object["apiVersion"] == "admissionregistration.k8s.io/v1";
    let installed = rendered.objects().iter().filter(of_policies).cloned().map(without_labels);
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
