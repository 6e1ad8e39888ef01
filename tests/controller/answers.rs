//! Requests that fail, at every position, and answers that are lost.

use super::cluster::Cluster;
use super::crashes::SCENARIOS;
use super::door::Fate;
use super::term::Term;

/// Runs a scenario in which `times` requests, from the `k`-th on, meet `fate`; true if any did.
fn meets(scenario: fn() -> Cluster, fate: Fate, writes: bool, k: usize, times: usize) -> bool {
    let mut cluster = scenario();
    let mut term = Term::begin(&cluster);
    let (met, tell) = std::sync::mpsc::channel();
    term.door.follow(move |_, call| {
        let hit = call.write.is_some() == writes && (k..k + times).contains(&call.number);
        if hit {
            met.send(()).expect("a listener");
        }
        Some(if hit { fate } else { Fate::Done })
    });
    assert!(cluster.run(&mut term));
    cluster.server().acquit();
    tell.try_iter().count() > 0
}

/// Tries every position of a run, for one failure and for three in a row.
fn everywhere(fate: Fate, writes: bool) {
    for (name, scenario) in SCENARIOS {
        for times in [1, 3] {
            let positions = (0..).take_while(|k| meets(scenario, fate, writes, *k, times)).count();
            assert!(positions >= 2, "{name}: only {positions} positions");
        }
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_counted_and_found_again() {
    everywhere(Fate::Lost, true);
}

#[test]
fn a_write_that_is_refused_is_tried_again() {
    for code in [404, 409, 410, 422, 429, 500, 503] {
        everywhere(Fate::Refused(code), true);
    }
}

#[test]
fn a_read_that_fails_is_tried_again() {
    for fate in [Fate::Lost, Fate::Refused(410), Fate::Refused(429), Fate::Refused(500)] {
        everywhere(fate, false);
    }
}
