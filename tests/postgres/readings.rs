//! What stands for a kubelet reads pods as one does, and what the applications tell is read as they mean it.

use std::fs::OpenOptions;
use std::io::Write as _;

use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};
use testkit::postgres::count::Sample;
use testkit::postgres::env::{Secrets, named_secrets, variables, words};
use testkit::postgres::lines::{Did, Follower, Line};
use testkit::postgres::side::Outcome;
use testkit::postgres::told::Told;
use testkit::postgres::way::DIRECT;

fn granted() -> Pod {
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let pod = json!({
        "metadata": {"name": "api-1", "namespace": "shop", "annotations": {"poolbudget.dev/pool-size": "3"}},
        "spec": {"containers": [{
            "name": "app",
            "command": ["serve", "--bind", "$(ADDRESS):80"],
            "env": [
                {"name": "DB_POOL_SIZE", "valueFrom": field("metadata.annotations['poolbudget.dev/pool-size']")},
                {"name": "DB_MAX_OVERFLOW", "valueFrom": field("metadata.annotations['poolbudget.dev/max-overflow']")},
                {"name": "ADDRESS", "value": "0.0.0.0"},
                {"name": "ADDRESS", "valueFrom": field("status.podIP")},
            ],
        }]},
        "status": {"podIP": "127.0.0.7"},
    });
    serde_json::from_value(pod).unwrap()
}

fn container(pod: &Pod) -> &Container {
    &pod.spec.as_ref().unwrap().containers[0]
}

#[test]
fn a_variable_is_read_from_the_annotation_and_empty_without_it() {
    let pod = granted();
    let variables = variables(&pod, container(&pod), &Secrets::new()).unwrap();
    assert_eq!(variables["DB_POOL_SIZE"], "3");
    assert_eq!(variables["DB_MAX_OVERFLOW"], "");
}

#[test]
fn the_last_entry_of_a_name_wins_and_the_command_sees_it() {
    let pod = granted();
    let variables = variables(&pod, container(&pod), &Secrets::new()).unwrap();
    assert_eq!(words(container(&pod), &variables), ["serve", "--bind", "127.0.0.7:80"]);
}

/// A pod with a variable that another object has.
fn reads(source: &Value) -> Pod {
    let mut pod = granted();
    let env = json!([{"name": "PASSWORD", "valueFrom": source}]);
    pod.spec.as_mut().unwrap().containers[0].env = serde_json::from_value(env).unwrap();
    pod
}

#[test]
fn a_variable_is_read_from_the_secret_and_nothing_stands_for_one_that_is_missing() {
    let pod = reads(&json!({"secretKeyRef": {"name": "db", "key": "password"}}));
    assert_eq!(named_secrets(&pod), ["db".to_owned()].into());
    let secrets = Secrets::from([("db".to_owned(), [("password".to_owned(), "open".to_owned())].into())]);
    assert_eq!(variables(&pod, container(&pod), &secrets).unwrap()["PASSWORD"], "open");
    let error = variables(&pod, container(&pod), &Secrets::new()).unwrap_err();
    assert_eq!(format!("{error:#}"), "variable PASSWORD: Secret db has no password");
}

#[test]
fn a_source_that_is_not_stood_for_is_an_error() {
    let pod = reads(&json!({"configMapKeyRef": {"name": "db", "key": "password"}}));
    let error = variables(&pod, container(&pod), &Secrets::new()).unwrap_err();
    assert_eq!(format!("{error:#}"), "variable PASSWORD: only fieldRef and secretKeyRef are stood for");
}

#[test]
fn a_line_counts_when_it_is_whole_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let write = |text: &str| {
        OpenOptions::new().create(true).append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    write("Traceback, for people\n{\"at\": 1.5, \"did\": \"ready\"}\n{\"at\": 2.0, \"did\": \"refu");
    let mut lines = Follower::<Line>::new(&path);
    assert_eq!(lines.news().unwrap(), [Line { at: 1.5, did: Did::Ready }]);
    write("sed\", \"said\": \"too many\"}\n");
    assert_eq!(lines.news().unwrap(), [Line { at: 2.0, did: Did::Refused { said: "too many".to_owned() } }]);
    assert_eq!(lines.news().unwrap(), []);
}

fn told(granted: &[(f64, u64)], held: &[(f64, u64)]) -> Told {
    let side = |held: &[(f64, u64)]| Outcome {
        samples: held
            .iter()
            .map(|(at, backends)| Sample { at: *at, backends: *backends, clients: None })
            .collect(),
        lives: Vec::new(),
        refused: 0,
        ready: (0, 0),
    };
    Told {
        way: &DIRECT,
        span: (0.0, 10.0),
        marks: Vec::new(),
        without: side(&[]),
        with: side(held),
        granted: granted.to_vec(),
        faults: Vec::new(),
    }
}

#[test]
fn what_a_server_holds_is_compared_with_the_grants_of_that_moment() {
    let granted = [(1.0, 6), (5.0, 2)];
    assert_eq!(told(&granted, &[(0.5, 0), (2.0, 6), (9.0, 2)]).above_grants(), 0);
    // Before the grant, above it, and long after it was given back.
    assert_eq!(told(&granted, &[(0.5, 1)]).above_grants(), 1);
    assert_eq!(told(&granted, &[(2.0, 8)]).above_grants(), 2);
    assert_eq!(told(&granted, &[(9.0, 6)]).above_grants(), 4);
    // What is just being closed is forgiven.
    assert_eq!(told(&granted, &[(5.5, 6)]).above_grants(), 0);
}
