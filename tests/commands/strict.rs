//! What the API server would refuse: `plan` and `inject` refuse it too, and neither mends nor drops anything.

use serde_json::Value;

use crate::ran::{both, poolbudget};

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  labels: {poolbudget.dev/budget: main}
  annotations: {a: b}
spec:
  replicas: 2
  selector: {matchLabels: {run: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: app
        args: [serve]
        env:
        - name: DB_HOST
          value: db
      - name: other
";

/// That both refuse a Deployment with `old` written as `new`, and name place, field, and what is right.
fn refused(old: &str, new: &str, field: &str, told: &str) {
    assert!(DEPLOYMENT.contains(old), "{old}");
    let [plan, inject] = both(&DEPLOYMENT.replacen(old, new, 1));
    let sentence = format!("error: stdin, document 2 (line 5): Deployment/api: {field} {told}\n");
    assert_eq!((plan.code, plan.err.contains(&sentence)), (2, true), "{new}: {sentence}{}", plan.err);
    assert_eq!((inject.code, inject.out.as_str()), (2, ""), "{new}");
    assert_eq!(inject.err, sentence, "{new}");
}

#[test]
fn lists_that_are_maps_and_texts_that_are_none_are_refused_by_both() {
    let env = "spec.template.spec.containers[0].env";
    let list = "must be a list, in which each item begins with \"- \"; it is a map";
    let text = "must be a string; it is the number 7; put it in quotes";
    refused(
        "\n        - name: DB_HOST\n          value: db",
        " {DB_HOST: db, DB_POOL_SIZE: \"7\"}",
        env,
        list,
    );
    refused("value: db", "value: 7", &format!("{env}[0].value"), text);
    refused(
        "value: db",
        "value: yes",
        &format!("{env}[0].value"),
        "must be a string; it is the boolean true; put it in quotes",
    );
    refused("name: DB_HOST", "name:", &format!("{env}[0].name"), "is missing");
    refused(
        "{poolbudget.dev/budget: main}",
        "{poolbudget.dev/budget: 7}",
        "metadata.labels.poolbudget.dev/budget",
        text,
    );
    refused("{a: b}", "{poolbudget.dev/processes: 7}", "metadata.annotations.poolbudget.dev/processes", text);
    refused(
        "{app: api}",
        "{poolbudget.dev/budget: 7}",
        "spec.template.metadata.labels.poolbudget.dev/budget",
        text,
    );
    refused(
        "replicas: 2",
        "replicas: \"2\"",
        "spec.replicas",
        "must be a whole number; it is the string \"2\"",
    );
    refused(
        "args: [serve]",
        "args: serve",
        "spec.template.spec.containers[0].args",
        "must be a list; it is the string \"serve\"",
    );
    refused("- name: other", "-", "spec.template.spec.containers[1]", "must be a map of fields; it is null");
    refused(
        "    spec:\n      containers:",
        "    spec:\n      schedulingGates: {name: other.example.com/gate}\n      containers:",
        "spec.template.spec.schedulingGates",
        list,
    );
    refused(
        "replicas: 2",
        "strategy: {type: Rolling}",
        "spec.strategy.type",
        "must be one of RollingUpdate, Recreate; it is the string \"Rolling\"",
    );
}

#[test]
fn what_the_api_server_takes_is_planned_and_comes_through() {
    for (old, new) in [
        ("replicas: 2", "replicas: 2.0"),
        ("value: db", "value:"),
        ("args: [serve]", "unknown:"),
        ("args: [serve]", "resources: {limits: {cpu: 1, memory: 1.5}}"),
        ("args: [serve]", "args:"),
        ("{a: b}", "{a: }"),
        ("replicas: 2", "replicas: 2\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 50%}}"),
    ] {
        let manifest = DEPLOYMENT.replacen(old, new, 1);
        let [plan, inject] = both(&manifest);
        assert_eq!((plan.code, plan.err.as_str()), (0, ""), "{new}: {}", plan.out);
        assert_eq!(inject.code, 0, "{new}: {}", inject.err);
        let stays: Value = serde_yaml::from_str(&new.replace("\n  ", "\n")).expect("YAML");
        let documents: Vec<Value> = serde_yaml::from_multiple(&inject.out).expect("documents");
        assert!(documents.iter().any(|document| says(document, &stays)), "{new}: {}", inject.out);
    }
}

/// Whether an object somewhere in a value has all fields of another one.
fn says(value: &Value, fields: &Value) -> bool {
    let here = || fields.as_object()?.iter().all(|(key, field)| value.get(key) == Some(field)).then_some(());
    match value {
        Value::Object(object) => here().is_some() || object.values().any(|inner| says(inner, fields)),
        Value::Array(items) => items.iter().any(|inner| says(inner, fields)),
        _ => false,
    }
}

#[test]
fn an_object_that_does_not_say_what_it_is_is_no_yes() {
    for (line, told) in [
        ("apiVersion: apps/v1\n", "apiVersion is missing in this Deployment"),
        ("kind: Deployment\n", "kind is missing in this object of apps/v1"),
    ] {
        let [plan, inject] = both(&DEPLOYMENT.replace(line, ""));
        for ran in [plan, inject] {
            assert_eq!(
                (ran.code, ran.err.contains(&format!("error: stdin, document 2 (line 5): {told}\n"))),
                (2, true),
                "{}",
                ran.err
            );
        }
    }
    let [plan, inject] = both("replicas: 3\nimage: {tag: v1}\n");
    assert_eq!([plan.code, inject.code], [2, 0], "values of a chart are no object: {}", plan.err);
}

#[test]
fn a_key_that_stands_twice_is_told_and_the_last_one_counts() {
    let twice = DEPLOYMENT.replace("  replicas: 2\n", "  replicas: 2\n  replicas: 5\n");
    let [plan, inject] = both(&twice);
    assert!(plan.out.contains("Deployment/api  5 "), "{}", plan.out);
    assert!(
        plan.err.contains(
            "warning: stdin, document 2 (line 5): the key replicas occurs twice, and the last one counts: "
        ),
        "{}",
        plan.err
    );
    assert!(
        inject.err.contains(
            "note: stdin, document 2 (line 5): the key replicas occurs twice, and the last one counts: "
        ),
        "{}",
        inject.err
    );
    assert!(inject.out.contains("replicas: 5"), "{}", inject.out);
}

#[test]
fn a_key_of_ours_that_nobody_knows_is_refused_with_the_nearest_wherever_it_stands() {
    let labels = "the labels of poolbudget.dev/ are budget and workload";
    for (old, new, told) in [
        (
            "{a: b}",
            "{poolbudget.dev/procesess: \"4\"}",
            "unknown label or annotation poolbudget.dev/procesess: did you mean the annotation poolbudget.dev/processes?",
        ),
        (
            "{poolbudget.dev/budget: main}",
            "{poolbudget.dev/budgets: main}",
            "unknown label or annotation poolbudget.dev/budgets: did you mean the label poolbudget.dev/budget?",
        ),
        (
            "{labels: {app: api}}",
            "{annotations: {poolbudget.dev/process: \"4\"}}",
            "unknown label or annotation poolbudget.dev/process: did you mean the annotation poolbudget.dev/processes?",
        ),
        (
            "{app: api}",
            "{poolbudget.dev/proceses: \"4\"}",
            "unknown label or annotation poolbudget.dev/proceses: did you mean the annotation poolbudget.dev/processes?",
        ),
    ] {
        for ran in both(&DEPLOYMENT.replacen(old, new, 1)) {
            let said = ran.err.contains(labels) && ran.err.contains(told);
            assert_eq!((ran.code, said), (2, true), "{new}: {}", ran.err);
        }
    }
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {poolbudget.dev/budgets: main}}\nspec: {containers: [{name: a}]}\n";
    assert_eq!(both(pod).map(|ran| ran.code), [2, 2]);
    // Of what no label governs annotations say nothing, there as here.
    let unlabelled = DEPLOYMENT
        .replace("{poolbudget.dev/budget: main}", "{a: b}")
        .replace("{a: b}", "{poolbudget.dev/owner: us}");
    let unlabelled = unlabelled.replacen("{poolbudget.dev/owner: us}", "{a: b}", 1);
    let [_, inject] = both(&unlabelled);
    assert_eq!(inject.code, 0, "{}", inject.err);
    let ran = poolbudget(&["inject", "-f", "-", "--budget", "main"], &unlabelled);
    assert_eq!(
        (ran.code, ran.err.contains("unknown label or annotation poolbudget.dev/owner")),
        (2, true),
        "{}",
        ran.err
    );
}
