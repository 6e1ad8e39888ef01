//! The way down: pods hold more than is usable, because the spec has just changed. The old pods make way one by one,
//! and every workload that fits keeps a ready pod.

use poolbudget::api::{EvictionPolicy, Mode};
use serde_json::json;
use testkit::objects::replica_set;

use super::cluster::{Cluster, of_revision, part};
use super::crashes::settled;
use super::server::{gated, ready, terminating};
use super::term::{Term, pass, writes};

/// Turns until everything is at rest under `usable`; at every turn each workload has a ready pod, and the pods hold no
/// more than at the beginning.
fn comes_down(cluster: &mut Cluster, term: &mut Term, usable: u64) {
    let before = cluster.server().held();
    let names: Vec<String> = cluster.server().deployments.keys().cloned().collect();
    for _ in 0..200 {
        cluster.turn(term);
        let server = cluster.server();
        assert!(server.held() <= before, "{} held, {before} before", server.held());
        for name in &names {
            let up = server.pods_of(name).iter().filter(|pod| ready(pod) && !terminating(pod)).count();
            assert!(up > 0, "no pod of {name} is ready");
        }
        drop(server);
        if cluster.at_rest() && cluster.server().held() <= usable {
            return;
        }
    }
    panic!("not under {usable}: {}", cluster.describe());
}

#[test]
fn from_observe_to_gate_pods_make_way_one_by_one() {
    for replicas in [2, 3, 6] {
        let mut cluster = Cluster::new(14, "Current");
        cluster.server().edit_budget(|spec| spec.mode = Mode::Observe);
        cluster.scale("api", replicas);
        let mut term = Term::begin(&cluster);
        assert!(cluster.run(&mut term));
        cluster.turns(&mut term, 2);
        cluster.server().edit_budget(|spec| spec.mode = Mode::Gate);
        comes_down(&mut cluster, &mut term, 13);
        cluster.turns(&mut term, 2);
        assert_eq!(cluster.server().status().ledger.high_water, None, "it is over");
    }
}

#[test]
fn under_a_lowered_limit_pods_make_way_one_by_one() {
    for limit in [3, 5, 8] {
        let mut cluster = settled("Current", &[("api", 2)]);
        let mut term = Term::begin(&cluster);
        cluster.turns(&mut term, 2);
        cluster.server().edit_budget(|spec| spec.limit.connections = Some(limit));
        comes_down(&mut cluster, &mut term, u64::from(limit) - 1);
    }
}

#[test]
fn under_a_lowered_limit_new_pods_that_cannot_connect_are_no_bad_revision() {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 2);
    cluster.sick = true;
    cluster.server().edit_budget(|spec| spec.limit.connections = Some(5));
    cluster.turns(&mut term, 100);
    let blocked = cluster.server().told("Blocked", "True", "AboveLimit");
    assert_eq!(
        blocked,
        "new pods of Deployment/api do not become Ready. Pods hold 8 connections, and the limit allows 4, so the database may \
         have none left. poolbudget evicts the next pod that holds more than its share 600 seconds after the last one"
    );
}

#[test]
fn a_new_leader_comes_down_from_where_the_old_one_began() {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 2);
    cluster.server().edit_budget(|spec| spec.limit.connections = Some(5));
    // One of two pods goes, and its successor waits.
    for _ in 0..50 {
        cluster.turn(&mut term);
        if cluster.server().pods.values().any(gated) {
            break;
        }
    }
    assert_eq!(cluster.server().status().ledger.high_water, Some(12));
    let mut next = Term::begin(&cluster);
    comes_down(&mut cluster, &mut next, 4);
}

/// A Deployment of one pod, adopted while an older pod with 5 + 10 connections exists; the new pod is granted but does
/// not become ready.
fn adopting() -> (Cluster, Term) {
    adopting_beside(&[("api-0", 1)])
}

/// The same with older ReplicaSets of these names, each with one pod that is ready or not.
fn adopting_beside(sets: &[(&str, u32)]) -> (Cluster, Term) {
    let mut cluster = Cluster::new(14, "Current");
    cluster.sick = true;
    cluster.scale("api", u32::try_from(sets.len()).expect("few"));
    let mut server = cluster.server();
    for (name, ready) in sets {
        let old = of_revision(replica_set("shop", name).meta("generation", 1), "0", "api");
        server.store_set(name, old.status(json!({"replicas": 1, "readyReplicas": ready})).json());
    }
    let mut deployment = server.deployments["api"].clone();
    deployment["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    server.store_deployment("api", deployment);
    drop(server);
    let term = Term::begin(&cluster);
    (cluster, term)
}

#[test]
fn a_pod_from_before_the_label_goes_when_a_new_one_finds_nothing_left_to_open() {
    let (mut cluster, mut term) = adopting();
    cluster.turns(&mut term, 50);
    assert_eq!(cluster.server().retired, Vec::<String>::new(), "it may still be starting");
    cluster.turns(&mut term, 20);
    assert_eq!(cluster.server().retired, ["api-0"]);
    let blocked = cluster.server().told("Blocked", "True", "ForeignPods");
    assert_eq!(
        blocked,
        "new pods of Deployment/api do not become Ready. 1 pod created before the label may hold 15 connections, which may \
         be all that the database has: poolbudget removes one old pod every 60 seconds until the new pods can connect"
    );
    cluster.turns(&mut term, 50);
    assert_eq!(cluster.server().retired.len(), 1, "that one has time to help");
    cluster.turns(&mut term, 20);
    assert_eq!(cluster.server().retired.len(), 2);
}

#[test]
fn a_replica_set_without_ready_pods_does_not_keep_the_next_one_from_giving_one() {
    let (mut cluster, mut term) = adopting_beside(&[("api-a", 0), ("api-b", 1)]);
    cluster.turns(&mut term, 70);
    assert_eq!(cluster.server().retired, ["api-b"]);
}

/// Three pods were ready at the adoption; now one is.
#[test]
fn where_too_few_pods_would_be_ready_those_from_before_the_label_stay_and_their_user_is_told() {
    let (mut cluster, mut term) = adopting_beside(&[("api-a", 1), ("api-b", 1), ("api-c", 1)]);
    cluster.turns(&mut term, 10);
    for name in ["api-a", "api-b"] {
        let mut server = cluster.server();
        let mut set = server.sets[name].clone();
        set["status"]["readyReplicas"] = json!(0);
        server.store_set(name, set);
    }
    cluster.turns(&mut term, 70);
    assert_eq!(cluster.server().retired, Vec::<String>::new());
    let blocked = cluster.server().told("Blocked", "True", "ForeignPods");
    assert!(
        blocked.ends_with(
            "poolbudget removes none of them, because too few pods would be Ready: scale the old ReplicaSet down by one \
             yourself"
        ),
        "{}",
        blocked
    );
}

#[test]
fn a_disruption_budget_that_keeps_a_pod_from_before_the_label_is_asked_every_five_seconds_and_named() {
    let (mut cluster, mut term) = adopting();
    cluster.server().protected.push(("api-0".into(), "calm".into()));
    cluster.turns(&mut term, 70);
    let mut tries = Vec::new();
    for _ in 0..10 {
        pass(1);
        tries.push(writes(&mut term));
    }
    assert_eq!(tries.iter().sum::<usize>(), 2, "{tries:?}");
    let blocked = cluster.server().told("Blocked", "True", "PodDisruptionBudget");
    assert_eq!(
        blocked,
        "PodDisruptionBudget calm refuses the eviction of a pod created before its workload was labelled, and a new pod \
         cannot connect until one of those is gone"
    );
    cluster.server().protected.clear();
    cluster.turns(&mut term, 6);
    assert_eq!(cluster.server().retired, ["api-0"]);
    assert_ne!(cluster.server().condition("Blocked").reason, "PodDisruptionBudget");
}

#[test]
fn where_eviction_is_forbidden_pods_from_before_the_label_stay() {
    let (mut cluster, mut term) = adopting();
    cluster.server().edit_budget(|spec| spec.eviction_policy = EvictionPolicy::Forbidden);
    cluster.turns(&mut term, 100);
    assert_eq!(cluster.server().retired, Vec::<String>::new());
    let blocked = cluster.server().condition("Blocked");
    assert_eq!(blocked.reason, "ForeignPods");
    assert!(
        blocked.message.ends_with("scale the old ReplicaSet down by one yourself"),
        "{}",
        blocked.message
    );
}

#[test]
fn where_all_would_fit_new_pods_that_are_not_ready_are_a_bad_revision() {
    let (mut cluster, mut term) = adopting();
    cluster.server().edit_budget(|spec| spec.limit.connections = Some(60));
    let most = json!([{"name": "api", "connectionsPerProcess": {"max": 4}}]);
    cluster.server().edit_budget(|spec| spec.workloads = part(most));
    cluster.turns(&mut term, 100);
    assert_eq!(cluster.server().retired, Vec::<String>::new());
    assert_eq!(cluster.server().condition("Blocked").reason, "BadRevision");
}
