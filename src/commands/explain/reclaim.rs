//! How room becomes free: who returns connections, when, and which pods have to go.
//!
//! In: a look at a budget. Out: sentences.

use k8s_openapi::jiff::Timestamp;

use super::sight::{Look, Sight};
use crate::api::{EvictionPolicy, Mode};
use crate::budget::ledger::Hold;
use crate::controller::evict;
use crate::controller::view::View;

/// How many pods are named.
const NAMED: usize = 5;

/// What has to happen before a pod that was refused for lack of room gets its grant.
pub(super) fn for_the_refused(sight: &Sight, look: &Look) -> String {
    let room = &look.view.decision.reclaim;
    let draining = draining(sight, look);
    if room.draining {
        return format!("waiting is enough: {draining}");
    }
    let also = if draining.is_empty() { String::new() } else { format!("; also, {draining}") };
    let goes = room.candidates.first().and_then(|candidate| {
        let pod = look.view.scene.pods.get(candidate.pod)?;
        Some(format!(
            "the operator will remove Pod/{} for it: {}",
            pod.name,
            evict::why(candidate.cause, &look.view.decision)
        ))
    });
    let next = goes.unwrap_or_else(|| nobody_goes(&look.view, look.budget.spec.eviction_policy));
    format!("{next}{also}")
}

fn nobody_goes(view: &View, eviction: EvictionPolicy) -> String {
    match eviction {
        _ if view.mode != Mode::Gate => "this mode evicts no pod".to_owned(),
        EvictionPolicy::Forbidden => {
            "evictionPolicy is Forbidden, so it waits until a pod of the budget terminates".to_owned()
        }
        EvictionPolicy::Allowed => {
            "the operator may evict no pod now (none holds too much, or its workload has too few ready pods); it waits \
             until one terminates or becomes ready"
                .to_owned()
        }
    }
}

/// Who returns how much, and when: `Pod/a gives back 4 in 25 s at the latest`.
fn draining(sight: &Sight, look: &Look) -> String {
    let pods = look.view.scene.situation.pods.iter().zip(&look.view.scene.pods);
    let leaving =
        pods.filter(|(pod, _)| pod.terminating && pod.hold != Hold::Waiting).map(|(pod, record)| {
            format!("Pod/{} gives back {}{}", pod.name, pod.hold.bill(), due(record.due, sight.now))
        });
    let quarantine = look.budget.status.iter().flat_map(|status| &status.ledger.quarantine).map(|entry| {
        let when = due(Some(entry.until.0.as_second()), sight.now);
        format!("Pod/{} is gone and gives back {}{when}", entry.pod, entry.connections)
    });
    let all: Vec<String> = leaving.chain(quarantine).collect();
    let others = all.len().saturating_sub(NAMED);
    let mut named: Vec<String> = all.into_iter().take(NAMED).collect();
    if others > 0 {
        named.push(format!("and {others} more"));
    }
    named.join(", ")
}

/// ` in 25 s at the latest`, or by how much that time has passed.
pub(super) fn due(due: Option<i64>, now: Timestamp) -> String {
    match due.map(|due| due - now.as_second()) {
        None => String::new(),
        Some(left) if left > 0 => format!(" in {left} s at the latest"),
        Some(left) => format!(", which is {} s overdue: see its node", -left),
    }
}
