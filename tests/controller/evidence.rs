//! What pods report of their pools: what is beyond a grant is on the bill, is named, and sends nobody away.

use poolbudget::api::{DbConnectionBudgetStatus, QuarantineCause};
use poolbudget::evidence::{self, Silence};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::server::{NAMESPACE, terminating};
use super::term::{Term, pass};

/// Two pods of 6, of 13 usable connections, that answer at a port; and their leader.
fn observed() -> (Cluster, Term) {
    of_most(20)
}

/// The same, with at most so many connections each.
fn of_most(most: u32) -> (Cluster, Term) {
    let mut cluster = Cluster::new(14, "Ceiling");
    cluster.server().edit_budget(|spec| {
        let entry = json!([{"name": "api", "maxReplicas": 2, "connectionsPerProcess": {"max": most}}]);
        spec.workloads = serde_json::from_value(entry).expect("an entry");
        spec.observe = serde_json::from_value(json!({"pods": {"path": "/debug/db-pool", "port": 8000}}))
            .expect("a place");
    });
    cluster.scale("api", 2);
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 2);
    (cluster, term)
}

/// The pods by name and uid.
fn pods(cluster: &Cluster) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let server = cluster.server();
    server.pods.values().map(|pod| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]))).collect()
}

/// The pod at this place answers that it may open so many, and has that many open.
fn answers(cluster: &Cluster, term: &Term, place: usize, most: u64, open: u64) -> bool {
    let (name, uid) = pods(cluster).swap_remove(place);
    let body = json!({"pool": {"size": 1, "checked_out": open, "checked_in": 0, "max_connections": most}})
        .to_string();
    let reading = evidence::read(body.as_bytes()).expect("a reading");
    term.reconciler.context.observed.world().see_evidence(NAMESPACE, &name, &uid, reading)
}

fn told(status: &DbConnectionBudgetStatus, kind: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).expect("the condition");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

fn nobody_is_sent_away(cluster: &Cluster) {
    assert!(!cluster.server().pods.values().any(terminating), "{}", cluster.describe());
}

#[test]
fn pods_that_keep_to_their_grants_are_told_of_and_change_nothing() {
    let (mut cluster, mut term) = observed();
    let (status, reason, _) = told(&cluster.server().status(), "EnvIgnored");
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NoAnswer"));
    assert!(answers(&cluster, &term, 0, 6, 4));
    let silent = pods(&cluster)[1].1.clone();
    term.reconciler.context.observed.world().see_silence(&silent, Silence::Status(404));
    cluster.turn(&mut term);
    let status = cluster.server().status();
    let (holds, reason, message) = told(&status, "EnvIgnored");
    assert_eq!((holds.as_str(), reason.as_str()), ("False", "WithinGrants"));
    assert!(message.contains("1 of 2 pods answered") && message.contains("HTTP status 404"), "{message}");
    assert_eq!((status.usable, status.committed, status.ledger.excess.len()), (13, 12, 0));
    let evidence = status.workloads[0].evidence.expect("evidence");
    assert_eq!((evidence.pods, evidence.acknowledged, evidence.ignored, evidence.in_use), (1, 1, 0, Some(4)));
}

#[test]
fn what_a_pod_holds_beyond_its_grant_is_on_the_bill_until_it_is_gone_and_nobody_is_evicted() {
    let (mut cluster, mut term) = observed();
    assert!(answers(&cluster, &term, 0, 15, 2));
    cluster.turns(&mut term, 3);
    let status = cluster.server().status();
    assert_eq!((status.usable, status.committed), (4, 12));
    assert_eq!(status.ledger.excess[0].connections, 9);
    let (holds, reason, message) = told(&status, "EnvIgnored");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "MoreThanGranted"));
    let name = pods(&cluster)[0].0.clone();
    assert!(message.starts_with(&format!("Pod/{name} (granted 6, reports 15): ")), "{message}");
    assert!(message.contains("DB_POOL_SIZE and DB_MAX_OVERFLOW"), "{message}");
    // A smaller answer takes nothing back.
    assert!(!answers(&cluster, &term, 0, 6, 2));
    cluster.turns(&mut term, 30);
    assert_eq!(cluster.server().status().usable, 4);
    nobody_is_sent_away(&cluster);
    // Its successor keeps to its grant.
    cluster.server().begin_deletion(&name);
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 3);
    let status = cluster.server().status();
    assert_eq!((status.usable, status.committed, status.ledger.excess.len()), (13, 12, 0));
    cluster.server().acquit();
}

#[test]
fn nothing_is_granted_on_what_others_were_seen_to_hold_and_the_condition_says_so() {
    // Beside two pods of 3 there is room for another one.
    let (mut cluster, mut term) = of_most(3);
    assert!(answers(&cluster, &term, 0, 12, 2));
    cluster.scale("web", 1);
    cluster.turns(&mut term, 30);
    let status = cluster.server().status();
    assert_eq!((status.pods.waiting, status.committed), (1, 6), "{}", cluster.describe());
    let (holds, reason, message) = told(&status, "Blocked");
    assert_eq!((holds.as_str(), reason.as_str()), ("True", "MoreThanGranted"), "{message}");
    assert!(message.contains("9 connections more than they were granted"), "{message}");
    assert_eq!(told(&status, "Stalled").1, "MoreThanGranted");
    assert_eq!(told(&status, "Ready").0, "True", "the budget itself is in order");
    nobody_is_sent_away(&cluster);
}

#[test]
fn a_new_leader_counts_what_the_last_one_saw() {
    let (mut cluster, mut term) = observed();
    assert!(answers(&cluster, &term, 1, 10, 2));
    cluster.turns(&mut term, 2);
    drop(term);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 3);
    let status = cluster.server().status();
    assert_eq!((status.usable, status.ledger.excess[0].connections), (9, 4));
    assert_eq!(told(&status, "EnvIgnored").0, "True");
}

#[test]
fn what_was_seen_of_a_pod_that_went_unseen_stays_in_quarantine() {
    for nobody_leads in [false, true] {
        let (mut cluster, mut term) = observed();
        assert!(answers(&cluster, &term, 0, 10, 2));
        cluster.turns(&mut term, 2);
        let name = pods(&cluster)[0].0.clone();
        if nobody_leads {
            drop(term);
            cluster.server().vanish(&name);
            term = Term::begin(&cluster);
        } else {
            cluster.server().vanish(&name);
        }
        cluster.turn(&mut term);
        let kept = cluster.server().status().ledger.quarantine;
        let sum: i64 = kept.iter().map(|entry| entry.connections).sum();
        assert_eq!(sum, 10, "{nobody_leads}: {kept:?}");
        let cause = if nobody_leads { QuarantineCause::WhileNobodyLed } else { QuarantineCause::Vanished };
        assert!(kept.iter().all(|entry| entry.cause == cause), "{kept:?}");
    }
}

#[test]
fn numbers_that_change_with_every_query_are_written_once_a_minute_at_most() {
    let (mut cluster, mut term) = observed();
    assert!(answers(&cluster, &term, 0, 6, 1));
    cluster.turns(&mut term, 3);
    let before = term.door.writes();
    for second in 0..55 {
        answers(&cluster, &term, 0, 6, second % 6);
        cluster.turn(&mut term);
    }
    assert_eq!(term.door.writes(), before);
    pass(10);
    answers(&cluster, &term, 0, 6, 5);
    cluster.turn(&mut term);
    assert_eq!(term.door.writes(), before + 1);
    assert_eq!(cluster.server().status().workloads[0].evidence.and_then(|evidence| evidence.in_use), Some(5));
}
