//! Mode Rollout: sizes are written into templates, one at a time, and put back where they have no business any more.
//!
//! In: a view. Out: at most one template written; what an earlier mode, label or budget left behind put back. What to write
//! next is decided in `budget::rewrite`, what a write looks like in `cluster::rewrite`. All that has to be remembered
//! stands on the workloads themselves.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::EventType;
use serde_json::Value;

use super::gateway::{Gateway, GatewayError};
use super::memory::Memory;
use super::notice;
use super::reconcile::Leader;
use super::view::View;
use crate::api::DbConnectionBudgetSpec;
use crate::budget::amount::{Connections, Pods};
use crate::budget::decide::Decision;
use crate::budget::rewrite::{Rewrites, Template, Terms, rewrites};
use crate::budget::rollout::{Strategy, Surge};
use crate::cluster::rewrite::{self, Author, Kept, Rewritten};
use crate::cluster::scene::{Labelled, Scene};
use crate::cluster::workload::WorkloadRecord;
use crate::cluster::world::BudgetKey;

/// Taking a value back counts as the same dispute for so long, in seconds, and what is contested is left alone so long.
const DISPUTE: u64 = 3600;
/// So often a value is written again that somebody has put another in the place of.
const REPLACED: u32 = 1;
/// So often one is written again that somebody has taken away: that claims no value for itself.
const REMOVED: u32 = 3;
/// Workloads that are put back in one look.
const AT_ONCE: usize = 16;

/// What is to be written, in mode Rollout.
#[must_use]
pub fn decide(
    key: &BudgetKey,
    spec: &DbConnectionBudgetSpec,
    scene: &Scene,
    decision: &Decision,
    now: Timestamp,
) -> Rewrites {
    let of_workloads: Connections = decision.ledger.workloads.iter().map(|standing| standing.committed).sum();
    let terms = Terms {
        usable: decision.usable,
        others: decision.ledger.committed.minus(of_workloads),
        min_interval: u64::from(spec.rollout.min_interval_seconds),
        min_change: Connections::new(u64::from(spec.rollout.min_change)),
    };
    let templates = (0..scene.workloads.len()).filter_map(|index| template(key, scene, decision, index, now));
    rewrites(&terms, &templates.collect::<Vec<_>>())
}

fn template(
    key: &BudgetKey,
    scene: &Scene,
    decision: &Decision,
    index: usize,
    now: Timestamp,
) -> Option<Template> {
    let labelled = scene.workloads.get(index)?;
    let workload = scene.situation.workloads.get(index)?;
    let share = decision.plan.shares.get(index)?;
    let standing = decision.ledger.workloads.get(index)?;
    let demand = &workload.demand;
    let app = &labelled.record.template;
    let instances = app.instances.clone().unwrap_or(share.instances);
    let complete = standing.whole && decision.settled.get(index) == Some(&demand.replicas);
    Some(Template {
        slots: demand.strategy.slots(demand.peak(), Surge::Full),
        instances,
        stated: (app.own < Connections::MAX).then_some(app.own),
        planned: share.size.per_pod(instances),
        rolled_out: complete && workload.observed && labelled.newest && standing.draining == Pods::ZERO,
        since: labelled.record.rewritten.as_ref().map(|rewritten| seconds_since(rewritten, now)),
        hands_off: fault(key, labelled).is_some() || contested(&labelled.record, now).is_some(),
    })
}

fn seconds_since(rewritten: &Rewritten, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(rewritten.note.at.0).as_secs()).unwrap_or(0)
}

/// Why the template of a workload cannot be written.
#[must_use]
pub fn fault(key: &BudgetKey, labelled: &Labelled) -> Option<String> {
    if labelled.fault.is_some()
        || labelled.unmirrored
        || labelled.record.template.budget.as_ref() != Some(&key.name)
    {
        return Some("it is not accepted".into());
    }
    if !rewrite::WRITTEN.contains(&labelled.key.kind) {
        return Some(format!("mode Rollout writes no template of a {}", labelled.key.kind));
    }
    if labelled.record.strategy == Strategy::OnDelete {
        return Some("its pods are replaced only when somebody deletes them, so mode Rollout leaves its template alone".into());
    }
    let other = labelled.record.rewritten.as_ref().map(|rewritten| &rewritten.note.budget);
    other
        .filter(|other| **other != key.name)
        .map(|other| format!("it still bears the values of budget {other}"))
}

/// Who keeps taking back what was written, when it is left to him.
#[must_use]
pub fn contested(record: &WorkloadRecord, now: Timestamp) -> Option<&str> {
    let rewritten = record.rewritten.as_ref()?;
    let most = match rewritten.values {
        Kept::Ours => return None,
        Kept::Removed => REMOVED,
        Kept::Replaced => REPLACED,
    };
    let fought = rewritten.note.taken_back >= most && seconds_since(rewritten, now) < DISPUTE;
    fought.then(|| rewritten.note.by.as_deref().unwrap_or("somebody"))
}

/// Puts back what is left behind, and writes what was decided. True when something was written.
///
/// # Errors
/// When the API server does not answer.
pub async fn step<G: Gateway>(
    leader: &Leader<G>,
    view: &View,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<bool, GatewayError> {
    let mut acted = restore(leader, &view.key, &view.scene.leftovers, memory).await?;
    let next = view
        .rewrites
        .write
        .and_then(|index| Some((view.scene.workloads.get(index)?, view.decision.plan.shares.get(index)?)));
    match next {
        Some((labelled, share)) => {
            let outcome = write(leader, view, labelled, share.size, now).await;
            acted |= allowed(outcome, memory)?;
        }
        None if view.scene.leftovers.is_empty() => memory.forbidden = None,
        None => {}
    }
    Ok(acted)
}

/// A write that is forbidden is reported and tried again with the next look; it keeps nothing else from being done.
fn allowed(outcome: Result<bool, GatewayError>, memory: &mut Memory) -> Result<bool, GatewayError> {
    match outcome {
        Ok(acted) => {
            memory.forbidden = None;
            Ok(acted)
        }
        // Somebody wrote meanwhile: the watch will bring it.
        Err(GatewayError::Outdated { .. }) => Ok(true),
        Err(GatewayError::Forbidden { why, .. }) => Ok(memory.forbidden.replace(why).is_none()),
        Err(error) => Err(error),
    }
}

async fn write<G: Gateway>(
    leader: &Leader<G>,
    view: &View,
    labelled: &Labelled,
    size: Connections,
    now: Timestamp,
) -> Result<bool, GatewayError> {
    let record = &labelled.record;
    let Some(object) = read(leader, record).await? else { return Ok(true) };
    let Some(values) = rewrite::values(&object, size, view.overflow_ratio) else { return Ok(false) };
    let same_app = record.rewritten.as_ref().is_none_or(|rewritten| rewritten.note.is_about(&values));
    let write = if same_app {
        let author = Author { budget: view.key.name.clone(), now, taken_back: taken_back(record, now) };
        rewrite::write(&object, &values, &author)
    } else {
        // Other variables or another container: what was written for the old ones goes first.
        rewrite::restore(&object)
    };
    let Some(write) = write else { return Ok(false) };
    leader.gateway.write_workload(&record.namespace, &record.key, &write).await?;
    let per_pod =
        size.per_pod(record.template.instances.clone().unwrap_or(crate::budget::amount::Instances::ONE));
    tracing::info!(budget = %view.key, workload = %record.key, per_pod = per_pod.get(), "template written");
    let note = format!(
        "its template gives a pod {per_pod} connections from now on (budget {}, mode Rollout)",
        view.key.name
    );
    let event = notice::event(EventType::Normal, "TemplateWritten", "Write", &note);
    leader.gateway.publish(event, about(&object)).await;
    Ok(true)
}

/// How often the values were taken back, once they are written now.
fn taken_back(record: &WorkloadRecord, now: Timestamp) -> u32 {
    let Some(rewritten) = &record.rewritten else { return 0 };
    let before = if seconds_since(rewritten, now) < DISPUTE { rewritten.note.taken_back } else { 0 };
    if rewritten.values == Kept::Ours { before } else { before.saturating_add(1) }
}

/// Puts back what stood in workloads before they were written; one step each.
///
/// # Errors
/// When the API server does not answer.
pub async fn restore<G: Gateway>(
    leader: &Leader<G>,
    key: &BudgetKey,
    leftovers: &[std::sync::Arc<WorkloadRecord>],
    memory: &mut Memory,
) -> Result<bool, GatewayError> {
    let mut acted = false;
    for record in leftovers.iter().take(AT_ONCE) {
        let outcome = restore_one(leader, key, record).await;
        acted |= allowed(outcome, memory)?;
    }
    Ok(acted)
}

async fn restore_one<G: Gateway>(
    leader: &Leader<G>,
    key: &BudgetKey,
    record: &WorkloadRecord,
) -> Result<bool, GatewayError> {
    let Some(object) = read(leader, record).await? else { return Ok(true) };
    let Some(write) = rewrite::restore(&object) else { return Ok(true) };
    leader.gateway.write_workload(&record.namespace, &record.key, &write).await?;
    tracing::info!(budget = %key, workload = %record.key, "what mode Rollout wrote is put back");
    let note = format!("what budget {} wrote into its template is put back", key.name);
    let event = notice::event(EventType::Normal, "TemplateRestored", "Restore", &note);
    leader.gateway.publish(event, about(&object)).await;
    Ok(true)
}

/// The workload as it is stored; none while the watch has not brought what is stored.
async fn read<G: Gateway>(
    leader: &Leader<G>,
    record: &WorkloadRecord,
) -> Result<Option<Value>, GatewayError> {
    let object = leader.gateway.workload(&record.namespace, &record.key).await?;
    Ok(object.filter(|object| rewrite::version(object) == record.version))
}

fn about(object: &Value) -> ObjectReference {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let meta = &object["metadata"];
    ObjectReference {
        api_version: text(&object["apiVersion"]),
        kind: text(&object["kind"]),
        name: text(&meta["name"]),
        namespace: text(&meta["namespace"]),
        uid: text(&meta["uid"]),
        ..ObjectReference::default()
    }
}
