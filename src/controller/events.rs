//! Events: on waiting pods (why they wait) and on budgets (what changed), one per transition.
//!
//! In: a view, what was said before. Out: events.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::Context;
use super::gateway::{Gateway, resource};
use super::grant::PARALLEL;
use super::memory::Memory;
use super::view::View;
use super::wait::Wait;
use crate::api::conditions::{ConditionType, Verdict, WaitReason};
use crate::api::{BudgetKey, DbConnectionBudget, names};
use crate::budget::grant::Refusal;
use crate::cluster::guarded::Unreadable;
use crate::cluster::pod::PodRecord;
use crate::cluster::workload::{WorkloadKey, WorkloadRecord};

/// A pod that has waited for less than this, in seconds, is not told why it waits.
const SOON: u64 = 2;
/// The most events in one look: they must not keep grants waiting.
const AT_ONCE: usize = 64;

/// An event. The API server takes at most 1 kB of note, in bytes.
#[must_use]
pub fn event(type_: EventType, reason: &str, action: &str, note: &str) -> Event {
    let note = note.get(..note.floor_char_boundary(1000)).map(ToOwned::to_owned);
    Event { type_, reason: reason.into(), note, action: action.into(), secondary: None }
}

/// A reference to a pod.
#[must_use]
pub fn about_pod(pod: &PodRecord) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(pod.name.clone()),
        namespace: Some(pod.namespace.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}

/// A reference to a workload, by its name alone.
#[must_use]
pub fn about_workload(namespace: &str, workload: &WorkloadKey) -> ObjectReference {
    let resource = resource(workload.kind);
    ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        name: Some(workload.name.clone()),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    }
}

/// A reference to the object of a workload, with the uid by which `kubectl describe` finds its events. None where a
/// workload is only a group of objects.
fn about_object(record: &WorkloadRecord) -> Option<ObjectReference> {
    let uid = record.uid.clone()?;
    Some(ObjectReference { uid: Some(uid), ..about_workload(&record.namespace, &record.key) })
}

/// The key under which memory notes what a workload was told, beside the uids of pods; no uid has a slash.
fn told_as(workload: &WorkloadKey) -> String {
    workload.to_string()
}

/// Tells each waiting pod why it waits, when that is new.
pub async fn tell_pods<G: Gateway>(context: &Context<G>, view: &View, memory: &mut Memory) {
    let waiting: HashSet<&str> = view
        .decision
        .grants
        .refused
        .iter()
        .filter_map(|(pod, _)| Some(view.scene.pods.get(*pod)?.uid.as_str()))
        .collect();
    let workloads = workloads_that_wait(view);
    memory.told.retain(|who, _| {
        waiting.contains(who.as_str()) || workloads.iter().any(|(workload, _)| told_as(&workload.key) == *who)
    });
    let mut news = Vec::new();
    for (workload, note) in &workloads {
        let (reason, note) = note;
        let Some(about) = about_object(workload) else { continue };
        if memory.told.insert(told_as(&workload.key), *reason) != Some(*reason) && news.len() < AT_ONCE {
            news.push((event(EventType::Normal, reason.name(), "Wait", note), about));
        }
    }
    for (pod, refusal) in &view.decision.grants.refused {
        let (Some(record), Some(core)) = (view.scene.pods.get(*pod), view.scene.situation.pods.get(*pod))
        else {
            continue;
        };
        let wait = Wait::of(view, *pod, *refusal);
        let reason = wait.reason();
        if core.age < SOON || memory.told.get(&record.uid) == Some(&reason) {
            continue;
        }
        // Waiting pods are looked at again every few seconds; the others are told then.
        if news.len() == AT_ONCE {
            break;
        }
        memory.told.insert(record.uid.clone(), reason);
        news.push((event(EventType::Normal, reason.name(), "Wait", &wait.to_string()), about_pod(record)));
    }
    publish(context, news).await;
}

/// Workloads with pods that wait for longer than a moment, each once, with what its first such pod waits for.
fn workloads_that_wait(view: &View) -> Vec<(Arc<WorkloadRecord>, (WaitReason, String))> {
    let mut found: BTreeMap<usize, (usize, usize, Refusal)> = BTreeMap::new();
    for (pod, refusal) in &view.decision.grants.refused {
        let Some(core) = view.scene.situation.pods.get(*pod).filter(|core| core.age >= SOON) else {
            continue;
        };
        if let Some(workload) = core.workload {
            found.entry(workload).and_modify(|(count, ..)| *count += 1).or_insert((1, *pod, *refusal));
        }
    }
    let told = found.into_iter().filter_map(|(workload, (count, pod, refusal))| {
        let record = Arc::clone(&view.scene.workloads.get(workload)?.record);
        let (name, why) = (&view.scene.pods.get(pod)?.name, Wait::of(view, pod, refusal));
        let others = match count - 1 {
            0 => String::new(),
            1 => " (and 1 other)".to_owned(),
            more => format!(" (and {more} others)"),
        };
        Some((record, (why.reason(), format!("pod {name}{others} waits: {why}"))))
    });
    told.collect()
}

/// Publishes several events side by side.
async fn publish<G: Gateway>(context: &Context<G>, news: Vec<(Event, ObjectReference)>) {
    let mut calls = Vec::with_capacity(news.len());
    for (event, about) in news {
        calls.push(context.gateway.publish(event, about));
    }
    stream::iter(calls).buffer_unordered(PARALLEL).collect::<()>().await;
}

/// Pods that wait for a budget that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stranded {
    /// How many there are.
    pub waiting: usize,
    /// Whether some of them were not told yet.
    pub untold: bool,
}

/// Tells a budget that cannot be read what is wrong with it, when that is new.
pub async fn report_unreadable_budget<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    unreadable: Option<&Unreadable>,
    memory: &mut Memory,
) {
    let complaint = unreadable.map(|unreadable| unreadable.why.clone());
    if memory.complaint == complaint {
        return;
    }
    memory.complaint = complaint;
    let Some(unreadable) = unreadable else { return };
    let about = ObjectReference {
        api_version: Some(DbConnectionBudget::api_version(&()).into()),
        kind: Some(DbConnectionBudget::kind(&()).into()),
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()),
        uid: unreadable.metadata.uid.clone(),
        ..ObjectReference::default()
    };
    let note = format!(
        "poolbudget cannot read this budget and grants nothing until it is fixed: {}",
        unreadable.why
    );
    context
        .gateway
        .publish(event(EventType::Warning, WaitReason::BudgetUnreadable.name(), "Report", &note), about)
        .await;
}

/// Tells each pod that waits for a budget that does not exist, or cannot be read.
pub async fn tell_stranded<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    unreadable: Option<&Unreadable>,
    memory: &mut Memory,
) -> Stranded {
    let pods = context.observed.world().pods.group(&key.namespace, &key.name);
    let waiting: Vec<_> = pods.iter().filter(|pod| pod.gated && !pod.terminating).collect();
    let uids: HashSet<&str> = waiting.iter().map(|pod| pod.uid.as_str()).collect();
    let wait = Wait::stranded(key, unreadable);
    let (reason, note) = (wait.reason(), wait.to_string());
    let workloads: Vec<Arc<WorkloadRecord>> = {
        let world = context.observed.world();
        let of: BTreeSet<WorkloadKey> = waiting.iter().filter_map(|pod| world.workload_of(pod)).collect();
        of.iter().filter_map(|workload| world.workloads.find(&key.namespace, workload)).collect()
    };
    memory.told.retain(|who, told| {
        let waits = uids.contains(who.as_str()) || workloads.iter().any(|w| told_as(&w.key) == *who);
        waits && *told == reason
    });
    let untold: Vec<_> = waiting.iter().filter(|pod| !memory.told.contains_key(&pod.uid)).collect();
    let mut news = Vec::new();
    for workload in workloads.iter().take(AT_ONCE) {
        let Some(about) = about_object(workload) else { continue };
        if memory.told.insert(told_as(&workload.key), reason).is_none() {
            news.push((
                event(EventType::Warning, reason.name(), "Wait", &format!("its pods wait: {note}")),
                about,
            ));
        }
    }
    for pod in untold.iter().take(AT_ONCE) {
        tracing::info!(budget = %key, pod = pod.name, reason = reason.name(), "pod waits for a budget that is not there");
        news.push((event(EventType::Warning, reason.name(), "Wait", &note), about_pod(pod)));
    }
    for pod in untold.iter().take(AT_ONCE) {
        memory.told.insert(pod.uid.clone(), reason);
    }
    publish(context, news).await;
    Stranded { waiting: waiting.len(), untold: untold.len() > AT_ONCE }
}

/// Tells a budget which entries no longer count because an annotation names them.
pub async fn tell_forgotten<G: Gateway>(
    context: &Context<G>,
    budget: &DbConnectionBudget,
    memory: &mut Memory,
) {
    let forgotten = std::mem::take(&mut memory.forgotten);
    for entry in forgotten.iter().take(AT_ONCE) {
        let node = entry.node.as_ref().map_or_else(String::new, |node| format!(" on node {node}"));
        let note = format!(
            "the {} connections of {}{node} no longer count: the annotation {} names it, although poolbudget did not see it end",
            entry.connections,
            entry.pod,
            names::FORGET
        );
        tracing::warn!(
            pod = entry.pod,
            connections = entry.connections,
            "forgotten, because an annotation says so"
        );
        context
            .gateway
            .publish(event(EventType::Warning, "Forgotten", "Forget", &note), budget.object_ref(&()))
            .await;
    }
}

/// Publishes what changed between two sets of conditions.
pub async fn tell_budget<G: Gateway>(context: &Context<G>, budget: &DbConnectionBudget, old: &[Condition]) {
    let new = budget.status.iter().flat_map(|status| &status.conditions);
    // Another condition says what a summary says.
    let own =
        |condition: &&Condition| !ConditionType::of(&condition.type_).is_some_and(ConditionType::is_summary);
    for condition in new.filter(own).filter(|condition| is_news(condition, old)) {
        let bad = ConditionType::verdict_of(condition) == Verdict::Bad;
        let kind = if bad { EventType::Warning } else { EventType::Normal };
        let note = format!("{}={}: {}", condition.type_, condition.status, condition.message);
        context
            .gateway
            .publish(event(kind, &condition.reason, "Report", &note), budget.object_ref(&()))
            .await;
    }
}

fn is_news(condition: &Condition, old: &[Condition]) -> bool {
    match old.iter().find(|before| before.type_ == condition.type_) {
        Some(before) => before.status != condition.status,
        None => ConditionType::verdict_of(condition) == Verdict::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_at_most_a_thousand_bytes_whatever_its_script() {
        for note in ["x".repeat(2_000), "×".repeat(999), "👍".repeat(400)] {
            let told = event(EventType::Normal, "Reason", "Action", &note).note.expect("a note");
            assert!((990..=1_000).contains(&told.len()) && note.starts_with(&told));
        }
    }
}
