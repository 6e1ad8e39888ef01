//! On which nodes the pods of a budget are: what a leader writes of that into the status, and what its successor learns
//! from it about pods that are gone.
//!
//! In: a view; at a take-over, the last status and the pods that are there. Out: the sums of the nodes; entries for the
//! quarantine. Forbidden here: asking a node.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::jiff::Timestamp;

use super::quarantine::{self, MOST};
use super::view::View;
use crate::api::{DbConnectionBudgetStatus, Mode, NodeStatus, QuarantineCause, Quarantined};
use crate::budget::ledger::Hold;
use crate::cluster::pod::{DEFAULT_GRACE, PodRecord};

/// What pods hold on each node.
#[must_use]
pub fn nodes(view: &View) -> Vec<NodeStatus> {
    let pods = view.scene.pods.iter().zip(&view.scene.situation.pods);
    let held = pods.filter_map(|(record, pod)| match pod.hold {
        Hold::Granted(bill) => Some((record.node.as_deref()?, bill.wide())),
        _ => None,
    });
    let node = |(name, connections): (&str, i64)| NodeStatus { name: name.to_owned(), connections };
    by_node(held).into_iter().take(MOST).map(node).collect()
}

fn by_node<'a>(held: impl Iterator<Item = (&'a str, i64)>) -> BTreeMap<&'a str, i64> {
    let mut sums = BTreeMap::new();
    for (node, connections) in held {
        let sum: &mut i64 = sums.entry(node).or_default();
        *sum = sum.saturating_add(connections);
    }
    sums
}

/// What the last status counts and no pod accounts for: pods that went while nobody led. Nobody saw whether their
/// containers had ended, so they count for as long as a pod may take to end. What is missing of the sum of a node was
/// there. Of the rest the node is not known: its pods were granted when the last status was written, and on no node yet.
#[must_use]
pub fn unaccounted(
    status: &DbConnectionBudgetStatus,
    pods: &[PodRecord],
    linger: u32,
    now: Timestamp,
) -> Vec<Quarantined> {
    let ledger = &status.ledger;
    let grants: HashMap<&str, i64> =
        ledger.grants.iter().map(|grant| (grant.uid.as_str(), grant.connections)).collect();
    let in_flight = |pod: &PodRecord| grants.get(pod.uid.as_str()).copied();
    let kept: HashSet<&str> = ledger.quarantine.iter().map(|entry| entry.uid.as_str()).collect();
    let waits_out = |pod: &PodRecord| kept.contains(pod.uid.as_str());
    let bill = |pod: &PodRecord| match pod.hold() {
        _ if waits_out(pod) => 0,
        Hold::Granted(bill) if !pod.ended => bill.wide(),
        // In a mode other than Gate they were counted with the others.
        Hold::Escaped(bill) if !pod.ended && ledger.mode != Mode::Gate && pod.owner.is_some() => bill.wide(),
        Hold::Waiting => in_flight(pod).unwrap_or(0),
        _ => 0,
    };
    let billed: Vec<(&PodRecord, i64)> = pods.iter().map(|pod| (pod, bill(pod))).collect();
    // What was in flight was on no node.
    let placed = billed.iter().filter(|(pod, _)| in_flight(pod).is_none());
    let there = by_node(placed.filter_map(|(pod, bill)| Some((pod.node.as_deref()?, *bill))));
    let written = ledger.nodes.iter().map(|node| (node.name.as_str(), node.connections));
    let missing = by_node(written)
        .into_iter()
        .map(|(node, sum)| (Some(node), sum.saturating_sub(there.get(node).copied().unwrap_or(0))));
    let missing: Vec<_> = missing.filter(|(_, connections)| *connections > 0).collect();

    let waiting_out = ledger.quarantine.iter().map(|entry| entry.connections);
    let known = billed
        .iter()
        .map(|(_, bill)| *bill)
        .chain(waiting_out)
        .chain(missing.iter().map(|(_, missing)| *missing));
    let rest = status.committed.saturating_sub(known.fold(0, i64::saturating_add));

    // What those held beyond their grants is in no sum.
    let there: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
    let excess = ledger
        .excess
        .iter()
        .filter(|entry| !there.contains(entry.uid.as_str()) && !kept.contains(entry.uid.as_str()));
    let excess = excess.map(|entry| entry.connections).fold(0, i64::saturating_add);
    let rest = rest.max(0).saturating_add(excess);

    let grace = pods.iter().map(|pod| pod.grace).max().unwrap_or(0).max(DEFAULT_GRACE);
    let seconds = quarantine::unseen_end(grace, linger);
    let all = missing.into_iter().chain((rest > 0).then_some((None, rest)));
    all.enumerate()
        .map(|(n, (node, connections))| {
            let uid = format!("before-epoch-{}-{n}", ledger.epoch);
            let (pod, cause) = ("gone while nobody led".to_owned(), QuarantineCause::WhileNobodyLed);
            let entry = quarantine::entry(uid, pod, connections, seconds, cause, now);
            Quarantined { node: node.map(ToOwned::to_owned), ..entry }
        })
        .collect()
}
