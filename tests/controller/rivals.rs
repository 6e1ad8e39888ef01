//! Two leaders at once; and protocols with a step missing or in the wrong place, which do exceed the limit.

use super::cluster::Cluster;
use super::crashes::SCENARIOS;
use super::door::{Call, Fate};
use super::server::{Request, Server};
use super::term::Term;

/// A leader whose requests wait until the test lets them through one by one.
fn held_back(cluster: &Cluster) -> Term {
    let mut term = Term::begin(cluster);
    term.door.follow(|_, _| None);
    term.look();
    term
}

/// Lets requests of a leader through until it has written its epoch.
fn take_over(cluster: &Cluster, term: &mut Term) {
    let before = cluster.server().status().ledger.epoch;
    for _ in 0..40 {
        term.step(Fate::Done);
        if cluster.server().status().ledger.epoch > before {
            return;
        }
    }
    panic!("the epoch stays {before}");
}

/// When the newer leader writes its epoch, the older one has made `head_start` requests since its own take-over.
fn overtaken(cluster: &mut Cluster, head_start: usize) -> (Term, Term) {
    cluster.step();
    let mut older = held_back(cluster);
    take_over(cluster, &mut older);
    for _ in 0..head_start {
        older.step(Fate::Done);
    }
    let mut newer = held_back(cluster);
    take_over(cluster, &mut newer);
    (older, newer)
}

/// Reports the grants that a leader sends for pods that are not in `recorded`.
fn unrecorded(term: &mut Term, recorded: Vec<String>) -> std::sync::mpsc::Receiver<String> {
    let (send, receive) = std::sync::mpsc::channel();
    term.door.follow(move |server: &mut Server, call: &Call<'_>| {
        if let Some(Request::Grant { pod, .. }) = call.write
            && !recorded.contains(pod)
        {
            send.send(format!("{pod} at {:?}", server.status().ledger.epoch)).expect("a listener");
        }
        Some(Fate::Done)
    });
    receive
}

#[test]
fn from_the_new_epoch_on_the_older_leader_records_nothing_and_grants_only_what_it_had_recorded() {
    let mut seen = 0;
    for (name, scenario) in SCENARIOS {
        for head_start in 0..16 {
            let mut cluster = scenario();
            let (mut older, mut newer) = overtaken(&mut cluster, head_start);
            let status = cluster.server().status();
            let recorded: Vec<String> = status.ledger.grants.iter().map(|grant| grant.pod.clone()).collect();
            seen += recorded.len();
            let more = unrecorded(&mut older, recorded);
            // Its look ends, and it begins another one; no watch has shown it the other's write.
            assert!(older.look().is_some() && older.look().is_some());
            assert_eq!(cluster.server().status(), status, "{name}, {head_start}: nothing written");
            assert_eq!(more.try_iter().collect::<Vec<_>>(), [""; 0], "{name}, {head_start}");
            drop(older);
            newer.heal();
            newer.look();
            assert!(cluster.run(&mut newer), "{name}, {head_start}");
            cluster.server().acquit();
        }
    }
    assert!(seen > 0, "some leaders are overtaken between record and grant");
}

#[test]
fn while_two_take_themselves_for_the_leader_the_budget_is_kept() {
    for (name, scenario) in SCENARIOS {
        for slice in 1..12 {
            let mut cluster = scenario();
            let mut pair = [held_back(&cluster), held_back(&cluster)];
            for round in 0..60 {
                cluster.step();
                let term = &mut pair[round % 2];
                for _ in 0..slice {
                    term.step(Fate::Done);
                }
                term.watch(round % 5);
            }
            cluster.server().acquit();
            let [mut last, _] = pair;
            last.heal();
            last.look();
            assert!(cluster.run(&mut last), "{name}, {slice}");
            cluster.server().acquit();
        }
    }
}

/// One leader records a grant of 6, sends it and sees it done between the list and the epoch of another leader.
fn in_the_wrong_order(list_first: bool) -> u64 {
    let mut cluster = Cluster::new(14, "Current");
    cluster.scale("api", 2);
    cluster.step();
    let (mut older, mut newer) = (Term::begin(&cluster), Term::begin(&cluster));
    if list_first {
        newer.door.list_ahead();
    }
    for _ in 0..3 {
        cluster.turn(&mut older);
    }
    assert!(cluster.at_rest());
    drop(older);
    cluster.scale("web", 1);
    cluster.step();
    // The newer leader's watch brings everything except changes of the granted pods.
    newer.catch_up_but("api-1-");
    newer.look();
    cluster.server().peak
}

#[test]
fn a_take_over_that_lists_before_its_epoch_goes_over() {
    assert!(in_the_wrong_order(false) <= 13);
    assert!(in_the_wrong_order(true) > 13);
}

/// A leader dies while its grant of all 13 is in flight; when that arrives, its pod waits behind a smaller one.
fn with_a_slow_grant(recorded: bool) -> u64 {
    let mut cluster = Cluster::new(14, "Current");
    cluster.scale("web", 1);
    cluster.step();
    let mut older = Term::begin(&cluster);
    if !recorded {
        older.door.forget_grants();
    }
    older.door.meet(Fate::Late, |call| call.grants(""));
    older.look();
    drop(older);
    cluster.scale("api", 1);
    cluster.step();
    let mut newer = Term::begin(&cluster);
    // It grants only to the other pod: the first pod's patch is refused for now.
    newer.door.meet(Fate::Refused(500), |call| call.grants("web"));
    newer.look();
    cluster.server().arrive();
    cluster.server().peak
}

#[test]
fn a_transaction_that_does_not_record_its_grants_goes_over() {
    assert!(with_a_slow_grant(true) <= 13);
    assert!(with_a_slow_grant(false) > 13);
}
