//! Making room: evictions that the cluster refuses, and what is said about them.

use super::cluster::{Cluster, pod};
use super::crashes::settled;
use super::door::Fate;
use super::server::{Request, gated, terminating};
use super::term::{Term, pass, writes};
use poolbudget::api::EvictionPolicy;
use poolbudget::controller::dispatch::Next;

/// Two pods hold 6 each of 13, and four more pods wait.
fn crowded() -> (Cluster, Term) {
    let mut cluster = settled("Current", &[("api", 2)]);
    cluster.scale("api", 6);
    let term = Term::begin(&cluster);
    (cluster, term)
}

fn protect(cluster: &Cluster, prefix: &str) {
    cluster.server().protected.push((prefix.into(), "calm".into()));
}

fn evicted(cluster: &Cluster) -> Vec<String> {
    let server = cluster.server();
    server.said.iter().filter(|said| said.reason == "Reclaimed").map(|said| said.about.clone()).collect()
}

#[test]
fn a_refused_eviction_leads_to_a_candidate_of_another_workload() {
    for kept in ["api", "web"] {
        let mut cluster = settled("Current", &[("api", 1), ("web", 1)]);
        protect(&cluster, kept);
        cluster.scale("new", 1);
        let mut term = Term::begin(&cluster);
        cluster.turns(&mut term, 20);
        let evicted = evicted(&cluster);
        assert_eq!(evicted.len(), 1);
        assert!(!evicted[0].contains(kept), "{evicted:?}");
        cluster.server().acquit();
    }
}

#[test]
fn when_all_evictions_are_refused_the_budget_says_by_what() {
    let (mut cluster, mut term) = crowded();
    protect(&cluster, "api");
    cluster.turn(&mut term);
    cluster.turn(&mut term);
    let blocked = cluster.server().told("Blocked", "True", "PodDisruptionBudget");
    assert_eq!(
        blocked,
        "PodDisruptionBudget calm refuses the eviction of a pod that holds more than its share"
    );
    cluster.server().protected.clear();
    assert!(cluster.run(&mut term));
    cluster.server().told("Blocked", "False", "NotBlocked");
    assert_eq!(evicted(&cluster).len(), 2);
}

#[test]
fn after_a_refusal_no_eviction_is_tried_for_five_seconds() {
    let mut cluster = settled("Current", &[("api", 1)]);
    protect(&cluster, "api");
    cluster.scale("web", 1);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 2);
    term.look();
    let mut tries = Vec::new();
    for _ in 0..10 {
        pass(1);
        tries.push(writes(&mut term));
    }
    assert_eq!(tries.iter().sum::<usize>(), 2, "{tries:?}");
}

#[test]
fn a_disruption_budget_that_changes_lifts_the_pause() {
    let (mut cluster, mut term) = crowded();
    protect(&cluster, "api");
    cluster.turns(&mut term, 2);
    cluster.server().protected.clear();
    assert_eq!(writes(&mut term), 0);
    let concerned = term.reconciler.context.refusals.disruption_changed("shop");
    assert_eq!(concerned.len(), 1);
    assert_eq!(writes(&mut term), 1);
    assert_eq!(evicted(&cluster).len(), 1);
}

#[test]
fn a_candidate_that_is_gone_already_counts_as_the_one_that_went() {
    let (mut cluster, mut term) = crowded();
    cluster.step();
    term.catch_up();
    // The first candidate that the leader wants to evict is gone.
    let mut asked = false;
    term.door.follow(move |server, call| {
        if let Some(Request::Evict { pod, .. }) = call.write
            && !asked
        {
            asked = true;
            server.remove_pod(pod);
        }
        Some(Fate::Done)
    });
    term.look();
    term.look();
    let left = cluster.server().pods.values().filter(|pod| !gated(pod) && !terminating(pod)).count();
    assert_eq!(left, 1, "one of two went, and no other before that is seen");
}

#[test]
fn where_eviction_is_forbidden_nobody_is_evicted_and_the_budget_says_so() {
    let (mut cluster, mut term) = crowded();
    cluster.server().edit_budget(|spec| spec.eviction_policy = EvictionPolicy::Forbidden);
    cluster.turns(&mut term, 20);
    assert!(evicted(&cluster).is_empty());
    cluster.server().told("Blocked", "True", "EvictionForbidden");
    cluster.server().acquit();
}

#[test]
fn a_candidate_that_is_not_as_it_was_seen_is_looked_at_before_another_one_goes() {
    let (mut cluster, mut term) = crowded();
    cluster.step();
    term.catch_up();
    // Somebody else has just deleted the first candidate that the leader wants to evict.
    let (asked, candidate) = std::sync::mpsc::channel();
    term.door.follow(move |server, call| match call.write {
        Some(Request::Evict { pod, .. }) => {
            server.begin_deletion(pod);
            asked.send(pod.clone()).expect("a listener");
            Some(Fate::Refused(409))
        }
        _ => Some(Fate::Done),
    });
    let next = term.look();
    let asked: Vec<String> = candidate.try_iter().collect();
    let [pod] = &asked[..] else { panic!("{asked:?}") };
    let seen = term.reconciler.context.observed.world().pods.find("shop", pod).expect("a record");
    assert!(seen.terminating, "without the watch");
    assert_eq!(next, Some(Next::After(std::time::Duration::from_millis(500))));
}

/// Nothing would redo its work, so it is never ended, whether others lack room or a slot.
#[test]
fn a_bare_pod_that_holds_everything_is_named_as_what_others_wait_for() {
    for replicas in [1, 4] {
        let mut cluster = Cluster::new(14, "Current");
        let mut bare = pod("bare", "uid-bare", true);
        bare["metadata"]["ownerReferences"] = serde_json::json!([]);
        bare["metadata"]["labels"].as_object_mut().expect("labels").remove("app");
        cluster.server().store_pod(bare);
        let mut term = Term::begin(&cluster);
        cluster.turns(&mut term, 5);
        assert_eq!(cluster.server().status().committed, 13, "alone it gets all");
        cluster.scale("api", replicas);
        cluster.turns(&mut term, 20);
        assert_eq!(evicted(&cluster), Vec::<String>::new());
        let blocked = cluster.server().told("Blocked", "True", "NotReplaced");
        assert!(blocked.starts_with("pods of Pod/pods hold more"), "{}", blocked);
    }
}
