//! Observe: gates open at the pods' own sizes, nothing else is touched, and what pods hold by then counts when the mode
//! is Gate again.

use poolbudget::api::Mode;
use serde_json::json;

use super::cluster::Cluster;
use super::crashes::settled;
use super::door::Fate;
use super::server::{Request, bill, gated};
use super::term::Term;

/// A cluster of 13 usable connections in which the mode holds nothing back.
fn observing() -> Cluster {
    let cluster = Cluster::new(14, "Current");
    set(&cluster, Mode::Observe);
    cluster
}

fn set(cluster: &Cluster, mode: Mode) {
    cluster.server().edit_budget(|spec| spec.mode = mode);
}

fn note(cluster: &Cluster, pod: &str, key: &str) -> Option<String> {
    let server = cluster.server();
    server.pods[pod]["metadata"]["annotations"][key].as_str().map(ToOwned::to_owned)
}

/// Gives the first pod what the gate would have written on it.
fn replaced(cluster: &mut Cluster, literals: &str) -> String {
    cluster.step();
    let mut server = cluster.server();
    let mut pod = server.pods.values().next().cloned().expect("a pod");
    pod["metadata"]["annotations"]["poolbudget.dev/replaced-env"] = json!(literals);
    let pod = server.store_pod(pod);
    pod["metadata"]["name"].as_str().expect("a name").to_owned()
}

#[test]
fn observe_lets_every_pod_through_at_the_size_that_its_own_env_states() {
    let cases = [
        (r#"{"DB_POOL_SIZE":"3","DB_MAX_OVERFLOW":"4"}"#, ("3", "4", "7")),
        (r#"{"DB_POOL_SIZE":" 3 "}"#, ("3", "10", "13")),
        ("{}", ("5", "10", "15")),
        // No limit, or no usable number: the app's default counts.
        (r#"{"DB_POOL_SIZE":"0","DB_MAX_OVERFLOW":"4"}"#, ("5", "10", "15")),
        (r#"{"DB_POOL_SIZE":"99999999999"}"#, ("5", "10", "15")),
        ("no JSON", ("5", "10", "15")),
    ];
    for (literals, (pool, overflow, connections)) in cases {
        let mut cluster = observing();
        cluster.scale("api", 1);
        let pod = replaced(&mut cluster, literals);
        let mut term = Term::begin(&cluster);
        assert!(cluster.run(&mut term), "{literals}");
        let granted = ["pool-size", "max-overflow", "connections"]
            .map(|key| note(&cluster, &pod, &format!("poolbudget.dev/{key}")));
        assert_eq!(granted, [pool, overflow, connections].map(|text| Some(text.to_owned())), "{literals}");
    }
}

#[test]
fn observe_says_what_the_pods_may_hold_and_whether_that_fits() {
    let mut cluster = observing();
    cluster.scale("api", 2);
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 2);
    let server = cluster.server();
    let status = server.status();
    assert_eq!((status.ledger.mode, status.committed, status.usable), (Mode::Observe, 30, 13));
    let within = server.told("WithinLimit", "False", "OverLimit");
    let told =
        "the pods may hold 30 connections, and 13 are usable; mode Observe evicts no pod and changes no size";
    assert_eq!(within, told);
    assert_eq!(server.condition("Feasible").status, "True", "the plan is told all the same");
    assert_eq!((status.workloads[0].pool_size, status.workloads[0].max_overflow), (2, 4));
}

#[test]
fn observe_ends_nobody_however_much_is_held() {
    let mut cluster = settled("Current", &[("api", 2)]);
    set(&cluster, Mode::Observe);
    cluster.scale("api", 6);
    let mut term = Term::begin(&cluster);
    term.door.follow(|_, call| {
        let ends = matches!(call.write, Some(Request::Evict { .. } | Request::Delete { .. }));
        assert!(!ends, "{:?}", call.write);
        Some(Fate::Done)
    });
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 5);
    assert_eq!(cluster.server().held(), 12 + 4 * 15);
}

#[test]
fn pods_that_wait_when_observe_begins_are_let_through() {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    cluster.scale("web", 20);
    cluster.turns(&mut term, 3);
    assert!(cluster.server().status().pods.waiting > 0);
    set(&cluster, Mode::Observe);
    assert!(cluster.run(&mut term));
    assert!(cluster.server().pods.values().all(|pod| !gated(pod)));
}

#[test]
fn back_in_gate_what_was_let_through_makes_way_one_by_one() {
    let mut cluster = observing();
    cluster.scale("api", 3);
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    assert_eq!(cluster.server().held(), 45);
    set(&cluster, Mode::Gate);
    for _ in 0..200 {
        cluster.turn(&mut term);
        if cluster.at_rest() && cluster.server().held() <= 13 {
            break;
        }
    }
    let mut server = cluster.server();
    assert!(server.held() <= 13, "{} are held", server.held());
    server.peak = 0;
    drop(server);
    cluster.scale("api", 5);
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}

#[test]
fn a_gate_that_opens_late_is_on_the_bill_of_the_mode_that_follows() {
    let mut cluster = observing();
    cluster.scale("api", 1);
    let mut term = Term::begin(&cluster);
    term.door.meet(Fate::Late, |call| call.grants(""));
    cluster.turns(&mut term, 2);
    assert!(!cluster.server().late.is_empty());
    set(&cluster, Mode::Gate);
    cluster.scale("web", 2);
    cluster.turns(&mut term, 3);
    // 15 may arrive at any moment: no other pod is granted.
    assert_eq!(cluster.server().held(), 0);
    cluster.server().arrive();
    assert_eq!(cluster.server().pods.values().map(bill).sum::<u64>(), 15);
}

#[test]
fn what_nobody_granted_is_no_debt_for_the_next_leader() {
    let mut cluster = observing();
    cluster.scale("api", 1);
    cluster.step();
    {
        // This cluster has no admission: the pod is created without a gate.
        let mut server = cluster.server();
        let mut pod = server.pods.values().next().cloned().expect("a pod");
        pod["spec"]["schedulingGates"] = json!([]);
        pod["spec"]["containers"][0]["env"] = json!([{"name": "DB_POOL_SIZE", "value": "4"}]);
        server.store_pod(pod);
    }
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 3);
    let status = cluster.server().status();
    assert_eq!((status.committed, status.usable), (14, 13));
    set(&cluster, Mode::Gate);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 2);
    assert!(cluster.server().status().ledger.quarantine.is_empty(), "{:?}", cluster.server().status());
    assert_eq!(cluster.server().condition("ForeignPods").status, "True");
}
