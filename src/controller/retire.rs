//! Adoption of a full database: ends one pod from before the label, so that a new one can connect.
//!
//! In: the workload that the decision names. Out: one replica less of an older ReplicaSet, if the Eviction API would
//! let a pod of it go. An evicted pod would be replaced by another one without a grant, which takes what the first gave
//! back; scaling down is what the Deployment controller itself does with `maxUnavailable: 1`. Each workload loses one
//! pod at a time, and each pod that ended has [`PATIENCE`] to help.

use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::EventType;

use super::context::Context;
use super::events;
use super::gateway::{Gateway, GatewayError};
use super::memory::Memory;
use super::refused::Purpose;
use super::view::{Assessed, View};
use super::wait::{connections, pods};
use crate::api::BudgetKey;
use crate::api::WorkloadKind;
use crate::budget::adoption::PATIENCE;
use crate::cluster::workload::WorkloadKey;

/// Ends a pod from before the label, if one has to go and the last one has had time to help. True when the result is
/// worth another look soon.
///
/// # Errors
/// When the API server does not answer, or the operator has no permission.
pub async fn step<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    view: &View,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<bool, GatewayError> {
    let named: Vec<&WorkloadKey> = view.scene.workloads.iter().map(|workload| &workload.key).collect();
    memory.retired.retain(|workload, _| named.contains(&workload));
    let held_up = view.decision.reclaim.foreign.filter(|held_up| held_up.may_end);
    let Some(workload) = held_up.and_then(|held_up| named.get(held_up.workload)) else {
        context.refusals.forget(key, Purpose::Adoption);
        return Ok(false);
    };
    let since = memory.retired.get(workload).map(|last| now.duration_since(*last).as_secs());
    let helped =
        since.is_none_or(|seconds| !(0..i64::try_from(PATIENCE).unwrap_or(i64::MAX)).contains(&seconds));
    let paused = context.refusals.is_paused(key, Purpose::Adoption, now);
    if !helped || paused || !view.scene.situation.eviction {
        return Ok(false);
    }
    let Some(set) = oldest_set(context, key, workload) else { return Ok(false) };
    match context.gateway.retire(&key.namespace, &set).await {
        Ok(Some(pod)) => {
            memory.retired.insert((*workload).clone(), now);
            context.refusals.forget(key, Purpose::Adoption);
            context.metrics.evicted(key, "ForeignPod");
            tracing::info!(budget = %key, pod, %workload, "pod from before the label ended");
            let note = format!(
                "poolbudget scaled {set} down by one: its pods were created before the label and may hold all connections \
                 of the database, and new pods do not become Ready"
            );
            let event = events::event(EventType::Normal, "ForeignPodEnded", "Evict", &note);
            context.gateway.publish(event, events::about_workload(&key.namespace, workload)).await;
            Ok(true)
        }
        Ok(None) => Ok(false),
        // It changed meanwhile: see first what that brings.
        Err(GatewayError::Outdated { .. }) => Ok(true),
        Err(GatewayError::Disruption { budget, .. }) => {
            Ok(context.refusals.note(key, Purpose::Adoption, budget, now))
        }
        Err(error) => Err(error),
    }
}

/// New pods that do not become ready while pods from before the label may hold everything.
#[must_use]
pub fn in_the_way(view: &View) -> Option<String> {
    let held_up = view.decision.reclaim.foreign?;
    let Assessed { of: workload, facts, .. } = view.workload(held_up.workload)?;
    let kind = facts.key.kind;
    let (name, before) = (&workload.demand.name, workload.unadopted);
    let then = what_then(kind, held_up.may_end, view.scene.situation.eviction);
    Some(format!(
        "new pods of {name} do not become Ready. {} created before the label may hold {}, which may be all that the \
         database has: {then}",
        pods(before.pods),
        connections(before.connections)
    ))
}

/// What ends the pods from before the label of a workload of this kind.
fn what_then(kind: WorkloadKind, may_end: bool, eviction: bool) -> String {
    match kind {
        WorkloadKind::Deployment if !eviction => {
            "evictionPolicy is Forbidden, so scale the old ReplicaSet down by one yourself".to_owned()
        }
        WorkloadKind::Deployment if may_end => {
            format!("poolbudget removes one old pod every {PATIENCE} seconds until the new pods can connect")
        }
        WorkloadKind::Deployment => {
            "poolbudget removes none of them, because too few pods would be Ready: scale the old ReplicaSet down by \
             one yourself"
                .to_owned()
        }
        WorkloadKind::Rollout | WorkloadKind::DaemonSet => {
            "change its update strategy so that an old pod ends first (maxSurge: 0, maxUnavailable: 1)".to_owned()
        }
        _ => "delete the old pods one at a time".to_owned(),
    }
}

/// The oldest ReplicaSet of a workload with Ready pods that have no label.
fn oldest_set<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    workload: &WorkloadKey,
) -> Option<WorkloadKey> {
    let parts = context.observed.world().workloads.parts(&key.namespace, workload);
    let before =
        parts.iter().filter(|part| part.template.budget.is_none() && part.replicas > 0 && part.ready > 0);
    before.min_by_key(|part| part.revision).map(|part| part.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_up_is_told_what_ends_the_old_pods_of_its_kind() {
        let said = |kind| what_then(kind, false, true);
        assert!(
            what_then(WorkloadKind::Deployment, true, true)
                .starts_with("poolbudget removes one old pod every 60 seconds")
        );
        assert!(said(WorkloadKind::Deployment).contains("too few pods would be Ready"));
        assert!(what_then(WorkloadKind::Deployment, true, false).contains("yourself"));
        // Their controllers would make another pod like it.
        assert!(said(WorkloadKind::Rollout).contains("maxUnavailable: 1"));
        assert!(said(WorkloadKind::DaemonSet).contains("maxUnavailable: 1"));
        assert!(said(WorkloadKind::ReplicaSet).contains("delete"));
    }
}
