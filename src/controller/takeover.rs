//! Take-over of a budget (protocol §5), in exactly this order: the Lease is won already → write epoch + 1, from here on
//! every write of an older leader fails → list the pods with a consistent read → the ledger is complete.
//!
//! In: a budget that this process has not held yet. Out: memory that holds it, a world that knows its pods. The first
//! grant step sends the patches in flight again, as after any lost answer. A budget that was never taken over may have
//! had a predecessor of the same name, whose record of grants in flight is lost: before the first epoch, waiting pods
//! are fenced against those grants.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use super::context::Context;
use super::gateway::{Gateway, GatewayError};
use super::grant::PARALLEL;
use super::memory::Memory;
use super::whereabouts;
use crate::api::BudgetKey;
use crate::api::DbConnectionBudget;
use crate::cluster::pod::version;

/// Makes sure that this process holds the newest version of the budget under its own epoch. False when the budget does
/// not exist any more.
///
/// # Errors
/// When the API server does not answer, or somebody else wrote meanwhile; to be tried again.
pub async fn take_over<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    seen: &Arc<DbConnectionBudget>,
    memory: &mut Memory,
) -> Result<bool, GatewayError> {
    if memory.holds(seen) {
        return follow(context, key, seen, memory).await;
    }
    memory.let_go();
    context.refusals.forget_all(key);
    let Some(mut budget) = context.gateway.budget(key).await? else { return Ok(false) };
    let uid = budget.metadata.uid.clone().unwrap_or_default();
    let status = budget.status.get_or_insert_default();
    if status.ledger.epoch == 0 {
        fence(context, key, &uid).await?;
    }
    // Always another epoch, even after the largest number, which somebody may have written.
    status.ledger.epoch = status.ledger.epoch.wrapping_add(1);
    let epoch = status.ledger.epoch;
    let written = context.gateway.replace_status(&budget).await?;
    let pods = context.gateway.pods(key).await?;
    let status = written.status.clone().unwrap_or_default();
    let steady = (context.steady)();
    memory.quarantine.seed(&status.ledger.quarantine, steady);
    for entry in whereabouts::unaccounted(&status, &pods, written.spec.linger_seconds, (context.clock)()) {
        let node = entry.node.as_deref().unwrap_or("unknown");
        tracing::warn!(
            budget = %key, connections = entry.connections, node,
            "gone while nobody led; it still counts"
        );
        memory.quarantine.count(entry, steady);
    }
    let mut world = context.observed.world();
    for record in pods {
        world.see_pod(record);
    }
    world.see_former_excesses(&key.namespace, &status.ledger.excess);
    world.budgets.apply(written.clone());
    drop(world);
    memory.held = Some(Arc::new(written));
    tracing::info!(budget = %key, epoch, "budget taken over");
    Ok(true)
}

/// Fences all waiting pods. The marks stay: a take-over that fails half-way continues where it was.
async fn fence<G: Gateway>(context: &Context<G>, key: &BudgetKey, uid: &str) -> Result<(), GatewayError> {
    let pods = context.gateway.pods(key).await?;
    let mut calls = Vec::new();
    for pod in pods.iter().filter(|pod| pod.gated && pod.taken_over_by.as_deref() != Some(uid)) {
        calls.push(context.gateway.fence(pod, uid));
    }
    stream::iter(calls).buffer_unordered(PARALLEL).map_ok(drop).try_collect().await
}

/// A newer version of a held budget: a user's edit, or a write of ours whose answer was lost. If its epoch is another
/// one, another process took over meanwhile; while this one has the Lease, it takes over again.
async fn follow<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    seen: &Arc<DbConnectionBudget>,
    memory: &mut Memory,
) -> Result<bool, GatewayError> {
    let epoch = memory.status().map_or(0, |status| status.ledger.epoch);
    let Some(held) = &memory.held else { return Ok(false) };
    if version(&seen.metadata) <= version(&held.metadata) {
        return Ok(true);
    }
    if seen.status.as_ref().map_or(0, |status| status.ledger.epoch) == epoch {
        memory.held = Some(Arc::clone(seen));
        return Ok(true);
    }
    tracing::warn!(budget = %key, "another process wrote this budget; taking it over again");
    memory.let_go();
    Err(GatewayError::Outdated { what: format!("hold budget {key}"), why: "its epoch is another's".into() })
        .inspect_err(|_: &GatewayError| context.metrics.api_error("outdated"))
}
