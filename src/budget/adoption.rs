//! Adoption of a database that is full already: new pods that cannot connect while pods from before the label hold
//! what there is.
//!
//! In: the ledger, the terms, the pods. Out: the workload of which one pod from before its label should go, so that its
//! new pods become ready and its rollout ends the others. Forbidden here: choosing the pod, pacing; the caller ends one
//! at a time, in a way that makes no other one like it.

use super::amount::{Connections, Pods};
use super::room::{Scene, may_lose_one};

/// So many seconds a new pod gets to become ready before one from before the label goes for it, and each that goes gets
/// to help.
pub const PATIENCE: u64 = 60;

/// The first workload whose new pods do not become ready while pods from before its label may hold what they lack.
#[must_use]
pub fn holds_up(scene: &Scene<'_>) -> Option<usize> {
    let before: Connections = scene.unadopted.iter().map(|unadopted| unadopted.connections).sum();
    let held = scene.ledger.committed.plus(scene.ledger.escaped).plus(before);
    // Where all of them fit, the database is not full of them: the reason is another one.
    if held <= scene.available {
        return None;
    }
    (0..scene.unadopted.len()).find(|workload| {
        scene.unadopted.get(*workload).is_some_and(|before| before.yields && before.pods > Pods::ZERO)
            && scene.pods.iter().any(|pod| pod.workload == Some(*workload) && pod.starts_in_vain(PATIENCE))
            && may_lose_one(scene, *workload)
    })
}
