//! The leader dies between any two writes, and another one continues.

use super::cluster::Cluster;
use super::door::Fate;
use super::term::Term;

/// A cluster that starts to move; the name says what.
type Scenario = (&'static str, fn() -> Cluster);

pub(crate) const SCENARIOS: [Scenario; 3] = [
    ("pods of two workloads wait for their first grant", || {
        let mut cluster = Cluster::new(14, "Ceiling");
        cluster.scale("api", 3);
        cluster.scale("web", 2);
        cluster
    }),
    ("a scale-up that needs room held by larger pods", || {
        let mut cluster = settled("Current", &[("api", 2)]);
        cluster.scale("api", 6);
        cluster
    }),
    ("one workload grows into what another one drains from", || {
        let mut cluster = settled("Current", &[("api", 1), ("web", 3)]);
        cluster.scale("web", 1);
        cluster.scale("api", 5);
        cluster
    }),
];

/// A cluster of 13 usable connections at rest.
pub(crate) fn settled(basis: &str, workloads: &[(&str, u32)]) -> Cluster {
    let mut cluster = Cluster::new(14, basis);
    workloads.iter().for_each(|(name, replicas)| cluster.scale(name, *replicas));
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    cluster
}

/// The same, and its leader.
pub(crate) fn led(basis: &str, workloads: &[(&str, u32)]) -> (Cluster, Term) {
    let mut cluster = settled(basis, workloads);
    let mut term = Term::begin(&cluster);
    assert!(cluster.run(&mut term));
    (cluster, term)
}

#[test]
fn without_faults_everything_is_granted_and_nothing_is_over() {
    for (name, scenario) in SCENARIOS {
        let mut cluster = scenario();
        let mut term = Term::begin(&cluster);
        assert!(cluster.run(&mut term), "{name}");
        cluster.server().acquit();
        assert!(cluster.server().peak >= 12, "{name}: the pods are given all or most of 13");
    }
}

/// Runs a scenario whose leader meets `fate` at its `k`-th write; true if it got that far.
fn dies_at(scenario: fn() -> Cluster, k: usize, fate: Fate) -> bool {
    let mut cluster = scenario();
    let mut first = Term::begin(&cluster);
    // Its caches are as old as the moment when it began to wait for the Lease.
    let mut second = Term::begin(&cluster);
    first.door.meet(fate, move |call| call.is_write(k));
    if cluster.run(&mut first) {
        return false;
    }
    drop(first);
    assert!(second.look().is_some());
    assert!(cluster.run(&mut second));
    cluster.server().acquit();
    true
}

#[test]
fn a_leader_may_die_before_or_after_any_write() {
    for (name, scenario) in SCENARIOS {
        for fate in [Fate::DiesBefore, Fate::DiesAfter] {
            let positions = (0..).take_while(|k| dies_at(scenario, *k, fate)).count();
            assert!(positions >= 6, "{name}: only {positions} writes");
        }
    }
}

/// A leader that dies at a write: before and after each in turn.
fn doomed(cluster: &Cluster, at: usize) -> Term {
    let term = Term::begin(cluster);
    let fate = if at.is_multiple_of(2) { Fate::DiesBefore } else { Fate::DiesAfter };
    term.door.meet(fate, move |call| call.is_write(at / 2));
    term
}

#[test]
fn the_successor_may_die_at_any_write_too() {
    for (_, scenario) in SCENARIOS {
        for first_death in 0.. {
            let mut successors = 0;
            for second_death in 0.. {
                let mut cluster = scenario();
                let mut first = doomed(&cluster, first_death);
                if cluster.run(&mut first) {
                    break;
                }
                let mut second = doomed(&cluster, second_death);
                if cluster.run(&mut second) {
                    break;
                }
                successors += 1;
                let mut last = Term::begin(&cluster);
                assert!(cluster.run(&mut last));
                cluster.server().acquit();
            }
            if successors == 0 {
                break;
            }
        }
    }
}
