//! Reclaiming in the cluster: ends at most one of the pods that a decision names.
//!
//! In: a decision's candidates, best first. Out: one pod less, or the name of what refuses it.

use std::collections::HashSet;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::EventType;

use super::context::Context;
use super::events;
use super::gateway::{Gateway, GatewayError};
use super::refused::Purpose;
use super::view::View;
use crate::api::BudgetKey;
use crate::budget::decide::Decision;
use crate::budget::reclaim::{Candidate, Cause, Ending};
use crate::cluster::pod::PodRecord;

/// Candidates tried per decision.
const TRIES: usize = 8;

/// Ends the first candidate that the cluster allows to end. True when the result is worth another look soon.
///
/// # Errors
/// When the API server does not answer.
pub async fn reclaim<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    view: &View,
    now: Timestamp,
) -> Result<bool, GatewayError> {
    let candidates = &view.decision.reclaim.candidates;
    if candidates.is_empty() {
        context.refusals.forget(key, Purpose::Reclaim);
        return Ok(false);
    }
    if context.refusals.is_paused(key, Purpose::Reclaim, now) {
        return Ok(false);
    }
    let mut refusal = None;
    for candidate in workloads_first(view).take(TRIES) {
        let Some(pod) = view.scene.pods.get(candidate.pod) else { continue };
        match end(context, pod, candidate.cause).await {
            Ok(()) => {
                context.refusals.forget(key, Purpose::Reclaim);
                context.metrics.evicted(key, candidate.cause.name());
                tell(context, key, pod, why(candidate.cause, &view.decision)).await;
                context.refresh_pod(pod).await?;
                return Ok(true);
            }
            Err(GatewayError::Disruption { budget, .. }) => refusal = refusal.or(Some(budget)),
            // Gone already, or changed: see what that frees before another one is ended.
            Err(GatewayError::Outdated { .. }) => {
                context.refresh_pod(pod).await?;
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
    }
    let Some(by) = refusal else { return Ok(false) };
    Ok(context.refusals.note(key, Purpose::Reclaim, by, now))
}

/// The best candidate of each workload, then the others, both in order: whatever refuses one pod of a workload mostly
/// refuses the next one too.
fn workloads_first(view: &View) -> impl Iterator<Item = &Candidate> {
    let mut seen = HashSet::new();
    let workload = |candidate: &Candidate| view.scene.situation.pods.get(candidate.pod)?.workload;
    let candidates = view.decision.reclaim.candidates.iter();
    let (first, others): (Vec<_>, Vec<_>) =
        candidates.partition(|candidate| seen.insert(workload(candidate)));
    first.into_iter().chain(others)
}

async fn end<G: Gateway>(context: &Context<G>, pod: &PodRecord, cause: Cause) -> Result<(), GatewayError> {
    match cause.ending() {
        Ending::Delete => context.gateway.delete(pod).await,
        Ending::Evict => context.gateway.evict(pod).await,
    }
}

/// Why a pod is ended to make room, as part of a sentence.
#[must_use]
pub fn why(cause: Cause, decision: &Decision) -> &'static str {
    match cause {
        Cause::Stalled => {
            "its workload was scaled down, and the scale-down cannot continue while this pod waits"
        }
        Cause::Superseded => {
            "it is not ready and has an older revision, and a newer pod of its workload needs the room"
        }
        Cause::Leaving => {
            "its workload was scaled down and has one pod too many, and another pod of it needs the room"
        }
        Cause::Escaped => {
            "it holds connections without a grant, and its replacement is created with the gate"
        }
        Cause::Oversize if decision.grants.shortfall().is_none() => {
            "it holds more than its workload's share, and more connections are committed than the limit allows"
        }
        Cause::Oversize => "it holds more than its workload's share, and another pod needs the room",
        Cause::Surplus => "its workload has more pods than the budget has room for",
    }
}

async fn tell<G: Gateway>(context: &Context<G>, key: &BudgetKey, pod: &PodRecord, why: &str) {
    tracing::info!(budget = %key, pod = pod.name, why, "pod ended to make room");
    let note = format!("removed to make room in budget {}: {why}", key.name);
    let event = events::event(EventType::Normal, "Reclaimed", "Evict", &note);
    context.gateway.publish(event, events::about_pod(pod)).await;
}
