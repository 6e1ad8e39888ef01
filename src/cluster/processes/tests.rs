//! Who says how many processes a pod runs: its annotation, or what its containers run.

use serde_json::{Value, json};

use crate::api::names;
use crate::cluster::env::{Container, Words};
use crate::cluster::template::AppFacts;

fn containers(list: &Value) -> Vec<Container> {
    serde_json::from_value(list.clone()).expect("containers")
}

fn of(annotations: &Value, init: &Value, regular: &Value) -> AppFacts {
    let notes = serde_json::from_value(annotations.clone()).expect("annotations");
    AppFacts::read(&None, &Some(notes), &containers(init), &containers(regular))
}

fn one(annotations: &Value, container: &Value) -> AppFacts {
    let mut container = container.clone();
    container["name"] = "app".into();
    of(annotations, &json!([]), &json!([container]))
}

#[test]
fn what_a_pod_runs_multiplies_its_bill() {
    let facts = one(&json!({}), &json!({"command": ["gunicorn", "-w", "4", "app"]}));
    assert_eq!((facts.processes, facts.own.get()), (4, 60));
    assert_eq!(facts.processes_from, "from `gunicorn -w 4`");
    assert_eq!((facts.processes_remark, facts.instances.map(|pools| pools.get())), (None, Ok(4)));
}

#[test]
fn the_annotation_wins_and_a_contradiction_is_told() {
    let of = |n: &str| one(&json!({names::PROCESSES: n}), &json!({"command": ["gunicorn", "-w", "4"]}));
    assert_eq!((of("2").processes, of("2").own.get()), (2, 30));
    let remark = of("2").processes_remark.expect("a contradiction");
    assert_eq!(remark, "poolbudget.dev/processes says 2 and takes precedence, but `gunicorn -w 4` says 4");
    assert_eq!(
        (of("4").processes_remark, of("4").processes_from.as_ref()),
        (None, "from the annotation poolbudget.dev/processes")
    );
    let by_itself = one(&json!({names::PROCESSES: "2"}), &json!({"command": ["gunicorn", "app"]}));
    assert_eq!(by_itself.processes_remark, None, "what a program does by itself contradicts nobody");
}

#[test]
fn a_variable_that_is_read_from_the_pod_is_known() {
    let env = |path: &str| {
        let from = json!({"fieldRef": {"fieldPath": path}});
        let env = json!([{"name": "WEB_CONCURRENCY", "valueFrom": from}]);
        one(&json!({"team": "6"}), &json!({"args": ["gunicorn", "app"], "env": env}))
    };
    assert_eq!(env("metadata.annotations['team']").processes, 6);
    let unknown = env("metadata.name");
    assert_eq!(unknown.processes, 1);
    let why = unknown.processes_remark.expect("it is told");
    assert!(why.contains("`gunicorn` reads WEB_CONCURRENCY, which is set elsewhere"), "{why}");
}

#[test]
fn what_the_pod_shows_nothing_of_is_told_to_those_alone_who_ask() {
    let facts = one(&json!({}), &json!({"image": "app"}));
    assert_eq!((facts.processes, facts.processes_remark), (1, None));
    assert_eq!(facts.processes_from, "unknown: the image's entrypoint decides");
}

#[test]
fn each_container_that_opens_connections_is_looked_at() {
    let init = json!([
        {"name": "migrate", "command": ["alembic", "upgrade", "head"], "env": [{"name": "WEB_CONCURRENCY", "value": "9"}]},
        {"name": "warm", "command": ["celery", "-A", "a", "worker", "-c", "20"]}]);
    let regular = json!([{"name": "app", "command": ["gunicorn", "-w", "4"]},
        {"name": "worker", "command": ["celery", "-A", "a", "worker", "-c", "3"]}]);
    let processes = |annotations: Value| of(&annotations, &init, &regular).processes;
    assert_eq!(processes(json!({})), 4);
    assert_eq!(processes(json!({names::CONTAINER: "app,worker"})), 7);
    assert_eq!(processes(json!({names::CONTAINER: "migrate,app,worker"})), 7);
    assert_eq!(processes(json!({names::CONTAINER: "warm,app,worker"})), 20, "the largest moment");
    assert_eq!(processes(json!({names::CONTAINER: "app,worker", names::PROCESSES: "2"})), 4);
    assert_eq!(
        processes(json!({names::CONTAINER: "app,worker", names::PROCESSES: "app=2"})),
        5,
        "it says nothing of the other"
    );
    let facts = of(&json!({names::CONTAINER: "app,worker"}), &init, &regular);
    assert_eq!(facts.processes_from, "app 4 (from `gunicorn -w 4`) + worker 3 (from `celery -c 3`)");
    assert_eq!(processes(json!({names::CONTAINER: "web"})), 20, "one that is not there may be any");
}

#[test]
fn of_several_containers_it_is_said_which_run_when_most_do() {
    let init = json!([
        {"name": "side", "restartPolicy": "Always", "command": ["uvicorn", "a"]},
        {"name": "migrate", "command": ["celery", "-A", "a", "worker", "-c", "8"]}]);
    let regular = json!([{"name": "app", "command": ["gunicorn", "-w", "4"]}]);
    let from = |containers: &str| {
        let facts = of(&json!({names::CONTAINER: containers}), &init, &regular);
        (facts.processes, facts.processes_from.into_owned())
    };
    let expected = "while migrate runs: side 1 (from `uvicorn` by itself) + migrate 8 (from `celery -c 8`); afterwards side 1 \
                    + app 4 (from `gunicorn -w 4`)";
    assert_eq!(from("side,migrate,app"), (9, expected.to_owned()));
    let expected =
        "while migrate runs: migrate 8 (from `celery -c 8`); afterwards app 4 (from `gunicorn -w 4`)";
    assert_eq!(from("migrate,app"), (8, expected.to_owned()));
    let few = json!([{"name": "migrate", "command": ["alembic", "upgrade", "head"]}]);
    let facts = of(&json!({names::CONTAINER: "migrate,app"}), &few, &regular);
    let expected = "app 4 (from `gunicorn -w 4`); before, migrate 1 (from a container that runs first)";
    assert_eq!(facts.processes_from, expected);
}

#[test]
fn a_number_that_no_annotation_may_state_gives_no_size_and_counts_all_the_same() {
    let facts = one(&json!({}), &json!({"command": ["gunicorn", "-w", "5000"]}));
    assert_eq!(facts.own.get(), 75_000);
    assert_eq!(facts.instances.expect_err("a fault"), "`gunicorn -w 5000` says more than 1000 processes");
    let facts = one(&json!({}), &json!({"command": ["gunicorn", "-w", "9".repeat(40)]}));
    assert_eq!(facts.own.get(), u64::MAX, "more than can be counted");
    let annotated = one(&json!({names::PROCESSES: "4"}), &json!({"command": ["gunicorn", "-w", "5000"]}));
    assert_eq!((annotated.own.get(), annotated.instances.is_ok()), (60, true));
}

#[test]
fn a_command_that_is_longer_than_anybody_writes_is_a_fault_unless_an_annotation_states_the_number() {
    let many = json!({"command": vec!["x"; Words::MOST + 1]});
    let long = json!({"args": ["x".repeat(Words::MOST_BYTES), "-w"]});
    for container in [many, long] {
        let why = one(&json!({}), &container).instances.expect_err("a fault");
        assert!(why.contains("too long to be read; set poolbudget.dev/processes"), "{why}");
        assert!(one(&json!({names::PROCESSES: "4"}), &container).instances.is_ok());
    }
    let most = json!({"command": vec!["x"; Words::MOST]});
    assert!(one(&json!({}), &most).instances.is_ok());
}
