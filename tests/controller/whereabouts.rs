//! What was gone while nobody led: on which nodes it was, as far as the last status tells, and who ends it.

use poolbudget::api::{DbConnectionBudgetStatus, Mode, NodeStatus, QuarantineCause};
use poolbudget::controller::quarantine::MOST;
use serde_json::json;

use super::cluster::{Cluster, part, pod};
use super::door::Fate;
use super::server::Kubelet;
use super::term::Term;

/// Two pods of 6 on a node each, of 13 usable connections, and their leader.
fn on_two_nodes() -> (Cluster, Term) {
    let mut cluster = Cluster::new(14, "Ceiling");
    let entry = json!([{"name": "api", "maxReplicas": 2}]);
    cluster.server().edit_budget(|spec| spec.workloads = part(entry));
    let mut term = Term::begin(&cluster);
    for (replicas, node) in [(1, "a"), (2, "b")] {
        cluster.node = Some(node);
        cluster.scale("api", replicas);
        assert!(cluster.run(&mut term));
    }
    cluster.node = Some("c");
    cluster.turns(&mut term, 3);
    (cluster, term)
}

/// The pod on a node.
fn pod_on(cluster: &Cluster, node: &str) -> String {
    let server = cluster.server();
    let on = |(_, pod): &(&String, &serde_json::Value)| pod["spec"]["nodeName"] == json!(node);
    server.pods.iter().find(on).map(|(name, _)| name.clone()).expect("a pod")
}

fn nodes(status: &DbConnectionBudgetStatus) -> Vec<(&str, i64)> {
    status.ledger.nodes.iter().map(|node| (node.name.as_str(), node.connections)).collect()
}

/// What is in quarantine: causes, node names, connections.
fn kept(cluster: &Cluster) -> Vec<(QuarantineCause, String, i64)> {
    let kept = cluster.server().status().ledger.quarantine;
    kept.into_iter().map(|entry| (entry.cause, entry.node.unwrap_or_default(), entry.connections)).collect()
}

fn while_nobody_led(node: &str, connections: i64) -> Vec<(QuarantineCause, String, i64)> {
    vec![(QuarantineCause::WhileNobodyLed, node.to_owned(), connections)]
}

/// Every kubelet reports from now on: what is kept counts for its time, and at most for so many seconds more.
#[track_caller]
fn over_after_its_time(
    cluster: &mut Cluster,
    term: &mut Term,
    counted: &[(QuarantineCause, String, i64)],
    more: usize,
) {
    cluster.turns(term, 38);
    assert_eq!(kept(cluster), counted);
    cluster.server().acquit();
    cluster.turns(term, more);
    assert_eq!(kept(cluster), []);
}

/// The pod on `node`, whose kubelet is like this, goes while nobody leads; the cluster, and the next leader.
fn gone_from(node: &str, kubelet: Kubelet) -> (Cluster, Term) {
    let (cluster, term) = on_two_nodes();
    drop(term);
    cluster.server().turn_kubelet_of(node, kubelet);
    let pod = pod_on(&cluster, node);
    cluster.server().vanish(&pod);
    let next = Term::begin(&cluster);
    (cluster, next)
}

#[test]
fn the_status_says_what_pods_hold_on_each_node() {
    let (mut cluster, mut term) = on_two_nodes();
    assert_eq!(nodes(&cluster.server().status()), [("a", 6), ("b", 6)]);
    let pod = pod_on(&cluster, "a");
    cluster.server().begin_deletion(&pod);
    cluster.turn(&mut term);
    assert_eq!(nodes(&cluster.server().status()), [("a", 6), ("b", 6)], "it drains");
    assert!(cluster.run(&mut term));
    cluster.turns(&mut term, 3);
    let status = cluster.server().status();
    assert_eq!(nodes(&status).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(status.ledger.nodes.iter().map(|node| node.connections).sum::<i64>(), status.committed);
}

#[test]
fn what_was_gone_while_nobody_led_counts_for_as_long_as_its_kubelet_is_away() {
    for away in [Kubelet::Away, Kubelet::Mute] {
        let (mut cluster, mut next) = gone_from("a", away);
        cluster.turns(&mut next, 300);
        assert_eq!(kept(&cluster), while_nobody_led("a", 6), "{away:?}");
        cluster.server().turn_kubelet_of("a", Kubelet::Well);
        over_after_its_time(&mut cluster, &mut next, &while_nobody_led("a", 6), 12);
    }
}

#[test]
fn of_several_nodes_each_keeps_what_was_on_it() {
    let (mut cluster, term) = on_two_nodes();
    drop(term);
    cluster.server().turn_kubelet_of("b", Kubelet::Away);
    for node in ["a", "b"] {
        let pod = pod_on(&cluster, node);
        cluster.server().vanish(&pod);
    }
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 30);
    assert_eq!(kept(&cluster), [while_nobody_led("a", 6), while_nobody_led("b", 6)].concat());
    let blocked = cluster.server().condition("Blocked").message;
    assert!(blocked.contains("until its node b is Ready again"), "{blocked}");
    cluster.server().acquit();
    cluster.server().ghosts -= 6;
    cluster.turns(&mut next, 330);
    assert_eq!(kept(&cluster), while_nobody_led("b", 6));
    // The next leader waits for that one alone, and begins again.
    let mut last = Term::begin(&cluster);
    cluster.server().asked.clear();
    cluster.turns(&mut last, 60);
    assert_eq!(cluster.server().asked.iter().collect::<Vec<_>>(), ["b"]);
    cluster.server().turn_kubelet_of("b", Kubelet::Well);
    over_after_its_time(&mut cluster, &mut last, &while_nobody_led("b", 6), 12);
}

#[test]
fn a_node_that_is_off_holds_up_nothing_that_was_not_on_it() {
    let (mut cluster, term) = on_two_nodes();
    drop(term);
    // The pod on the one is there still; that on the other is gone in good order.
    cluster.server().turn_kubelet_of("a", Kubelet::Away);
    cluster.server().turn_kubelet_of("elsewhere", Kubelet::Away);
    let pod = pod_on(&cluster, "b");
    cluster.server().remove_pod(&pod);
    let mut next = Term::begin(&cluster);
    cluster.turn(&mut next);
    assert_eq!(kept(&cluster), while_nobody_led("b", 6));
    cluster.turns(&mut next, 60);
    assert_eq!(kept(&cluster), []);
    let server = cluster.server();
    assert_eq!(server.asked.iter().collect::<Vec<_>>(), ["b"]);
    assert_eq!(server.listed, 0);
}

#[test]
fn a_node_that_is_deleted_while_it_is_waited_for_has_no_say_and_lingers() {
    for (linger, after) in [(0, 2), (20, 26)] {
        let (mut cluster, mut term) = on_two_nodes();
        cluster.server().edit_budget(|spec| spec.linger_seconds = linger);
        cluster.turns(&mut term, 2);
        drop(term);
        cluster.server().turn_kubelet_of("a", Kubelet::Away);
        let pod = pod_on(&cluster, "a");
        cluster.server().vanish(&pod);
        let mut next = Term::begin(&cluster);
        cluster.turns(&mut next, 100);
        assert_eq!(kept(&cluster), while_nobody_led("a", 6));
        cluster.server().turn_kubelet_of("a", Kubelet::Gone);
        cluster.turns(&mut next, usize::try_from(linger).expect("few").saturating_sub(2));
        assert_eq!(kept(&cluster), while_nobody_led("a", 6), "{linger}");
        cluster.turns(&mut next, after + 5);
        assert_eq!(kept(&cluster), [], "{linger}");
    }
}

#[test]
fn a_node_that_is_replaced_under_its_name_has_to_be_heard_of_like_the_one_before() {
    let (mut cluster, mut next) = gone_from("a", Kubelet::Gone);
    cluster.turns(&mut next, 20);
    // It is there again and not heard of yet, and then it is.
    cluster.server().turn_kubelet_of("a", Kubelet::Mute);
    cluster.turns(&mut next, 100);
    assert_eq!(kept(&cluster), while_nobody_led("a", 6));
    cluster.server().turn_kubelet_of("a", Kubelet::Well);
    over_after_its_time(&mut cluster, &mut next, &while_nobody_led("a", 6), 12);
}

#[test]
fn a_pod_that_was_called_over_on_a_lost_node_counts_whether_its_object_is_there_or_not() {
    for there in [true, false] {
        let (mut cluster, term) = on_two_nodes();
        drop(term);
        cluster.server().turn_kubelet_of("a", Kubelet::Away);
        let name = pod_on(&cluster, "a");
        let mut pod = cluster.server().pods[&name].clone();
        pod["status"] = json!({"phase": "Failed"});
        cluster.server().store_pod(pod);
        if !there {
            cluster.server().vanish(&name);
        }
        let mut next = Term::begin(&cluster);
        cluster.turns(&mut next, 200);
        let cause = if there { QuarantineCause::NotSeenToEnd } else { QuarantineCause::WhileNobodyLed };
        assert_eq!(kept(&cluster), [(cause, "a".to_owned(), 6)]);
        cluster.server().acquit();
    }
}

#[test]
fn where_nobody_is_held_what_was_gone_counts_alike() {
    let (mut cluster, mut term) = on_two_nodes();
    cluster.server().edit_budget(|spec| spec.mode = Mode::Observe);
    cluster.turns(&mut term, 3);
    assert_eq!(nodes(&cluster.server().status()), [("a", 6), ("b", 6)]);
    drop(term);
    cluster.server().turn_kubelet_of("a", Kubelet::Away);
    let pod = pod_on(&cluster, "a");
    cluster.server().vanish(&pod);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 100);
    assert_eq!(kept(&cluster), while_nobody_led("a", 6));
}

#[test]
fn that_pods_are_on_nodes_by_now_is_no_reason_to_write() {
    let mut cluster = Cluster::new(14, "Current");
    cluster.node = None;
    cluster.scale("api", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 70);
    let version =
        |cluster: &Cluster| cluster.server().budget.clone().expect("a budget").metadata.resource_version;
    let before = version(&cluster);
    cluster.sick = true;
    cluster.node = Some("a");
    cluster.turns(&mut term, 5);
    assert_eq!(version(&cluster), before);
}

/// A pod that its leader has granted and never seen on a node, and that is gone when the next one takes over.
fn granted_at_last(bound: bool) -> Cluster {
    let mut cluster = Cluster::new(14, "Current");
    cluster.scale("api", 1);
    cluster.step();
    let mut term = Term::begin(&cluster);
    term.look();
    drop(term);
    cluster.node = bound.then_some("a");
    cluster.step();
    let pod = cluster.server().pods.keys().next().cloned().expect("a pod");
    cluster.server().vanish(&pod);
    cluster
}

#[test]
fn what_was_on_a_node_that_nobody_knows_counts_until_every_kubelet_was_heard_of() {
    for (bound, away) in [(true, Kubelet::Away), (false, Kubelet::Away), (true, Kubelet::Mute)] {
        let mut cluster = granted_at_last(bound);
        cluster.server().turn_kubelet_of("a", away);
        cluster.scale("api", 2);
        let mut next = Term::begin(&cluster);
        cluster.turns(&mut next, 300);
        assert_eq!(kept(&cluster), while_nobody_led("", 13));
        let blocked = cluster.server().condition("Blocked").message;
        let told = if away == Kubelet::Away { "or two hours: a" } else { "until every node reports" };
        assert!(blocked.contains(told), "{blocked}");
        cluster.server().turn_kubelet(Kubelet::Well);
        over_after_its_time(&mut cluster, &mut next, &while_nobody_led("", 13), 22);
    }
}

#[test]
fn what_was_on_a_node_that_nobody_knows_counts_for_two_hours_at_most() {
    let mut cluster = granted_at_last(true);
    cluster.server().turn_kubelet_of("elsewhere", Kubelet::Away);
    let mut next = Term::begin(&cluster);
    cluster.turns(&mut next, 5);
    super::term::pass(7_200);
    cluster.turns(&mut next, 2);
    assert_eq!(kept(&cluster), while_nobody_led("", 13));
    cluster.server().acquit();
    super::term::pass(10);
    cluster.turns(&mut next, 2);
    assert_eq!(kept(&cluster), []);
}

#[test]
fn where_every_kubelet_reports_what_was_on_a_node_that_nobody_knows_counts_for_its_time() {
    let mut cluster = granted_at_last(true);
    cluster.server().turn_kubelet_of("elsewhere", Kubelet::Well);
    cluster.server().turn_kubelet_of("gone", Kubelet::Gone);
    let mut next = Term::begin(&cluster);
    over_after_its_time(&mut cluster, &mut next, &while_nobody_led("", 13), 22);
    let listed = cluster.server().listed;
    assert!(listed < 10, "{listed}");
}

#[test]
fn while_nodes_cannot_be_listed_what_was_on_any_counts_and_grants_go_on() {
    let mut cluster = granted_at_last(true);
    let mut next = Term::begin(&cluster);
    cluster.turn(&mut next);
    next.door.meet(Fate::Refused(403), |call| call.write.is_none());
    cluster.scale("api", 2);
    cluster.turns(&mut next, 200);
    assert_eq!(kept(&cluster), while_nobody_led("", 13));
    let blocked = cluster.server().condition("Blocked").message;
    assert!(blocked.contains("cannot list the nodes: forbidden"), "{blocked}");
    cluster.server().acquit();
    next.heal();
    cluster.turns(&mut next, 60);
    assert_eq!(kept(&cluster), []);
}

/// A new list shows its successor of the same name, but not when it went nor where it was meanwhile.
#[test]
fn what_was_seen_on_no_node_and_went_unseen_counts_until_every_kubelet_was_heard_of() {
    let mut cluster = Cluster::new(14, "Current");
    cluster.node = None;
    cluster.scale("api", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 5);
    let name = cluster.server().pods.keys().next().cloned().expect("a pod");
    let mut successor = pod("api", "another", true);
    successor["metadata"]["name"] = json!(name);
    cluster.server().turn_kubelet_of("a", Kubelet::Away);
    cluster.server().store_pod(successor);
    cluster.turns(&mut term, 100);
    assert_eq!(kept(&cluster), [(QuarantineCause::Vanished, String::new(), 13)]);
}

#[test]
fn beyond_what_a_status_can_name_a_node_is_not_known() {
    let (cluster, mut term) = on_two_nodes();
    // What such a leader would have written: these sort before all others.
    let mut status = cluster.server().status();
    status.ledger.nodes = (0..MOST).map(|n| NodeStatus { name: format!("0-{n}"), connections: 0 }).collect();
    cluster.server().write_status(status);
    let pod = pod_on(&cluster, "b");
    cluster.server().vanish(&pod);
    drop(term);
    term = Term::begin(&cluster);
    term.look();
    assert_eq!(kept(&cluster), while_nobody_led("", 6));
}

#[test]
fn a_leader_that_dies_in_its_take_over_leaves_the_next_one_all_that_it_knew() {
    for k in 0..4 {
        for fate in [Fate::DiesBefore, Fate::DiesAfter] {
            let (mut cluster, mut second) = gone_from("a", Kubelet::Away);
            second.door.meet(fate, move |call| call.is_status() && call.is_write(k));
            for _ in 0..5 {
                cluster.step();
                second.catch_up();
                if second.look().is_none() {
                    break;
                }
            }
            drop(second);
            let mut last = Term::begin(&cluster);
            cluster.turns(&mut last, 200);
            assert_eq!(kept(&cluster), while_nobody_led("a", 6), "{k} {fate:?}");
            cluster.server().acquit();
        }
    }
}
