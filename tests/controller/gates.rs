//! Pods that also have another scheduling gate.

use poolbudget::api::DbConnectionBudgetSpec;
use serde_json::{Value, json};

use super::cluster::{Cluster, part};
use super::crashes::settled;
use super::server::gated;
use super::term::Term;

const OTHER: &str = "kueue.x-k8s.io/admission";

/// Puts another gate before ours on pods whose names begin with `prefix`, at creation.
fn hold(cluster: &Cluster, prefix: &str) {
    change(cluster, prefix, |gates| gates.insert(0, json!({"name": OTHER})));
}

/// Removes it.
fn let_go(cluster: &Cluster, prefix: &str) {
    change(cluster, prefix, |gates| gates.retain(|gate| gate["name"] != OTHER));
}

fn change(cluster: &Cluster, prefix: &str, change: impl Fn(&mut Vec<Value>)) {
    let mut server = cluster.server();
    let pods: Vec<Value> =
        server.pods.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, pod)| pod.clone()).collect();
    for mut pod in pods.into_iter().filter(gated) {
        change(pod["spec"]["schedulingGates"].as_array_mut().expect("gates"));
        server.store_pod(pod);
    }
}

fn waits(cluster: &Cluster, prefix: &str) -> bool {
    cluster.server().pods.iter().any(|(name, pod)| name.starts_with(prefix) && gated(pod))
}

/// What the waiting pods' events say.
fn said(cluster: &Cluster, about: &str) -> Vec<(String, String)> {
    let server = cluster.server();
    let said = server.said.iter().filter(|said| said.about.starts_with(about));
    said.map(|said| (said.reason.clone(), said.note.clone())).collect()
}

fn at_least_four(spec: &mut DbConnectionBudgetSpec) {
    let of = |name| json!({"name": name, "connectionsPerProcess": {"min": 4}});
    spec.workloads = part(json!([of("queued"), of("ready")]));
}

#[test]
fn a_pod_that_another_gate_holds_holds_nothing_itself_and_waits_for_that_gate() {
    let mut cluster = Cluster::new(5, "Ceiling");
    cluster.server().edit_budget(at_least_four);
    cluster.scale("queued", 1);
    cluster.step();
    hold(&cluster, "queued");
    cluster.scale("ready", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 6);
    assert_eq!(
        (waits(&cluster, "queued"), waits(&cluster, "ready")),
        (true, false),
        "{}",
        cluster.describe()
    );
    let why = "another scheduling gate, kueue.x-k8s.io/admission, holds it; poolbudget grants it when that gate is gone \
               and its connections fit";
    assert_eq!(said(&cluster, "Pod/"), [("OtherGate".to_owned(), why.to_owned())]);
    let found = ["Accepted", "Feasible", "Settled", "Blocked"].map(|kind| {
        let condition = cluster.server().condition(kind);
        (condition.status, condition.reason, condition.message)
    });
    let statuses = found.each_ref().map(|(status, ..)| status.as_str());
    assert_eq!(statuses, ["True", "True", "False", "False"]);
    let (_, reason, message) = &found[2];
    assert_eq!(reason, "OtherGate");
    assert_eq!(message, "1 pod waits: another scheduling gate, kueue.x-k8s.io/admission, holds it");
    let replicas: Vec<i32> = cluster.server().status().workloads.iter().map(|w| w.replicas).collect();
    assert_eq!(replicas, [1, 1]);

    let_go(&cluster, "queued");
    cluster.turns(&mut term, 2);
    assert!(waits(&cluster, "queued"), "nothing is free for it yet");
    cluster.scale("ready", 0);
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}

#[test]
fn a_pod_is_granted_at_once_when_the_last_other_gate_goes() {
    let mut cluster = Cluster::new(14, "Ceiling");
    cluster.scale("api", 2);
    cluster.step();
    hold(&cluster, "api");
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 3);
    assert!(cluster.server().status().committed == 0 && waits(&cluster, "api"));
    let_go(&cluster, "api");
    term.catch_up();
    term.look();
    assert!(!waits(&cluster, "api"), "{}", cluster.describe());
}

#[test]
fn no_room_is_kept_for_a_lost_pod_while_another_gate_holds_its_successor() {
    let mut cluster = settled("Ceiling", &[("api", 2)]);
    let lost = cluster.server().pods.keys().next().expect("a pod").clone();
    cluster.server().remove_pod(&lost);
    cluster.step();
    hold(&cluster, "api");
    cluster.scale("web", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 60);
    assert_eq!((waits(&cluster, "api"), waits(&cluster, "web")), (true, false), "{}", cluster.describe());
    let_go(&cluster, "api");
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}
