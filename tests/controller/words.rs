//! What is reported, about what, and how often.

use super::cluster::Cluster;
use super::crashes::settled;
use super::server::gated;
use super::term::{Term, pass};

/// Reasons of the events about objects whose kind and name begin with `about`.
fn said(cluster: &Cluster, about: &str) -> Vec<String> {
    let server = cluster.server();
    server.said.iter().filter(|said| said.about.starts_with(about)).map(|said| said.reason.clone()).collect()
}

#[test]
fn a_pod_that_waits_is_told_each_reason_once() {
    let mut cluster = settled("Current", &[("api", 2)]);
    cluster.server().edit_budget(|spec| {
        spec.eviction_policy = poolbudget::api::EvictionPolicy::Forbidden;
    });
    cluster.scale("web", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 30);
    assert_eq!(said(&cluster, "Pod/web"), ["NoRoom"]);
    let note = cluster
        .server()
        .said
        .iter()
        .find(|said| said.about.starts_with("Pod/web"))
        .expect("said")
        .note
        .clone();
    assert_eq!(note, "4 connections are missing: 12 of 13 are committed");
    // The user drains one of the large pods.
    cluster.scale("api", 1);
    cluster.turns(&mut term, 2);
    assert_eq!(said(&cluster, "Pod/web"), ["NoRoom", "Draining"]);
}

#[test]
fn a_workload_is_told_once_why_pods_of_it_wait() {
    let mut cluster = settled("Current", &[("api", 2)]);
    cluster.server().edit_budget(|spec| {
        spec.eviction_policy = poolbudget::api::EvictionPolicy::Forbidden;
    });
    cluster.scale("web", 3);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 30);
    assert_eq!(said(&cluster, "Deployment/web"), ["NoRoom"]);
    assert!(said(&cluster, "Pod/web").len() >= 3);
    let server = cluster.server();
    let told = server.said.iter().find(|said| said.about == "Deployment/web").expect("said");
    assert!(
        told.note.starts_with("pod web-") && told.note.contains(" (and 2 others) waits: "),
        "{}",
        told.note
    );
}

#[test]
fn a_pod_that_is_granted_at_once_is_told_nothing() {
    let cluster = settled("Current", &[("api", 2)]);
    assert!(said(&cluster, "Pod/").is_empty());
}

#[test]
fn a_pod_whose_budget_does_not_exist_is_told_so_and_goes_on_when_it_is_made() {
    let mut cluster = Cluster::new(14, "Current");
    let spec = cluster.server().budget.clone().expect("a budget").spec;
    cluster.server().delete_budget();
    cluster.scale("api", 2);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 10);
    assert_eq!(said(&cluster, "Pod/"), ["BudgetNotFound", "BudgetNotFound"]);
    assert_eq!(said(&cluster, "Deployment/api"), ["BudgetNotFound"]);
    assert!(cluster.server().pods.values().all(gated));
    assert_eq!(term.door.writes(), 0);
    cluster.server().make_budget(spec);
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}

#[test]
fn a_budget_that_is_deleted_while_pods_wait_tells_each_of_them() {
    let mut cluster = settled("Current", &[("api", 2)]);
    cluster.server().edit_budget(|spec| spec.eviction_policy = poolbudget::api::EvictionPolicy::Forbidden);
    cluster.scale("web", 2);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 5);
    cluster.server().delete_budget();
    let before = said(&cluster, "Pod/web").len();
    cluster.turns(&mut term, 5);
    let after = said(&cluster, "Pod/web");
    assert_eq!(after.iter().filter(|reason| *reason == "BudgetNotFound").count(), 2, "{after:?}");
    assert_eq!(after.len(), before + 2);
}

#[test]
fn a_budget_says_each_transition_once() {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 10);
    let before = said(&cluster, "DbConnectionBudget/").len();
    cluster.server().edit_budget(|spec| spec.reserved = 14);
    cluster.turns(&mut term, 10);
    cluster.server().edit_budget(|spec| spec.reserved = 1);
    cluster.turns(&mut term, 10);
    let reasons = said(&cluster, "DbConnectionBudget/").split_off(before);
    assert_eq!(reasons, ["InvalidLimit", "NotAccepted", "Accepted", "Fits"]);
}

#[test]
fn ready_sums_up_what_the_other_conditions_say() {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    let mut told = |reserved: u32, replicas: u32| {
        cluster.server().edit_budget(|spec| spec.reserved = reserved);
        cluster.scale("api", replicas);
        cluster.turns(&mut term, 10);
        let server = cluster.server();
        let (ready, feasible) = (server.condition("Ready"), server.condition("Feasible"));
        let stalled = server.status().conditions.iter().any(|condition| condition.type_ == "Stalled");
        (ready.status, ready.reason, feasible.status, stalled)
    };
    let expected = |ready: &str, reason: &str, feasible: &str, stalled| {
        (ready.to_owned(), reason.to_owned(), feasible.to_owned(), stalled)
    };
    assert_eq!(told(1, 2), expected("True", "Ready", "True", false));
    assert_eq!(told(14, 2), expected("False", "InvalidLimit", "Unknown", true));
    assert_eq!(told(1, 20), expected("False", "DoesNotFit", "False", true));
    assert_eq!(told(1, 2), expected("True", "Ready", "True", false));
}

#[test]
fn newest_pods_that_do_not_become_ready_are_told_of_after_a_minute() {
    let mut cluster = settled("Current", &[("api", 1)]);
    cluster.sick = true;
    cluster.scale("web", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 30);
    assert_eq!(cluster.server().condition("Blocked").reason, "NotBlocked");
    // No more events come: the leader has to look by itself.
    let next = term.look();
    pass(40);
    term.look();
    let blocked = cluster.server().told("Blocked", "True", "BadRevision");
    assert!(blocked.contains("Deployment/web"), "{}", blocked);
    let poolbudget::controller::dispatch::Next::After(wait) = next.expect("an end") else {
        panic!("{next:?}")
    };
    assert!(wait.as_secs() <= 5, "looks again after {wait:?}");
}

#[test]
fn worker_processes_that_are_not_known_or_contradict_the_annotation_are_told() {
    let mut cluster = settled("Current", &[("api", 1)]);
    let mut term = Term::begin(&cluster);
    let mut told = |command: &[&str], processes: Option<&str>| {
        let mut server = cluster.server();
        let mut deployment = server.deployments["api"].clone();
        let template = &mut deployment["spec"]["template"];
        template["spec"]["containers"][0]["command"] = command.into();
        template["metadata"]["annotations"]["poolbudget.dev/processes"] = processes.into();
        template["metadata"]["annotations"].as_object_mut().expect("notes").retain(|_, note| !note.is_null());
        server.store_deployment("api", deployment);
        drop(server);
        cluster.turns(&mut term, 3);
        let accepted = cluster.server().condition("Accepted");
        assert_eq!(accepted.status, "True", "{}", accepted.message);
        accepted.message
    };
    let plain = "spec and workloads accepted";
    assert_eq!(told(&[], None), plain);
    assert_eq!(told(&["gunicorn", "-w", "2"], None), plain);
    assert_eq!(
        told(&["gunicorn", "-w", "2"], Some("1")),
        format!(
            "{plain}; Deployment/api: poolbudget.dev/processes says 1 and takes precedence, but `gunicorn -w 2` says 2"
        )
    );
    assert_eq!(
        told(&["celery", "-A", "a", "worker"], None),
        format!(
            "{plain}; Deployment/api: the number of processes in a pod is unknown, so 1 is counted: `celery worker` runs \
             as many as the node has CPUs; set poolbudget.dev/processes"
        )
    );
    assert_eq!(told(&["celery", "-A", "a", "worker"], Some("2")), plain);
}
