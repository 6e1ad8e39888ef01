//! What is gone and still counts: for how long, what its node says, and who can drop it.

use poolbudget::api::QuarantineCause;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::crashes;
use super::door::Fate;
use super::server::Kubelet;
use super::term::{Term, pass};

fn led() -> (Cluster, Term) {
    crashes::led("Current", &[("api", 2)])
}

fn first(cluster: &Cluster) -> String {
    cluster.server().names_of("api").remove(0)
}

fn kept(cluster: &Cluster) -> usize {
    cluster.server().status().ledger.quarantine.len()
}

/// Somebody changes a pod.
fn edit(cluster: &Cluster, pod: &str, edit: impl FnOnce(&mut Value)) {
    let mut object = cluster.server().pods[pod].clone();
    edit(&mut object);
    cluster.server().store_pod(object);
}

fn annotate(cluster: &Cluster, uids: &str) {
    let mut budget = cluster.server().budget.clone().expect("a budget");
    let note = ("poolbudget.dev/forget".to_owned(), uids.to_owned());
    budget.metadata.annotations.get_or_insert_default().extend([note]);
    cluster.server().stamp_budget(&mut budget);
}

#[test]
fn a_pod_counts_for_as_long_as_its_kubelet_is_away_and_for_its_grace_period_after() {
    for away in [Kubelet::Away, Kubelet::Mute] {
        let (mut cluster, mut term) = led();
        let pod = first(&cluster);
        cluster.server().turn_kubelet(away);
        cluster.server().vanish(&pod);
        cluster.turns(&mut term, 300);
        assert_eq!(kept(&cluster), 1, "{away:?}");
        cluster.server().turn_kubelet(Kubelet::Well);
        cluster.turns(&mut term, 38);
        assert_eq!(kept(&cluster), 1, "{away:?}");
        cluster.server().acquit();
        cluster.turns(&mut term, 12);
        assert_eq!(kept(&cluster), 0, "{away:?}");
    }
}

#[test]
fn a_kubelet_that_goes_away_again_before_the_time_is_over_begins_anew() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 20);
    cluster.server().turn_kubelet(Kubelet::Mute);
    cluster.turns(&mut term, 60);
    assert_eq!(kept(&cluster), 1);
    cluster.server().turn_kubelet(Kubelet::Well);
    cluster.turns(&mut term, 38);
    assert_eq!(kept(&cluster), 1);
    cluster.turns(&mut term, 12);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn a_pod_of_a_node_that_does_not_exist_counts_for_its_time() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    cluster.server().turn_kubelet(Kubelet::Gone);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 38);
    assert_eq!(kept(&cluster), 1);
    cluster.turns(&mut term, 9);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn while_nodes_cannot_be_asked_what_is_gone_counts_and_grants_go_on() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    cluster.server().vanish(&pod);
    cluster.turn(&mut term);
    term.door.meet(Fate::Refused(403), |call| call.write.is_none());
    cluster.turns(&mut term, 200);
    assert_eq!(kept(&cluster), 1);
    cluster.server().acquit();
    term.heal();
    cluster.turns(&mut term, 60);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn what_is_over_does_not_count_anew_because_its_end_could_not_be_written() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 40);
    assert_eq!(kept(&cluster), 1);
    term.door.meet(Fate::Refused(409), |call| call.is_status());
    cluster.turns(&mut term, 30);
    assert_eq!(kept(&cluster), 1, "it could not be written");
    term.heal();
    cluster.turns(&mut term, 3);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn a_pod_that_is_only_called_failed_counts_for_its_time_and_not_for_as_long_as_it_is_there() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    edit(&cluster, &pod, |pod| pod["status"] = json!({"phase": "Failed"}));
    cluster.turn(&mut term);
    let quarantine = cluster.server().status().ledger.quarantine;
    assert_eq!((quarantine.len(), quarantine[0].cause), (1, QuarantineCause::NotSeenToEnd));
    cluster.turns(&mut term, 37);
    assert_eq!(kept(&cluster), 1);
    cluster.server().acquit();
    cluster.turns(&mut term, 12);
    assert_eq!(kept(&cluster), 0);
    // At last its object is removed.
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 2);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn a_pod_that_is_seen_to_end_after_all_does_not_count_any_more() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    edit(&cluster, &pod, |pod| pod["status"]["phase"] = json!("Failed"));
    cluster.turns(&mut term, 3);
    assert_eq!(kept(&cluster), 1);
    edit(&cluster, &pod, |pod| {
        pod["status"]["containerStatuses"] =
            json!([{"name": "app", "state": {"terminated": {"exitCode": 1}}}]);
    });
    cluster.turns(&mut term, 2);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn no_grace_period_counts_for_more_than_an_hour() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    edit(&cluster, &pod, |pod| pod["spec"]["terminationGracePeriodSeconds"] = json!(i64::MAX));
    cluster.turn(&mut term);
    cluster.server().vanish(&pod);
    cluster.turn(&mut term);
    assert_eq!(cluster.server().status().ledger.quarantine[0].seconds, 3610);
    cluster.turns(&mut term, 10);
    pass(3600);
    cluster.turns(&mut term, 10);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn an_entry_that_somebody_names_is_dropped_once_and_told() {
    let (mut cluster, mut term) = led();
    cluster.server().turn_kubelet(Kubelet::Away);
    let pod = first(&cluster);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 100);
    let uid = cluster.server().status().ledger.quarantine[0].uid.clone();
    annotate(&cluster, &format!("another,{uid}"));
    cluster.turns(&mut term, 2);
    assert_eq!(kept(&cluster), 0);
    let told = |cluster: &Cluster| {
        cluster
            .server()
            .said
            .iter()
            .filter(|said| said.reason == "Forgotten")
            .map(|said| said.note.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&cluster).len(), 1, "{:?}", told(&cluster));
    // The next one counts, although the annotation is still there.
    let pod = first(&cluster);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 100);
    assert_eq!((kept(&cluster), told(&cluster).len()), (1, 1));
}

#[test]
fn while_it_keeps_pods_waiting_the_budget_says_who_for_how_long_and_what_to_do() {
    let mut cluster = Cluster::new(3, "Current");
    cluster.scale("api", 2);
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    cluster.server().turn_kubelet(Kubelet::Away);
    let pod = first(&cluster);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 60);
    let blocked = cluster.server().told("Blocked", "True", "Quarantine");
    let told = [&*pod, "until its node node is Ready again", "poolbudget forget main -n shop --pod"];
    assert!(told.iter().all(|part| blocked.contains(part)), "{}", blocked);
    cluster.server().turn_kubelet(Kubelet::Well);
    cluster.turns(&mut term, 60);
    assert_eq!(cluster.server().condition("Blocked").status, "False");
}

/// A budget with `lingerSeconds` of 20.
fn lingering() -> (Cluster, Term) {
    let (mut cluster, mut term) = led();
    cluster.server().edit_budget(|spec| spec.linger_seconds = 20);
    cluster.turns(&mut term, 2);
    (cluster, term)
}

#[test]
fn where_connections_linger_a_pod_that_ended_counts_for_so_long() {
    let (mut cluster, mut term) = lingering();
    cluster.scale("api", 1);
    cluster.turns(&mut term, 6);
    let quarantine = cluster.server().status().ledger.quarantine;
    assert_eq!(quarantine.len(), 1);
    assert_eq!((quarantine[0].cause, quarantine[0].seconds), (QuarantineCause::Ended, 20));
    cluster.turns(&mut term, 14);
    assert_eq!(kept(&cluster), 1);
    cluster.turns(&mut term, 10);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn where_connections_linger_a_machine_that_is_found_gone_counts_for_so_long() {
    let (mut cluster, mut term) = lingering();
    let pod = first(&cluster);
    cluster.server().turn_kubelet(Kubelet::Mute);
    cluster.server().vanish(&pod);
    cluster.turns(&mut term, 100);
    assert_eq!(kept(&cluster), 1);
    cluster.server().turn_kubelet(Kubelet::Gone);
    cluster.turns(&mut term, 18);
    assert_eq!(kept(&cluster), 1, "it may have run until just now");
    cluster.turns(&mut term, 14);
    assert_eq!(kept(&cluster), 0);
}

#[test]
fn where_connections_linger_a_container_that_was_started_again_counts_twice_for_so_long() {
    let (mut cluster, mut term) = lingering();
    let pod = first(&cluster);
    edit(&cluster, &pod, |pod| pod["status"]["containerStatuses"][0]["restartCount"] = json!(1));
    cluster.turn(&mut term);
    let status = cluster.server().status();
    let (quarantine, committed) = (status.ledger.quarantine, status.committed);
    assert_eq!((quarantine.len(), quarantine[0].cause), (1, QuarantineCause::Restarted));
    cluster.turns(&mut term, 25);
    assert_eq!(kept(&cluster), 0);
    assert_eq!(cluster.server().status().committed, committed - quarantine[0].connections);
}

#[test]
fn where_connections_linger_each_start_counts_also_of_several_that_are_seen_at_once() {
    let once = json!({"restartCount": 1, "lastState": {"terminated": {"exitCode": 137}}});
    let cases = [
        (vec![once.clone()], 1),
        // The current run is waiting.
        (vec![json!({"lastState": {"terminated": {"exitCode": 137}}, "state": {"waiting": {}}})], 1),
        (vec![json!({"restartCount": 3})], 3),
        (vec![once.clone(), once], 2),
    ];
    for (reports, times) in cases {
        let (mut cluster, mut term) = lingering();
        let pod = first(&cluster);
        edit(&cluster, &pod, |pod| pod["status"]["containerStatuses"] = json!(reports));
        let before = cluster.server().status().committed;
        cluster.turn(&mut term);
        let status = cluster.server().status();
        assert_eq!(status.committed - before, times * before / 2, "{reports:?}");
        cluster.turns(&mut term, 25);
        assert_eq!(kept(&cluster), 0);
    }
}

#[test]
fn by_default_a_pod_that_ended_and_a_container_that_was_started_again_do_not_count() {
    let (mut cluster, mut term) = led();
    let pod = first(&cluster);
    edit(&cluster, &pod, |pod| pod["status"]["containerStatuses"][0]["restartCount"] = json!(1));
    cluster.turn(&mut term);
    cluster.scale("api", 1);
    for _ in 0..10 {
        cluster.turn(&mut term);
        assert_eq!(kept(&cluster), 0);
    }
}
