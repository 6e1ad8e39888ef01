//! Adoption of a database that is already full: new pods cannot connect while pods from before the label hold all
//! connections.
//!
//! In: the ledger, the terms, the pods. Out: the workload that is held up, and whether one pod from before its label
//! may be ended, so that its new pods become ready and its rollout ends the others. Forbidden here: choosing the pod,
//! pacing; the caller ends one at a time, in a way that creates no other like it.

use super::amount::{Connections, Pods};
use super::reclaim::{Holdings, may_lose_one};

/// A new pod gets so many seconds to become ready before a pod from before the label is ended for it; each pod that is
/// ended gets so many seconds to help.
pub const PATIENCE: u64 = 60;

/// A workload whose new pods do not become ready while pods from before its label may hold the connections they lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// Its index.
    pub workload: usize,
    /// Whether one pod from before its label may be ended for it: no other like it is created, and enough stay ready.
    pub may_end: bool,
}

/// The first held-up workload of those where a pod may be ended, or else the first of all. Old pods that are not ready
/// hold little or nothing, and their own controller removes them.
#[must_use]
pub fn held_up(holdings: &Holdings<'_>) -> Option<HeldUp> {
    let before: Connections = holdings.workloads.iter().map(|workload| workload.unadopted.connections).sum();
    let held = holdings.ledger.committed.plus(holdings.ledger.ungranted()).plus(before);
    // Where all of them fit, these pods do not fill the database: the reason is another one.
    if held <= holdings.available {
        return None;
    }
    let in_vain = |workload: usize| {
        holdings.pods.iter().any(|pod| pod.workload == Some(workload) && pod.starts_in_vain(PATIENCE))
    };
    let mut waits = None;
    for (workload, assessment) in holdings.workloads.iter().enumerate() {
        let before = assessment.unadopted;
        if before.ready == Pods::ZERO || !in_vain(workload) {
            continue;
        }
        if before.yields && may_lose_one(assessment) {
            return Some(HeldUp { workload, may_end: true });
        }
        waits = waits.or(Some(HeldUp { workload, may_end: false }));
    }
    waits
}
