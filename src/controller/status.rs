//! The status: what a look found, as numbers and conditions.
//!
//! In: a view, the status before. Out: the status to be written. It is written only when it differs.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::memory::Hindrances;
use super::view::{Assessed, View};
use super::{conditions, confirm, evidence};
use crate::api::{
    Baseline, DbConnectionBudget, DbConnectionBudgetStatus, EvidenceStatus, ForeignStatus, GrantInFlight,
    InfeasiblePolicy, LadderStatus, LedgerStatus, Mode, PodCounts, WorkloadStatus,
};
use crate::budget::amount::{Connections, Pods};
use crate::budget::assessment::Assessment;
use crate::budget::split::Split;

/// The most workloads that a status names: each may take a kilobyte, half of it in the ledger, and etcd takes one and a
/// half megabytes in all.
pub const WORKLOADS: usize = 700;

/// The status after this look, with `grants` in flight.
#[must_use]
pub fn assemble(
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
    let findings = conditions::findings(view, budget, hindrances, now);
    let ratio = budget.spec.sizing.overflow_ratio;
    let largest = denied_beyond(view, budget);
    DbConnectionBudgetStatus {
        observed_generation: generation,
        limit: confirm::limit(view, old.limit.as_ref()),
        database: confirm::database(view),
        usable: decision.usable.wide(),
        committed: decision.ledger.committed.plus(fresh).wide(),
        pods: pods(view),
        more_workloads: 0,
        workloads: workloads(view, ratio, &largest),
        ledger: LedgerStatus {
            epoch: old.ledger.epoch,
            mode: view.mode,
            high_water: decision.high_water.filter(|_| view.mode == Mode::Gate).map(Connections::wide),
            // They are read when it is written.
            nodes: old.ledger.nodes.clone(),
            grants,
            excess: evidence::excess(view),
            quarantine: old.ledger.quarantine.clone(),
            baselines: view.workloads().map(baseline).collect(),
        },
        conditions: findings
            .into_iter()
            .map(|finding| finding.into_condition(&old.conditions, generation, &Time(now)))
            .collect(),
    }
}

/// Takes out the workloads that a status has no room for, counts them in it, and returns them.
pub fn leave_out(status: &mut DbConnectionBudgetStatus) -> Vec<Baseline> {
    let baselines = &mut status.ledger.baselines;
    let unnamed = baselines.split_off(baselines.len().min(WORKLOADS));
    status.workloads.truncate(WORKLOADS);
    status.more_workloads = narrow(unnamed.len());
    unnamed
}

/// The budget with its previous status, plus conditions that say that no newer one can be written.
#[must_use]
pub fn standing_still(held: &DbConnectionBudget, why: &str, now: Timestamp) -> DbConnectionBudget {
    let mut said = held.clone();
    let mut status = said.status.take().unwrap_or_default();
    for finding in conditions::unwritable(why) {
        let new = finding.into_condition(&status.conditions, held.metadata.generation, &Time(now));
        status.conditions.retain(|condition| condition.type_ != new.type_);
        status.conditions.push(new);
    }
    said.status = Some(status);
    said
}

/// How many pods are wanted, and where the pods are.
fn pods(view: &View) -> PodCounts {
    let pods = &view.scene.situation.pods;
    let granted = pods.iter().filter(|pod| !pod.terminating && pod.hold.is_grant()).count();
    let draining = pods.iter().filter(|pod| pod.terminating && pod.hold.is_grant()).count();
    let desired = view.workloads().map(|one| one.desired()).sum();
    let foreign = view.workloads().map(|one| one.foreign()).sum();
    PodCounts {
        desired: count(desired),
        granted: narrow(granted.saturating_add(view.decision.grants.granted.len())),
        waiting: narrow(view.decision.grants.refused.len().saturating_add(view.later)),
        draining: narrow(draining),
        foreign: count(foreign),
    }
}

/// The most replicas of each workload that admission allows; empty if it refuses nothing.
fn denied_beyond(view: &View, budget: &DbConnectionBudget) -> Vec<Pods> {
    let spec = &budget.spec;
    let denies = spec.infeasible_policy == InfeasiblePolicy::Deny && spec.mode != Mode::Observe;
    // A budget that is not accepted does not say what could ever fit.
    if denies && view.refusal.is_none() { view.scene.situation.largest_replicas() } else { Vec::new() }
}

/// The grants of this look, by workload.
#[derive(Clone, Copy, Debug, Default)]
struct Fresh {
    pods: usize,
    connections: Connections,
}

fn workloads(view: &View, ratio: u32, largest: &[Pods]) -> Vec<WorkloadStatus> {
    let mut fresh: HashMap<usize, Fresh> = HashMap::new();
    for grant in &view.decision.grants.granted {
        let workload = view.scene.situation.pods.get(grant.pod).and_then(|pod| pod.workload);
        let Some(workload) = workload else { continue };
        let of = fresh.entry(workload).or_default();
        *of = Fresh { pods: of.pods + 1, connections: of.connections.plus(grant.bill) };
    }
    let of = |index: usize| fresh.get(&index).copied().unwrap_or_default();
    let evidence = evidence::of_each(view);
    let reported = |index: usize| evidence.get(index).copied().flatten();
    view.workloads()
        .map(|one| WorkloadStatus {
            evidence: reported(one.index),
            ..workload(one, of(one.index), ratio, largest.get(one.index))
        })
        .collect()
}

/// A status without the numbers of use, which change with every query.
#[must_use]
pub fn without_use(mut status: DbConnectionBudgetStatus) -> DbConnectionBudgetStatus {
    for workload in &mut status.workloads {
        workload.evidence = workload.evidence.map(EvidenceStatus::steady);
    }
    status.database = None;
    status
}

fn workload(one: Assessed<'_>, fresh: Fresh, ratio: u32, largest: Option<&Pods>) -> WorkloadStatus {
    let Assessed { facts: labelled, of: core, assessment: Assessment { share, standing, .. }, .. } = one;
    let split = Split::of(share.size, ratio, labelled.knobs);
    let foreign = ForeignStatus { pods: count(one.foreign()), connections: one.foreign_bills().wide() };
    WorkloadStatus {
        kind: labelled.key.kind,
        name: labelled.key.name.clone(),
        replicas: count(one.desired()),
        ceiling: count(core.demand.peak()),
        largest_replicas: largest.filter(|_| labelled.key.kind.scales()).copied().map(count),
        slots: count(share.slots),
        pool_size: i32::try_from(split.pool_size.get()).unwrap_or(i32::MAX),
        max_overflow: i32::try_from(split.max_overflow.get()).unwrap_or(i32::MAX),
        per_pod: share.bill.wide(),
        committed: standing.committed.plus(fresh.connections).wide(),
        granted: count(standing.granted).saturating_add(narrow(fresh.pods)),
        waiting: count(standing.waiting).saturating_sub(narrow(fresh.pods)),
        foreign: (foreign.connections > 0).then_some(foreign),
        evidence: None,
    }
}

/// What the next look must know about a workload.
fn baseline(one: Assessed<'_>) -> Baseline {
    Baseline {
        kind: one.facts.key.kind,
        name: one.facts.key.name.clone(),
        replicas: count(one.assessment.baseline),
        foreign: count(one.facts.foreign_at_most),
        ladder: one.facts.rung.map(|rung| LadderStatus {
            level: count(rung.level),
            low_since: rung.lower_since.and_then(time),
        }),
    }
}

fn time(seconds: u64) -> Option<Time> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(Time)
}

fn count(pods: Pods) -> i32 {
    i32::try_from(pods.get()).unwrap_or(i32::MAX)
}

fn narrow(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
