//! Take-over of a budget (protocol §5), in exactly this order: the Lease is won already → write epoch + 1, from here on
//! every write of an older leader fails → list the pods with a consistent read → the ledger is complete.
//!
//! In: a budget that this process has not held yet. Out: memory that holds it, a world that knows its pods. The
//! patches in flight are sent again by the first grant step, as after any lost answer. A budget that was never taken over
//! may have had a predecessor of the same name, whose record of grants in flight went with it: before its first epoch the
//! pods that wait are fenced against those.

use futures::{StreamExt, TryStreamExt, stream};

use super::gateway::{Gateway, GatewayError};
use super::grant::PARALLEL;
use super::memory::Memory;
use super::reconcile::Leader;
use crate::api::DbConnectionBudget;
use crate::cluster::pod::{PodRecord, version};
use crate::cluster::world::BudgetKey;

/// Makes sure that this process holds the newest version of the budget under its own epoch. False when the budget does
/// not exist any more.
///
/// # Errors
/// When the API server does not answer, or somebody else wrote meanwhile; to be tried again.
pub async fn take_over<G: Gateway>(
    leader: &Leader<G>,
    key: &BudgetKey,
    seen: &DbConnectionBudget,
    memory: &mut Memory,
) -> Result<bool, GatewayError> {
    if memory.holds(seen) {
        return follow(leader, key, seen, memory).await;
    }
    memory.let_go();
    let Some(mut budget) = leader.gateway.budget(key).await? else { return Ok(false) };
    let uid = budget.metadata.uid.clone().unwrap_or_default();
    let status = budget.status.get_or_insert_default();
    if status.epoch == 0 {
        fence(leader, key, &uid).await?;
    }
    // Another one in any case, also after the largest, which somebody may have written.
    status.epoch = status.epoch.wrapping_add(1);
    let epoch = status.epoch;
    let written = leader.gateway.replace_status(&budget).await?;
    let pods = leader.gateway.pods(key).await?;
    let mut world = leader.observed.world();
    for record in pods.iter().filter_map(PodRecord::read) {
        world.pods.apply(record);
    }
    world.budgets.apply(written.clone());
    drop(world);
    memory.held = Some(written);
    tracing::info!(budget = %key, epoch, "budget taken over");
    Ok(true)
}

/// Marks all pods that wait. The marks stay: a take-over that fails half-way goes on where it was.
async fn fence<G: Gateway>(leader: &Leader<G>, key: &BudgetKey, uid: &str) -> Result<(), GatewayError> {
    let pods = leader.gateway.pods(key).await?;
    let pods: Vec<PodRecord> = pods.iter().filter_map(PodRecord::read).collect();
    let mut calls = Vec::new();
    for pod in pods.iter().filter(|pod| pod.gated && pod.taken_over_by.as_deref() != Some(uid)) {
        calls.push(leader.gateway.fence(pod, uid));
    }
    stream::iter(calls).buffer_unordered(PARALLEL).map_ok(drop).try_collect().await
}

/// A newer version of a held budget: a user's edit, or a write of ours whose answer was lost. Another epoch in it means
/// that another process took over meanwhile; while this one has the Lease it takes over again.
async fn follow<G: Gateway>(
    leader: &Leader<G>,
    key: &BudgetKey,
    seen: &DbConnectionBudget,
    memory: &mut Memory,
) -> Result<bool, GatewayError> {
    let (Some(held), epoch) = (&memory.held, memory.status().epoch) else { return Ok(false) };
    if version(&seen.metadata) <= version(&held.metadata) {
        return Ok(true);
    }
    if seen.status.as_ref().map_or(0, |status| status.epoch) == epoch {
        memory.held = Some(seen.clone());
        return Ok(true);
    }
    tracing::warn!(budget = %key, "another process wrote this budget; taking it over again");
    memory.let_go();
    Err(GatewayError::Outdated { what: format!("hold budget {key}"), why: "its epoch is another's".into() })
        .inspect_err(|_: &GatewayError| leader.metrics.api_error("outdated"))
}
