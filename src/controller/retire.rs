//! Adoption of a full database: ends one pod from before the label, so that a new one can connect.
//!
//! In: the workload that the decision names. Out: one replica less of an older ReplicaSet, if the Eviction API would let a
//! pod of it go. Evicted, that would be replaced by another one without a grant, which takes what it gave back; scaling
//! down is what the Deployment controller itself does with `maxUnavailable: 1`. One at a time for each workload, and each
//! has [`PATIENCE`] to help.

use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::EventType;

use super::gateway::{Gateway, GatewayError};
use super::memory::Memory;
use super::notice;
use super::reconcile::Leader;
use super::refused::{self, Purpose};
use super::view::View;
use crate::budget::adoption::PATIENCE;
use crate::cluster::workload::WorkloadKey;
use crate::cluster::world::BudgetKey;

/// Ends a pod from before the label, if one has to go and the last one has had its time to help. True when one was
/// ended.
///
/// # Errors
/// When the API server does not answer, or the operator may not.
pub async fn step<G: Gateway>(
    leader: &Leader<G>,
    key: &BudgetKey,
    view: &View,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<bool, GatewayError> {
    let named: Vec<&WorkloadKey> = view.scene.workloads.iter().map(|workload| &workload.key).collect();
    memory.retired.retain(|workload, _| named.contains(&workload));
    let Some(workload) = view.decision.room.foreign.and_then(|index| named.get(index)) else {
        refused::lift(leader, key, memory, Purpose::Adoption);
        return Ok(false);
    };
    let since = memory.retired.get(workload).map(|last| now.duration_since(*last).as_secs());
    let helped =
        since.is_none_or(|seconds| !(0..i64::try_from(PATIENCE).unwrap_or(i64::MAX)).contains(&seconds));
    let paused = refused::is_paused(leader, key, memory, Purpose::Adoption, now);
    if !helped || paused || !view.scene.situation.eviction {
        return Ok(false);
    }
    let Some(set) = oldest_set(leader, key, workload) else { return Ok(false) };
    match leader.gateway.retire(&key.namespace, &set).await {
        Ok(Some(pod)) => {
            memory.retired.insert((*workload).clone(), now);
            memory.refused.remove(&Purpose::Adoption);
            leader.metrics.evicted(key);
            tracing::info!(budget = %key, pod, %workload, "pod from before the label ended");
            let note = format!(
                "{set} was scaled down by one: its pods are from before the label, and new pods do not become Ready \
                 while such pods may hold all connections that there are"
            );
            let event = notice::event(EventType::Normal, "ForeignPodEnded", "Evict", &note);
            leader.gateway.publish(event, notice::about_workload(&key.namespace, workload)).await;
            Ok(true)
        }
        Ok(None) => Ok(false),
        // It changed meanwhile: what that brings is to be seen first.
        Err(GatewayError::Outdated { .. }) => Ok(true),
        Err(GatewayError::Disruption { budget, .. }) => {
            Ok(refused::note(leader, key, memory, Purpose::Adoption, budget, now))
        }
        Err(error) => Err(error),
    }
}

/// The oldest ReplicaSet of a workload whose pods bear no label.
fn oldest_set<G: Gateway>(
    leader: &Leader<G>,
    key: &BudgetKey,
    workload: &WorkloadKey,
) -> Option<WorkloadKey> {
    let parts = leader.observed.world().workloads.parts(&key.namespace, workload);
    let before =
        parts.iter().filter(|part| part.template.budget.is_none() && part.replicas > 0 && part.pods > 0);
    before.min_by_key(|part| part.revision).map(|part| part.key.clone())
}
