//! What the metrics say of a budget after a reconcile.
//!
//! In: a view, the status that it led to. Out: numbers, for the budget and its workloads. Forbidden here: names of metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::view::{Assessed, View};
use crate::api::conditions::{ConditionReason, ConditionType};
use crate::api::{DbConnectionBudget, DbConnectionBudgetStatus, WorkloadStatus};
use crate::budget::amount::Connections;
use crate::telemetry::series::{BudgetNumbers, WorkloadNumbers};

/// The numbers of a budget.
#[must_use]
pub fn of(view: &View, budget: &DbConnectionBudget, status: &DbConnectionBudgetStatus) -> BudgetNumbers {
    // Not those that another scheduling gate holds: they do not wait for connections yet.
    let pods = view.scene.pods.iter().zip(&view.scene.situation.pods);
    let waits = pods.filter(|(record, pod)| pod.waits() && record.other_gates.is_none());
    let surge = view.scene.situation.surge;
    let least = |one: Assessed<'_>| {
        let demand = &one.of.demand;
        demand.floor().per_pod(demand.instances()).times(demand.strategy.slots(demand.peak(), surge))
    };
    let least: Connections = view.workloads().map(least).sum();
    let foreign: Connections = view.workloads().map(|one| one.foreign_bills()).sum();
    let quarantined: Connections = view.scene.situation.quarantine.iter().copied().sum();
    let newest = view.reading.as_ref().and_then(|reading| reading.newest.as_ref());
    BudgetNumbers {
        limit: status.limit.as_ref().map_or(0, |limit| limit.connections),
        reserved: budget.spec.reserved.into(),
        usable: status.usable,
        committed: status.committed,
        quarantined: quarantined.wide(),
        least: least.wide(),
        waiting: status.pods.waiting.into(),
        oldest_wait: waits.map(|(_, pod)| i64::try_from(pod.age).unwrap_or(i64::MAX)).max().unwrap_or(0),
        foreign_pods: status.pods.foreign.into(),
        foreign: foreign.wide(),
        excess: view.decision.ledger.excess.wide(),
        open: status.database.as_ref().map(|database| database.open),
        read_at: newest.map(|(_, at)| at.as_second()),
        outside: status.database.as_ref().map(|database| database.outside),
        conditions: status.conditions.iter().filter_map(condition).collect(),
        workloads: status.workloads.iter().map(workload).collect(),
    }
}

fn condition(condition: &Condition) -> Option<(&'static str, i64)> {
    // Nobody asked for the limit to be read: no alert should wait for it.
    if condition.reason == ConditionReason::NotChecked.name() {
        return None;
    }
    let status = match condition.status.as_str() {
        "True" => 1,
        "False" => 0,
        _ => -1,
    };
    Some((ConditionType::of(&condition.type_)?.name(), status))
}

fn workload(status: &WorkloadStatus) -> WorkloadNumbers {
    let evidence = status.evidence.unwrap_or_default();
    let size = i64::from(status.pool_size).saturating_add(status.max_overflow.into()).max(1);
    WorkloadNumbers {
        kept: status.committed.saturating_mul(status.pool_size.into()) / size,
        reporting: evidence.pods.into(),
        ignoring: evidence.ignored.into(),
        open: evidence.open,
        in_use: evidence.in_use,
        waiting_checkouts: evidence.waiting_checkouts,
        kind: status.kind.to_string(),
        name: status.name.clone(),
        slots: status.slots.into(),
        per_pod: status.per_pod,
        committed: status.committed,
        granted: status.granted.into(),
        waiting: status.waiting.into(),
        foreign: status.foreign.as_ref().map_or(0, |foreign| foreign.pods.into()),
    }
}
