//! Statuses that somebody damaged, and servers that refuse everything: what the leader does then, and what it says.

use poolbudget::api::GrantInFlight;

use super::cluster::Cluster;
use super::crashes::settled;
use super::door::Fate;
use super::server::gated;
use super::term::{Term, pass};

fn waiting() -> (Cluster, Term) {
    let mut cluster = Cluster::new(14, "Current");
    cluster.scale("web", 1);
    cluster.step();
    let term = Term::begin(&cluster);
    (cluster, term)
}

fn spoil(cluster: &Cluster, edit: impl FnOnce(&mut poolbudget::api::DbConnectionBudgetStatus)) {
    let mut server = cluster.server();
    let mut status = server.status();
    edit(&mut status);
    server.write_status(status);
}

#[test]
fn a_recorded_grant_without_bounds_is_not_sent_and_its_pod_is_granted_afresh() {
    for (pool_size, max_overflow, connections) in
        [(0, 2, 2), (-1, 0, 1), (2, -1, 1), (2, 2, 0), (i32::MIN, i32::MIN, i64::MIN)]
    {
        let (mut cluster, mut term) = waiting();
        let (name, pod) =
            cluster.server().pods.first_key_value().map(|(n, p)| (n.clone(), p.clone())).expect("a pod");
        let uid = pod["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let workload = "Deployment/web".to_owned();
        let grant = GrantInFlight { uid, pod: name, workload, pool_size, max_overflow, connections };
        spoil(&cluster, |status| {
            status.ledger.epoch = 1;
            status.ledger.grants = vec![grant];
        });
        // The server refuses to count a pool of size 0.
        assert!(cluster.run(&mut term));
        cluster.server().acquit();
        assert!(!gated(cluster.server().pods.values().next().expect("a pod")));
    }
}

#[test]
fn a_recorded_grant_counts_by_its_sizes_when_its_bill_says_less() {
    let (mut cluster, mut term) = waiting();
    cluster.scale("api", 1);
    cluster.step();
    term.catch_up();
    let (name, pod) = cluster
        .server()
        .pods
        .iter()
        .find(|(name, _)| name.starts_with("web"))
        .map(|(n, p)| (n.clone(), p.clone()))
        .expect("a pod");
    let uid = pod["metadata"]["uid"].as_str().expect("a uid").to_owned();
    spoil(&cluster, |status| {
        status.ledger.epoch = 1;
        status.ledger.grants = vec![GrantInFlight {
            uid,
            pod: name,
            workload: "Deployment/web".into(),
            pool_size: 13,
            max_overflow: 0,
            connections: 1,
        }];
    });
    // The grant itself does not arrive: its record counts.
    term.door.meet(Fate::Late, |call| call.grants("web"));
    term.look();
    term.look();
    assert!(cluster.server().pods.values().all(gated), "13 of 13 are recorded");
}

#[test]
fn an_epoch_at_the_largest_number_is_followed_by_another_one() {
    let (mut cluster, mut older) = waiting();
    spoil(&cluster, |status| status.ledger.epoch = i64::MAX - 1);
    older.look();
    assert_eq!(cluster.server().status().ledger.epoch, i64::MAX);
    let mut newer = Term::begin(&cluster);
    newer.look();
    assert_ne!(cluster.server().status().ledger.epoch, i64::MAX);
    let epoch = cluster.server().status().ledger.epoch;
    cluster.scale("web", 2);
    cluster.step();
    older.catch_up();
    older.look();
    assert_eq!(
        cluster.server().status().ledger.epoch,
        epoch,
        "the older one first sees that it was overtaken"
    );
}

#[test]
fn a_leader_that_may_do_nothing_harms_nothing_and_goes_on_when_it_may() {
    for code in [401, 403] {
        let mut cluster = settled("Current", &[("api", 2)]);
        cluster.scale("api", 5);
        let held = cluster.server().held();
        let mut term = Term::begin(&cluster);
        term.door.meet(Fate::Refused(code), |_| true);
        cluster.turns(&mut term, 20);
        assert_eq!(cluster.server().held(), held);
        term.heal();
        assert!(cluster.run(&mut term));
        cluster.server().acquit();
    }
}

#[test]
fn a_grant_that_the_cluster_refuses_is_counted_tried_again_and_keeps_nothing_from_the_others() {
    let mut cluster = Cluster::new(14, "Current");
    cluster.scale("api", 1);
    cluster.scale("web", 2);
    let mut term = Term::begin(&cluster);
    // For example by an admission policy of the cluster.
    term.door.meet(Fate::Refused(422), |call| call.grants("api"));
    cluster.turns(&mut term, 20);
    let status = cluster.server().status();
    assert_eq!(status.ledger.grants.len(), 1, "the refused one stays recorded");
    let web = cluster.server().pods_of("web");
    assert!(web.iter().all(|pod| !gated(pod)));
    let next = term.look();
    assert_eq!(
        next,
        Some(poolbudget::controller::dispatch::Next::Backoff),
        "it is tried again, later each time"
    );
    pass(1);
    term.heal();
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}

#[test]
fn a_budget_that_is_gone_when_it_is_taken_over_leaves_its_pods_at_the_gate_and_says_so() {
    let (cluster, mut term) = waiting();
    // The watch has not shown it yet.
    cluster.server().delete_budget();
    term.look();
    assert_eq!(term.door.writes(), 0);
    let server = cluster.server();
    let said: Vec<(&str, &str)> = server
        .said
        .iter()
        .map(|said| (said.about.split('/').next().unwrap_or_default(), said.reason.as_str()))
        .collect();
    assert_eq!(said, [("Deployment", "BudgetNotFound"), ("Pod", "BudgetNotFound")]);
}

#[test]
fn a_budget_that_cannot_be_read_any_more_grants_nothing_says_why_once_and_goes_on_when_it_can() {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    let held = cluster.server().held();
    cluster.scale("api", 3);
    term.mark_unreadable(Some("spec.mode: unknown variant `Auction`"));
    let said = cluster.server().said.len();
    cluster.turns(&mut term, 10);
    assert_eq!(cluster.server().held(), held);
    let news: Vec<(String, String)> = {
        let server = cluster.server();
        server.said.iter().skip(said).map(|said| (said.about.clone(), said.reason.clone())).collect()
    };
    let [(budget, first), (workload, told), (pod, second)] = &news[..] else { panic!("{news:?}") };
    assert_eq!((workload.as_str(), told.as_str()), ("Deployment/api", "BudgetUnreadable"));
    assert_eq!((budget.as_str(), first.as_str()), ("DbConnectionBudget/main", "BudgetUnreadable"));
    assert_eq!((pod.starts_with("Pod/api"), second.as_str()), (true, "BudgetUnreadable"));
    term.mark_unreadable(None);
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}
