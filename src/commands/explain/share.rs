//! The share of a workload in words: what its pods get, why not more, and how many pods there may be.
//!
//! In: a look at the budget, and one of its workloads. Out: sentences. Every number comes from the plan.

use super::sight::{Look, Sight};
use super::words::{count, product};
use crate::api::DbConnectionBudget;
use crate::budget::amount::{Connections, Pods};
use crate::budget::assessment::Assessment;
use crate::budget::basis::Basis;
use crate::budget::plan::{Demand, Feasibility, Share};
use crate::budget::rollout::{Strategy, Surge};
use crate::budget::split::{Knobs, Split};
use crate::cluster::spec;
use crate::cluster::workload::WorkloadKey;
use crate::controller::view::{Assessed, View};
use crate::profile::{OwnNames, Profile, SQLALCHEMY, Sizing};

/// How many workloads the sum names.
const NAMED: usize = 4;

/// `main: 15 connections (…), 2 reserved, 13 usable, 12 committed`.
pub(super) fn budget(look: &Look) -> String {
    let Look { budget, view } = look;
    let name = &view.key.name;
    let Some(limit) = &view.limit else { return format!("{name}, which is not accepted") };
    let escaped = match view.decision.ledger.escaped {
        Connections::ZERO => String::new(),
        escaped => format!(", {} subtracted for pods without a grant", escaped.in_words()),
    };
    let excess = match view.decision.ledger.excess {
        Connections::ZERO => String::new(),
        excess => format!(", {} subtracted for pods that hold more than their grants", excess.in_words()),
    };
    format!(
        "{name}: {} ({}), {} reserved{escaped}{excess}, {} usable, {} committed",
        count(limit.connections.get(), "connection"),
        limit.source,
        budget.spec.reserved,
        view.decision.usable,
        view.decision.ledger.committed
    )
}

/// What one pod of a workload gets now.
pub(super) fn size(budget: &DbConnectionBudget, knobs: Knobs, demand: &Demand, share: &Share) -> String {
    let split = Split::of(share.size, budget.spec.sizing.overflow_ratio, knobs);
    let Demand { processes, engines, .. } = demand;
    let parts = [split.pool_size, split.max_overflow, knobs.unsaid()];
    product(parts.map(Connections::get), *processes, *engines)
}

/// Whose rules the pools follow, and what is written for them; none for the default profile.
pub(super) fn profile(profile: Option<&'static Profile>) -> Option<String> {
    let profile = profile.filter(|profile| **profile != SQLALCHEMY)?;
    let variables: Vec<&str> = profile.variables().map(|(name, _)| name).collect();
    let how = match (&profile.sizing, profile.own_names()) {
        (Sizing::Written(_), OwnNames::Must) => {
            "poolbudget writes the variable that its annotations name".to_owned()
        }
        (Sizing::Written(_), OwnNames::May) => {
            format!("poolbudget writes {}, or the variables that its annotations name", variables.join(", "))
        }
        (Sizing::Written(_), OwnNames::Fixed) => format!("poolbudget writes {}", variables.join(", ")),
        (Sizing::Counted { .. }, _) => "counted, not limited: no variable sets its size".to_owned(),
        (Sizing::Unbounded, _) => "no variable limits what it opens".to_owned(),
    };
    Some(format!("{}: {how}", profile.name))
}

/// The minimum of an instance, if the app and not the budget sets it.
pub(super) fn least(demand: &Demand) -> Option<String> {
    let who = demand.needed_by.as_ref()?;
    Some(format!("{who} needs at least {} in each of its pools", count(demand.min.get(), "connection")))
}

/// Why a pod of a workload gets what it gets.
pub(super) fn why(view: &View, workload: usize) -> String {
    let Some(Assessed { of, assessment: Assessment { share, .. }, .. }) = view.workload(workload) else {
        return String::new();
    };
    match &view.decision.plan.feasibility {
        Feasibility::Infeasible(shortfall) => {
            let when = if shortfall.fits_now() { " at the ceiling" } else { "" };
            format!(
                "not everything fits{when}, so each gets its smallest size, {}: {}. {shortfall}",
                of.demand.needed_by.as_deref().unwrap_or("connectionsPerProcess.min"),
                share.min
            )
        }
        Feasibility::Feasible { planned, usable } => {
            format!("{} of {usable} usable{}", sum(view), limit(&of.demand, share, *planned, *usable))
        }
    }
}

/// `Deployment/api 6 slots × 2 + Deployment/web 3 slots × 1 = 15`, the largest part first.
fn sum(view: &View) -> String {
    let mut parts: Vec<(&str, &Share)> =
        view.workloads().map(|one| (one.of.demand.name.as_str(), &one.assessment.share)).collect();
    parts.sort_by_key(|(name, share)| (std::cmp::Reverse(share.bill.times(share.slots)), *name));
    let others: Connections = parts.iter().skip(NAMED).map(|(_, share)| share.bill.times(share.slots)).sum();
    let total: Connections = parts.iter().map(|(_, share)| share.bill.times(share.slots)).sum();
    let mut named: Vec<String> = parts
        .iter()
        .take(NAMED)
        .map(|(name, share)| format!("{name} {} × {}", count(share.slots.get(), "slot"), share.bill))
        .collect();
    if parts.len() > NAMED {
        named.push(format!("{} other workloads {others}", parts.len() - NAMED));
    }
    format!("{} = {total}", named.join(" + "))
}

/// What keeps the size from being larger by one.
fn limit(demand: &Demand, share: &Share, planned: Connections, usable: Connections) -> String {
    let weight = if demand.weight > 1 { format!("; its weight is {}", demand.weight) } else { String::new() };
    if demand.max.is_some_and(|max| share.size >= max) {
        return format!("; it gets no more because connectionsPerProcess.max is {}{weight}", share.size);
    }
    let step = Connections::ONE.per_pod(share.instances).times(share.slots);
    let left = usable.minus(planned);
    let verb = if left == Connections::ONE { "connection is" } else { "connections are" };
    format!("; {left} {verb} left, and growing every pool by one needs {step}{weight}")
}

/// How many pods of a workload may hold connections at once, and why that many.
pub(super) fn slots(sight: &Sight, look: &Look, workload: usize) -> Option<String> {
    let view = &look.view;
    let Assessed { of, assessment: Assessment { share, .. }, facts, .. } = view.workload(workload)?;
    let (demand, key) = (&of.demand, &facts.key);
    if let Feasibility::Infeasible(shortfall) = &view.decision.plan.feasibility {
        let line = shortfall.lines.iter().find(|line| line.name == demand.name)?;
        let asked = line.pods.plus(line.surge);
        if share.slots < asked {
            return Some(format!(
                "{} of the {asked} that it needs, because not everything fits",
                share.slots
            ));
        }
    }
    let surge = share.slots.minus(demand.peak());
    let surge = match view.scene.situation.surge {
        _ if surge == Pods::ZERO => String::new(),
        Surge::Minimal if surge == Pods::ONE => " + 1 for the surge pod that a rollout needs".to_owned(),
        Surge::Minimal => format!(" + {surge} for the surge pods that a rollout needs"),
        Surge::Full => format!(" + {surge} for the surge pods of a rollout"),
    };
    let replicas = count(demand.peak().get(), "replica");
    let source = source(sight, look, key);
    Some(format!("{} = {replicas}{surge}; {source}", share.slots))
}

/// What sets the number of replicas for which slots are kept.
fn source(sight: &Sight, look: &Look, key: &WorkloadKey) -> String {
    match look.view.scene.situation.basis {
        Basis::Current => "sizing.basis is Current, so sizes are for the current replicas and a scale-up makes shares smaller".to_owned(),
        Basis::Ladder => "sizing.basis is Ladder, so sizes are for the next power of two".to_owned(),
        Basis::Ceiling => ceiling(sight, look, key).unwrap_or_else(|| {
            "no HorizontalPodAutoscaler or maxReplicas sets a ceiling, so a scale-up makes shares smaller".to_owned()
        }),
    }
}

/// The first source that states a ceiling, in the order in which they are asked.
fn ceiling(sight: &Sight, look: &Look, key: &WorkloadKey) -> Option<String> {
    let (scalers, own) = {
        let world = sight.observed.world();
        let record = world.workloads.workload(&sight.namespace, key, Some(&look.view.key.name));
        let own = record.and_then(|record| record.ceiling);
        (world.autoscalers.group(&sight.namespace, &key.to_string()), own)
    };
    if let Some(scaler) = scalers.iter().max_by_key(|scaler| scaler.max_replicas) {
        let (most, name) = (scaler.max_replicas, &scaler.name);
        return Some(format!("the ceiling is maxReplicas {most} of HorizontalPodAutoscaler/{name}"));
    }
    let entry = spec::settings(&look.budget.spec, key).max_replicas;
    let stated = entry.map(|most| format!("the ceiling is maxReplicas {most} of the budget"));
    stated.or_else(|| own.map(|most| format!("room is kept for {} of its next run", count(most, "pod"))))
}

/// What a rollout of a workload does, as far as its pods allow.
pub(super) fn rollout(demand: &Demand, share: &Share) -> String {
    let Share { surge, unavailable, .. } = *share;
    match demand.strategy {
        _ if demand.replicas == Pods::ZERO => "there is no pod to replace".to_owned(),
        Strategy::Task => "its pods end when their work is done".to_owned(),
        Strategy::Loose => "nothing replaces its pods".to_owned(),
        Strategy::OnDelete | Strategy::StatefulSet { max_unavailable: None, .. } => {
            "when you delete a pod, its replacement takes its room".to_owned()
        }
        Strategy::Recreate => "all its pods terminate first; their replacements take their room".to_owned(),
        Strategy::Twice => {
            "a second set of pods becomes ready before the first terminates, and slots are kept for both"
                .to_owned()
        }
        Strategy::RollingUpdate { .. } | Strategy::DaemonSet { .. } | Strategy::StatefulSet { .. } => {
            step_by_step(share.rho, surge, unavailable)
        }
    }
}

fn step_by_step(rho: Pods, surge: Pods, unavailable: Pods) -> String {
    if rho > Pods::ZERO {
        return "one surge pod starts first, in a slot that is kept for it; then pods are replaced one by one".to_owned();
    }
    let beside = if surge > Pods::ZERO {
        format!("; up to {surge} more start while slots are free")
    } else {
        String::new()
    };
    let missing = count(unavailable.get(), "pod");
    format!("up to {missing} may be unavailable, and each leaves its room to its replacement{beside}")
}
