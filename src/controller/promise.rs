//! What every status must keep before it is written: a successor learns from it what was granted.
//!
//! In: the held status, the one to be written, and what was decided. Out: a sentence for what is wrong. Every build
//! with debug assertions checks each write; a release build does not, and writes the same.

use std::collections::HashMap;

use super::view::{BATCH, IN_FLIGHT, View};
use crate::api::{DbConnectionBudgetStatus, GrantInFlight, Mode};
use crate::budget::decide::bounds;
use crate::cluster::pod::PodRecord;

/// What is wrong with a status; nothing ever should be. `fresh` are the grants of this look.
#[must_use]
pub fn fault(
    view: &View,
    held: &DbConnectionBudgetStatus,
    new: &DbConnectionBudgetStatus,
    fresh: &[GrantInFlight],
) -> Option<String> {
    let (new_epoch, held_epoch) = (new.ledger.epoch, held.ledger.epoch);
    if new_epoch != held_epoch {
        return Some(format!("epoch {new_epoch} is written over epoch {held_epoch}"));
    }
    if fresh.is_empty() {
        return None;
    }
    recorded(new, fresh).or_else(|| meant(view, fresh)).or_else(|| within(view, new, fresh))
}

/// Each grant is in the status once, and there are no more than one status can name.
fn recorded(new: &DbConnectionBudgetStatus, fresh: &[GrantInFlight]) -> Option<String> {
    if fresh.len() > BATCH || new.ledger.grants.len() > IN_FLIGHT {
        return Some(format!("{} grants of {} in flight", fresh.len(), new.ledger.grants.len()));
    }
    // Entries that others wrote into the status may be there twice.
    let mut entries: HashMap<&str, usize> = HashMap::new();
    new.ledger.grants.iter().for_each(|grant| *entries.entry(grant.uid.as_str()).or_default() += 1);
    if let Some(twice) = fresh.iter().find(|grant| entries.get(grant.uid.as_str()) != Some(&1)) {
        return Some(format!("not one grant in flight for pod {}", twice.uid));
    }
    let lost = fresh.iter().find(|grant| !new.ledger.grants.contains(grant));
    lost.map(|grant| format!("the grant of pod {} is not recorded", grant.uid))
}

/// Each grant is for a pod that waits at its gate, and its connections cover its sizes.
fn meant(view: &View, fresh: &[GrantInFlight]) -> Option<String> {
    let pods: HashMap<&str, &PodRecord> =
        view.scene.pods.iter().map(|pod| (pod.uid.as_str(), pod.as_ref())).collect();
    fresh.iter().find_map(|grant| {
        let Some(pod) = pods.get(grant.uid.as_str()) else {
            return Some(format!("pod {} is granted and not there", grant.uid));
        };
        let pools =
            i64::from(pod.app.pools.map_or(1, |pools| i32::try_from(pools.get()).unwrap_or(i32::MAX)));
        let opens = (i64::from(grant.pool_size) + i64::from(grant.max_overflow)).saturating_mul(pools);
        let billed = view.mode != Mode::Gate || grant.connections >= opens;
        (!pod.gated || !billed).then(|| format!("{grant:?} for {} pools, gated: {}", pools, pod.gated))
    })
}

/// In mode Gate, nothing is granted without a limit, and what is committed stays within its bound.
fn within(view: &View, new: &DbConnectionBudgetStatus, fresh: &[GrantInFlight]) -> Option<String> {
    if view.mode != Mode::Gate {
        return None;
    }
    if let Some(refusal) = &view.refusal {
        return Some(format!("granted though the budget is refused: {refusal}"));
    }
    let decision = &view.decision;
    let bounds = bounds(decision.usable, decision.high_water, &decision.ledger);
    let most = bounds.usable.max(bounds.lost).get();
    let before = i64::try_from(decision.ledger.committed.get()).unwrap_or(i64::MAX);
    let after = fresh.iter().fold(before, |sum, grant| sum.saturating_add(grant.connections));
    if new.committed != after {
        return Some(format!("{} is said to be committed, and it is {after}", new.committed));
    }
    (u64::try_from(after).unwrap_or(0) > most)
        .then(|| format!("{after} is committed, and {most} is the most"))
}
