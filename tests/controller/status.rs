//! The status: when it is written, what of it is kept, what is taken over from other leaders.

use super::cluster::Cluster;
use super::crashes::led;
use super::door::Fate;
use super::server::gated;
use super::term::{Term, jump, now, pass};

#[test]
fn a_status_is_written_only_when_it_changes() {
    let (mut cluster, mut term) = led("Current", &[("api", 2), ("web", 1)]);
    cluster.turns(&mut term, 3);
    let (status, writes) = (cluster.server().status(), term.door.writes());
    cluster.turns(&mut term, 400);
    assert_eq!(term.door.writes(), writes);
    assert_eq!(cluster.server().status(), status);
}

#[test]
fn an_edit_that_was_not_seen_yet_stops_the_write_and_is_adopted() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    cluster.scale("api", 3);
    cluster.step();
    term.catch_up();
    cluster.server().edit_budget(|spec| spec.limit.connections = Some(8));
    let before = cluster.server().held();
    term.look();
    assert_eq!(cluster.server().held(), before, "nothing is granted by the limit of before");
    assert!(cluster.run(&mut term));
    let status = cluster.server().status();
    assert_eq!((status.observed_generation, status.usable), (Some(2), 7));
    assert!(cluster.server().held() <= 7);
}

#[test]
fn after_a_status_that_could_not_be_written_the_budget_is_read_without_waiting_for_the_watch() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    cluster.scale("api", 3);
    cluster.step();
    term.catch_up();
    cluster.server().edit_budget(|spec| spec.limit.connections = Some(8));
    for _ in 0..3 {
        term.look();
        pass(1);
    }
    let status = cluster.server().status();
    assert_eq!((status.observed_generation, status.usable), (Some(2), 7));
}

#[test]
fn the_epoch_of_another_is_taken_over_again() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    let epoch = cluster.server().status().ledger.epoch;
    let mut other = Term::begin(&cluster);
    other.look();
    assert_eq!(cluster.server().status().ledger.epoch, epoch + 1);
    cluster.scale("api", 3);
    assert!(cluster.run(&mut term));
    assert_eq!(cluster.server().status().ledger.epoch, epoch + 2);
    cluster.server().acquit();
}

/// One pod that waits, and a leader whose grants stay in flight.
fn slow_to_grant() -> (Cluster, Term) {
    let mut cluster = Cluster::new(14, "Current");
    cluster.scale("web", 1);
    cluster.step();
    let term = Term::begin(&cluster);
    term.door.meet(Fate::Late, |call| call.grants(""));
    (cluster, term)
}

#[test]
fn a_grant_stays_recorded_until_its_pod_is_seen_without_its_gate() {
    let (cluster, mut term) = slow_to_grant();
    for _ in 0..5 {
        term.look();
        pass(1);
        assert_eq!(cluster.server().status().ledger.grants.len(), 1);
    }
    term.heal();
    term.look();
    assert_eq!(
        cluster.server().status().ledger.grants.len(),
        1,
        "it was sent again and is not seen yet in this look"
    );
    pass(1);
    term.look();
    assert!(cluster.server().status().ledger.grants.is_empty());
}

#[test]
fn a_grant_stays_recorded_until_its_pod_is_seen_to_be_gone() {
    let (cluster, mut term) = slow_to_grant();
    term.look();
    let pod = cluster.server().names_of("web").remove(0);
    cluster.server().remove_pod(&pod);
    for _ in 0..5 {
        term.look();
        pass(1);
        assert_eq!(cluster.server().status().ledger.grants.len(), 1);
    }
    term.catch_up();
    term.look();
    assert!(cluster.server().status().ledger.grants.is_empty());
}

#[test]
fn a_pod_that_vanished_while_it_ran_counts_until_its_grace_period_is_over() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    let pod = cluster.server().names_of("api").remove(0);
    let bill = cluster.server().vanish(&pod);
    cluster.turn(&mut term);
    let quarantine = cluster.server().status().ledger.quarantine;
    assert_eq!(quarantine.len(), 1);
    assert_eq!(
        (quarantine[0].pod.as_str(), quarantine[0].connections),
        (pod.as_str(), i64::try_from(bill).expect("small"))
    );
    assert_eq!(quarantine[0].until.0.as_second() - now().as_second(), 40);
    cluster.turns(&mut term, 38);
    cluster.server().acquit();
    cluster.server().ghosts = 0;
    assert_eq!(cluster.server().status().ledger.quarantine.len(), 1);
    cluster.turns(&mut term, 9);
    assert!(cluster.server().status().ledger.quarantine.is_empty());
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
}

#[test]
fn a_vanished_pod_is_not_forgotten_when_the_status_cannot_be_written() {
    for fate in [Fate::Refused(409), Fate::Refused(500), Fate::Late, Fate::Lost] {
        let (mut cluster, mut term) = led("Current", &[("api", 2)]);
        let pod = cluster.server().names_of("api").remove(0);
        cluster.server().vanish(&pod);
        term.door.meet(fate, |call| call.write.is_some());
        cluster.turns(&mut term, 3);
        // A user's edit comes in between.
        cluster
            .server()
            .edit_budget(|spec| spec.eviction_policy = poolbudget::api::EvictionPolicy::Forbidden);
        cluster.turns(&mut term, 3);
        term.heal();
        cluster.turns(&mut term, 3);
        assert_eq!(cluster.server().status().ledger.quarantine.len(), 1, "{fate:?}");
        cluster.turns(&mut term, 20);
        cluster.server().acquit();
    }
}

#[test]
fn a_vanished_pod_counts_under_a_budget_that_is_made_anew() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    let pod = cluster.server().names_of("api").remove(0);
    cluster.server().vanish(&pod);
    cluster.turn(&mut term);
    let spec = cluster.server().budget.clone().expect("a budget").spec;
    cluster.server().delete_budget();
    cluster.turn(&mut term);
    cluster.server().make_budget(spec);
    cluster.turns(&mut term, 20);
    assert_eq!(cluster.server().status().ledger.quarantine.len(), 1);
    cluster.server().acquit();
}

#[test]
fn a_date_that_jumps_does_not_shorten_the_time_that_a_vanished_pod_counts() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    let pod = cluster.server().names_of("api").remove(0);
    cluster.server().vanish(&pod);
    cluster.turn(&mut term);
    jump(3600);
    cluster.turns(&mut term, 35);
    assert_eq!(cluster.server().status().ledger.quarantine.len(), 1);
    cluster.turns(&mut term, 12);
    assert!(cluster.server().status().ledger.quarantine.is_empty());
    // A new leader with another date does not shorten it either.
    let pod = cluster.server().names_of("api").remove(0);
    cluster.server().vanish(&pod);
    cluster.turn(&mut term);
    jump(3600);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 35);
    assert_eq!(cluster.server().status().ledger.quarantine.len(), 1);
    cluster.turns(&mut next, 12);
    assert!(cluster.server().status().ledger.quarantine.is_empty());
}

#[test]
fn a_pod_that_vanishes_while_nobody_leads_still_counts() {
    let (mut cluster, term) = led("Current", &[("api", 2)]);
    drop(term);
    let pod = cluster.server().names_of("api").remove(0);
    let bill = cluster.server().vanish(&pod);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 38);
    let quarantine = cluster.server().status().ledger.quarantine;
    assert_eq!(quarantine.len(), 1);
    assert_eq!(quarantine[0].connections, i64::try_from(bill).expect("small"));
    cluster.server().acquit();
    cluster.server().ghosts = 0;
    cluster.turns(&mut next, 12);
    assert!(cluster.run(&mut next));
    assert!(cluster.server().status().ledger.quarantine.is_empty());
    cluster.server().acquit();
}

#[test]
fn a_pod_that_is_found_gone_before_the_watch_says_so_still_counts() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    cluster.scale("api", 6);
    cluster.step();
    term.catch_up();
    // The pod that is to be evicted next is force-deleted in the meantime.
    let pods = cluster.server().names_of("api");
    for pod in pods {
        let mut server = cluster.server();
        if !gated(&server.pods[&pod]) {
            server.vanish(&pod);
        }
    }
    for _ in 0..5 {
        term.look();
        pass(1);
        cluster.server().acquit();
    }
    term.catch_up();
    cluster.turns(&mut term, 20);
    assert_eq!(cluster.server().status().ledger.quarantine.len(), 2);
    cluster.server().acquit();
}

#[test]
fn a_pod_whose_containers_ended_needs_no_quarantine() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    cluster.scale("api", 1);
    assert!(cluster.run(&mut term));
    assert!(cluster.server().status().ledger.quarantine.is_empty());
}

#[test]
fn a_condition_keeps_the_time_of_its_last_transition() {
    let (mut cluster, mut term) = led("Current", &[("api", 2)]);
    cluster.turns(&mut term, 3);
    let settled = cluster.server().condition("Settled");
    let accepted = cluster.server().condition("Accepted");
    assert_eq!((settled.status.as_str(), settled.reason.as_str()), ("True", "Settled"));
    pass(60);
    cluster.scale("api", 3);
    cluster.turns(&mut term, 2);
    let moving = cluster.server().condition("Settled");
    assert_eq!(moving.status, "False");
    assert!(moving.last_transition_time.0 > settled.last_transition_time.0);
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 3);
    let again = cluster.server().condition("Settled");
    assert_eq!(again.status, "True");
    assert!(again.last_transition_time.0 > moving.last_transition_time.0);
    assert_eq!(cluster.server().condition("Accepted").last_transition_time, accepted.last_transition_time);
}
