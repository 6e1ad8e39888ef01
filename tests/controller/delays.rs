//! Writes that arrive long after their sender gave up on them, or died.

use super::cluster::{Cluster, part};
use super::crashes::SCENARIOS;
use super::door::Fate;
use super::server::Request;
use super::term::Term;

/// The first leader's `k`-th write is delayed, and the leader dies waiting. None if it made fewer writes.
fn left_behind(scenario: fn() -> Cluster, k: usize) -> Option<Cluster> {
    let mut cluster = scenario();
    let mut term = Term::begin(&cluster);
    term.door.follow(move |server, call| {
        let write = call.write.filter(|_| call.number == k);
        if let Some(request) = write {
            server.late.push(request.clone());
        }
        Some(if write.is_some() { Fate::DiesBefore } else { Fate::Done })
    });
    (!cluster.run(&mut term)).then_some(cluster)
}

/// What is late arrives right before the `j`-th write of this leader, whose `k`-th one, if any, is late too.
fn arrives_at(term: &Term, j: usize, k: Option<usize>) {
    term.door.follow(move |server, call| {
        if call.is_write(j) {
            server.arrive();
        }
        Some(if k.is_some_and(|k| call.is_write(k)) { Fate::Late } else { Fate::Done })
    });
}

/// Runs the successor; the late writes arrive right before its `j`-th write. True if it got that far.
fn succeeds(cluster: &mut Cluster, j: usize) -> bool {
    let mut term = Term::begin(cluster);
    arrives_at(&term, j, None);
    assert!(cluster.run(&mut term));
    let arrived = cluster.server().late.is_empty();
    cluster.server().arrive();
    cluster.server().acquit();
    arrived
}

#[test]
fn a_write_of_a_dead_leader_may_arrive_at_any_time() {
    for (name, scenario) in SCENARIOS {
        let mut grants = 0;
        for k in 0.. {
            let Some(cluster) = left_behind(scenario, k) else { break };
            let late = cluster.server().late.clone();
            grants += usize::from(matches!(late[..], [Request::Grant { .. }]));
            for j in 0.. {
                let mut cluster = left_behind(scenario, k).expect("the same run");
                if !succeeds(&mut cluster, j) {
                    break;
                }
            }
        }
        assert!(grants >= 3, "{name}: only {grants} slow grants");
    }
}

#[test]
fn a_write_that_its_sender_gave_up_may_arrive_at_any_time() {
    for (_, scenario) in SCENARIOS {
        for k in 0.. {
            let mut arrived = 0;
            for j in k + 1.. {
                let mut cluster = scenario();
                let mut term = Term::begin(&cluster);
                arrives_at(&term, j, Some(k));
                assert!(cluster.run(&mut term));
                let done = !cluster.server().late.is_empty();
                cluster.server().arrive();
                cluster.server().acquit();
                if done || term.door.writes() <= j {
                    break;
                }
                arrived += 1;
            }
            if arrived == 0 {
                break;
            }
        }
    }
}

#[test]
fn a_grant_that_arrives_after_its_pod_is_gone_changes_nothing() {
    for (_, scenario) in SCENARIOS {
        for k in 0.. {
            let Some(mut cluster) = left_behind(scenario, k) else { break };
            cluster.scale("api", 0);
            cluster.step();
            cluster.scale("api", 2);
            let mut term = Term::begin(&cluster);
            assert!(cluster.run(&mut term));
            let held = cluster.server().held();
            cluster.server().arrive();
            assert_eq!(cluster.server().held(), held);
            cluster.server().acquit();
        }
    }
}

/// A grant of 6 is in flight when its leader dies and the budget is recreated, with bounds under which the pod has to
/// wait and another workload takes the room. The grant arrives before the `j`-th write of the new leader.
fn outlives_its_budget(k: usize, j: usize) -> Option<bool> {
    let two = || {
        let mut cluster = Cluster::new(14, "Current");
        cluster.scale("api", 2);
        cluster
    };
    let mut cluster = left_behind(two, k)?;
    let mut spec = cluster.server().budget.clone().expect("a budget").spec;
    let bounds = serde_json::json!([
        {"name": "api", "kind": "Deployment", "connectionsPerProcess": {"min": 8}},
        {"name": "web", "kind": "Deployment", "connectionsPerProcess": {"min": 5}},
    ]);
    spec.workloads = part(bounds);
    cluster.server().delete_budget();
    cluster.server().make_budget(spec);
    cluster.scale("web", 1);
    let mut term = Term::begin(&cluster);
    arrives_at(&term, j, None);
    cluster.turns(&mut term, 20);
    let arrived = cluster.server().late.is_empty();
    cluster.server().arrive();
    cluster.turns(&mut term, 20);
    cluster.server().acquit();
    Some(arrived)
}

#[test]
fn a_grant_of_a_deleted_budget_may_arrive_under_the_next_one_of_its_name() {
    let mut k = 0;
    while outlives_its_budget(k, 0).is_some() {
        let _ = (0..).take_while(|j| outlives_its_budget(k, *j) == Some(true)).count();
        k += 1;
    }
    assert!(k >= 4, "only {k} writes");
}

#[test]
fn a_leader_that_sees_its_budget_made_anew_stands_by_the_grants_on_their_way() {
    for (_, scenario) in SCENARIOS {
        for k in 0.. {
            let mut cluster = scenario();
            let mut term = Term::begin(&cluster);
            term.door.meet(Fate::Late, move |call| call.is_write(k));
            while cluster.server().late.is_empty() && !cluster.at_rest() {
                cluster.turn(&mut term);
            }
            if cluster.server().late.is_empty() {
                break;
            }
            let spec = cluster.server().budget.clone().expect("a budget").spec;
            cluster.server().delete_budget();
            cluster.turn(&mut term);
            cluster.server().make_budget(spec);
            cluster.turn(&mut term);
            cluster.server().arrive();
            assert!(cluster.run(&mut term));
            cluster.server().acquit();
        }
    }
}
