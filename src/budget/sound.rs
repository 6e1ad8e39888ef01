//! What every decision must keep, added up a second time in another way.
//!
//! In: a situation and the decision on it. Out: a sentence that says what is wrong, if anything is. Every build with
//! debug assertions checks each decision with this; release builds do not, and make the same decisions.

use std::collections::HashSet;

use super::amount::Connections;
use super::decide::{Decision, Enforcement, Situation, bounds};
use super::ledger::Hold;

/// What is wrong with a decision; the answer should always be nothing.
#[must_use]
pub fn fault(situation: &Situation, decision: &Decision) -> Option<String> {
    sums(situation, decision)
        .or_else(|| grants(situation, decision))
        .or_else(|| queue(situation, decision))
        .or_else(|| plan(decision))
}

/// Committed is what grants and the quarantine hold; what pods hold that no grant gave them is subtracted from the limit.
fn sums(situation: &Situation, decision: &Decision) -> Option<String> {
    let held = |which: fn(&Hold) -> bool| {
        let pods = situation.pods.iter().map(|pod| pod.hold).filter(which);
        sum(pods.map(|hold| hold.bill()))
    };
    let committed = held(|hold| hold.is_grant()) + sum(situation.quarantine.iter().copied());
    let escaped = held(|hold| matches!(hold, Hold::Escaped(_)));
    let excess = sum(situation.pods.iter().map(|pod| pod.excess));
    let of = |what: &str, told: Connections, sum: u128| {
        (narrow(sum) != told).then(|| format!("{what} is said to be {} and is {sum}", told.get()))
    };
    of("what is committed", decision.ledger.committed, committed)
        .or_else(|| of("what escaped", decision.ledger.escaped, escaped))
        .or_else(|| of("what pods hold beyond their grants", decision.ledger.excess, excess))
        .or_else(|| {
            let usable = u128::from(situation.available.get()).saturating_sub(escaped).saturating_sub(excess);
            of("what is usable", decision.usable, usable)
        })
}

/// Neither one grant nor all of them together exceed what may be committed, and each pod can use its grant.
fn grants(situation: &Situation, decision: &Decision) -> Option<String> {
    let granted = &decision.grants.granted;
    if situation.enforcement == Enforcement::Observed {
        let stray = granted.iter().find(|grant| situation.pods.get(grant.pod).is_none_or(|pod| !pod.waits()));
        return stray.map(|grant| format!("a pod that does not wait is let through: {grant:?}"));
    }
    let bounds = bounds(decision.usable, decision.high_water, &decision.ledger);
    let most = u128::from(bounds.usable.max(bounds.lost).get());
    let after = u128::from(decision.ledger.committed.get()) + sum(granted.iter().map(|grant| grant.bill));
    if !granted.is_empty() && after > most {
        return Some(format!("grants bring what is committed to {after}, and {most} is the most"));
    }
    granted.iter().find_map(|grant| {
        let Some(pod) = situation.pods.get(grant.pod) else { return Some("a grant for no pod".to_owned()) };
        let wrong = if !pod.waits() {
            "does not wait"
        } else if grant.bill < grant.size.per_pod(pod.instances) {
            "is billed less than its pools may open"
        } else if grant.size < pod.least {
            "is granted less than it obeys"
        } else {
            return None;
        };
        Some(format!("a pod that {wrong} is granted: {grant:?} of {pod:?}"))
    })
}

/// Each waiting pod is either granted or refused with a reason, exactly once.
fn queue(situation: &Situation, decision: &Decision) -> Option<String> {
    let (granted, refused) = (&decision.grants.granted, &decision.grants.refused);
    let mut seen = HashSet::new();
    let told = granted.iter().map(|grant| grant.pod).chain(refused.iter().map(|(pod, _)| *pod));
    for pod in told {
        if !seen.insert(pod) {
            return Some(format!("pod {pod} has two answers"));
        }
    }
    let waits = situation.pods.iter().enumerate().filter(|(_, pod)| pod.waits());
    let forgotten = waits.map(|(index, _)| index).find(|index| !seen.contains(index));
    forgotten.map(|pod| format!("pod {pod} waits and has no answer"))
}

/// All slots at their sizes fit into what is usable, and no size is below its minimum.
fn plan(decision: &Decision) -> Option<String> {
    let shares = || decision.workloads.iter().map(|workload| workload.share);
    let planned = sum(shares().map(|share| share.bill.times(share.slots)));
    let usable = u128::from(decision.usable.get());
    if planned > usable {
        return Some(format!("slots for {planned} are planned, and {usable} is usable"));
    }
    let small = shares().find(|share| share.slots.get() > 0 && share.size < share.min);
    small.map(|share| format!("a size below its minimum is planned: {share:?}"))
}

fn sum(parts: impl Iterator<Item = Connections>) -> u128 {
    parts.map(|part| u128::from(part.get())).sum()
}

/// The number, or the largest one that fits: sums in the ledger saturate there.
fn narrow(sum: u128) -> Connections {
    Connections::new(u64::try_from(sum).unwrap_or(u64::MAX))
}
