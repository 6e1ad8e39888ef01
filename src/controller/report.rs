//! The status: what a look found, as numbers and conditions.
//!
//! In: a view, the status before. Out: the status to be written. It is written only when it differs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::memory::Hindrances;
use super::verdict;
use super::view::View;
use crate::api::{
    DbConnectionBudget, DbConnectionBudgetStatus, ForeignStatus, GrantInFlight, InfeasiblePolicy,
    LadderStatus, LimitStatus, Mode, WorkloadStatus,
};
use crate::budget::amount::{Connections, Pods};
use crate::budget::split::Split;
use crate::telemetry::metrics::BudgetNumbers;

/// Workloads that a status names: each may take 700 bytes, and etcd takes one and a half megabytes in all.
pub const WORKLOADS: usize = 1_000;

/// The status after this look, with `grants` in flight.
#[must_use]
pub fn status(
    view: &View,
    budget: &DbConnectionBudget,
    old: &DbConnectionBudgetStatus,
    grants: Vec<GrantInFlight>,
    hindrances: Hindrances<'_>,
    now: Timestamp,
) -> DbConnectionBudgetStatus {
    let decision = &view.decision;
    let fresh: Connections = decision.grants.granted.iter().map(|grant| grant.bill).sum();
    let generation = budget.metadata.generation;
    let findings = verdict::findings(view, budget, hindrances, now);
    let ratio = budget.spec.sizing.overflow_ratio;
    let largest = denied_beyond(view, budget);
    DbConnectionBudgetStatus {
        observed_generation: generation,
        mode: view.mode,
        epoch: old.epoch,
        limit: view
            .limit
            .as_ref()
            .map(|limit| LimitStatus { connections: wide(limit.connections), source: limit.source.clone() }),
        usable: wide(decision.usable),
        committed: wide(decision.ledger.committed.plus(fresh)),
        high_water: decision.high_water.filter(|_| view.mode == Mode::Gate).map(wide),
        waiting: narrow(decision.grants.refused.len().saturating_add(view.later)),
        pods: pods(view),
        more_workloads: 0,
        workloads: (0..view.scene.workloads.len())
            .filter_map(|w| workload(view, w, ratio, largest.get(w)))
            .collect(),
        grants,
        quarantine: old.quarantine.clone(),
        conditions: findings
            .into_iter()
            .map(|finding| finding.into_condition(&old.conditions, generation, &Time(now)))
            .collect(),
    }
}

/// Leaves out the workloads that a status has no room for, and says how many. They come back.
pub fn leave_out(status: &mut DbConnectionBudgetStatus) -> Vec<WorkloadStatus> {
    let unnamed = status.workloads.split_off(status.workloads.len().min(WORKLOADS));
    status.more_workloads = narrow(unnamed.len());
    unnamed
}

/// The budget with the status of before, and the word that no newer one can be written.
#[must_use]
pub fn standing_still(held: &DbConnectionBudget, why: &str, now: Timestamp) -> DbConnectionBudget {
    let mut said = held.clone();
    let mut status = said.status.take().unwrap_or_default();
    let finding = verdict::unwritable(why);
    let new = finding.into_condition(&status.conditions, held.metadata.generation, &Time(now));
    status.conditions.retain(|condition| condition.type_ != new.type_);
    status.conditions.push(new);
    said.status = Some(status);
    said
}

/// What the metrics say of a status.
#[must_use]
pub fn numbers(status: &DbConnectionBudgetStatus) -> BudgetNumbers {
    BudgetNumbers {
        limit: status.limit.as_ref().map_or(0, |limit| limit.connections),
        usable: status.usable,
        committed: status.committed,
        waiting: i64::from(status.waiting),
    }
}

/// Pods with a grant that stay, of all that stay.
fn pods(view: &View) -> String {
    let staying = view.scene.situation.pods.iter().filter(|pod| !pod.terminating);
    let (granted, all) = staying.fold((0_usize, 0_usize), |(granted, all), pod| {
        (granted + usize::from(pod.hold.is_grant()), all + 1)
    });
    format!("{}/{all}", granted + view.decision.grants.granted.len())
}

/// What admission is to refuse of each workload; nothing where it is to refuse nothing.
fn denied_beyond(view: &View, budget: &DbConnectionBudget) -> Vec<Pods> {
    let spec = &budget.spec;
    let denies = spec.infeasible == InfeasiblePolicy::Deny && spec.mode != Mode::Observe;
    // A budget that is not accepted says nothing of what could ever fit.
    if denies && view.refusal.is_none() { view.scene.situation.largest_replicas() } else { Vec::new() }
}

fn workload(view: &View, index: usize, ratio: u32, largest: Option<&Pods>) -> Option<WorkloadStatus> {
    let labelled = view.scene.workloads.get(index)?;
    let core = view.scene.situation.workloads.get(index)?;
    let share = view.decision.plan.shares.get(index)?;
    let standing = view.decision.ledger.workloads.get(index)?;
    let fresh: Vec<_> = view
        .decision
        .grants
        .granted
        .iter()
        .filter(|grant| {
            view.scene.situation.pods.get(grant.pod).is_some_and(|pod| pod.workload == Some(index))
        })
        .collect();
    let fresh_bills: Connections = fresh.iter().map(|grant| grant.bill).sum();
    let split = Split::of(share.size, ratio, labelled.knobs);
    let foreign = ForeignStatus {
        pods: count(core.unadopted.pods.plus(standing.escaped)),
        connections: wide(core.unadopted.connections.plus(standing.escaped_bills)),
    };
    Some(WorkloadStatus {
        kind: labelled.key.kind,
        name: labelled.key.name.clone(),
        replicas: count(core.demand.replicas.plus(labelled.held)),
        ceiling: count(core.demand.peak()),
        largest_replicas: largest.filter(|_| labelled.key.kind.scales()).copied().map(count),
        slots: count(share.slots),
        settled: count(*view.decision.settled.get(index)?),
        pool_size: i32::try_from(split.pool_size.get()).unwrap_or(i32::MAX),
        max_overflow: i32::try_from(split.max_overflow.get()).unwrap_or(i32::MAX),
        per_pod: wide(share.bill),
        committed: wide(standing.committed.plus(fresh_bills)),
        granted: count(standing.granted).saturating_add(narrow(fresh.len())),
        waiting: count(standing.waiting).saturating_sub(narrow(fresh.len())),
        foreign: (foreign.connections > 0).then_some(foreign),
        ladder: labelled.rung.map(|rung| LadderStatus {
            level: count(rung.level),
            low_since: rung.lower_since.and_then(time),
        }),
    })
}

fn time(seconds: u64) -> Option<Time> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(Time)
}

fn wide(connections: Connections) -> i64 {
    i64::try_from(connections.get()).unwrap_or(i64::MAX)
}

fn count(pods: Pods) -> i32 {
    i32::try_from(pods.get()).unwrap_or(i32::MAX)
}

fn narrow(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
