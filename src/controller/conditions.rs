//! The conditions of a budget: what holds, why, and with which arithmetic.
//!
//! In: a view. Out: one [`Finding`] per condition type, each with a sentence for people.

use k8s_openapi::jiff::Timestamp;

use super::memory::Hindrances;
use super::view::{Assessed, View};
use super::wait::{NAMED, StillHeld, connections, listed, pods};
use super::{confirm, evidence, quarantine, retire, summary};
use crate::api::conditions::{ConditionReason as Reason, ConditionType, Finding, Status};
use crate::api::{DbConnectionBudget, EvictionPolicy, Mode};
use crate::budget::amount::{Connections, Pods};
use crate::budget::assessment::Assessment;
use crate::budget::decide::Decision;
use crate::budget::grant::Refusal;
use crate::budget::ledger::Hold;
use crate::budget::plan::Feasibility;
use crate::budget::reclaim::DEADLINE;
use crate::budget::rollout::Nature;
use crate::cluster::template::shortened;

/// A pod of the newest revision counts as bad if it is not ready this many seconds after it could start.
const BAD_AFTER: u64 = 60;

/// The most characters that are quoted from the API server.
const QUOTED: usize = 400;

/// All conditions, in a fixed order.
#[must_use]
pub fn findings(
    view: &View,
    budget: &DbConnectionBudget,
    hindrances: Hindrances<'_>,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = vec![
        accepted(view),
        feasible(view),
        settled(view),
        blocked(view, budget, hindrances, now),
        foreign_pods(view),
    ];
    findings.push(evidence::finding(view, &budget.spec));
    findings.extend(within_limit(view));
    findings.extend(confirm::outside_clients(view, &budget.spec));
    findings.push(confirm::limit_confirmed(view, &budget.spec));
    let mut all = summary::of(&findings, view.decision.high_water.is_some());
    all.append(&mut findings);
    all
}

/// Whether the sum is within the limit now; only for modes that do not enforce it.
fn within_limit(view: &View) -> Option<Finding> {
    let promise = match view.mode {
        Mode::Gate => return None,
        Mode::Observe => "mode Observe evicts no pod and changes no size",
    };
    if view.refusal.is_some() {
        return None;
    }
    let fresh: Connections = view.decision.grants.granted.iter().map(|grant| grant.bill).sum();
    let before_label: Connections = view.workloads().map(|one| one.of.unadopted.connections).sum();
    let held = view.decision.ledger.committed.plus(fresh).plus(before_label);
    let usable = view.decision.usable;
    let (holds, reason) =
        if held <= usable { (true, Reason::WithinLimit) } else { (false, Reason::OverLimit) };
    let message = format!("the pods may hold {}, and {usable} are usable; {promise}", connections(held));
    Some(Finding::new(ConditionType::WithinLimit, holds, reason, message))
}

fn accepted(view: &View) -> Finding {
    let finding =
        |holds: bool, reason, message: String| Finding::new(ConditionType::Accepted, holds, reason, message);
    if let Some(why) = &view.refusal {
        if view.unread {
            let status = confirm::unread(view.reading.as_ref());
            return Finding::new(ConditionType::Accepted, status, Reason::LimitNotRead, why.clone());
        }
        return finding(false, Reason::InvalidLimit, why.clone());
    }
    let workloads = view.scene.workloads.iter();
    let mut faults: Vec<String> =
        workloads.filter_map(|w| w.fault.as_ref().map(|why| format!("{}: {why}", w.key))).collect();
    let workloads = view.scene.workloads.iter();
    faults.extend(workloads.filter_map(|w| w.passes().map(|why| format!("{} {why}", w.key))));
    faults.extend(unknown_pods(view));
    if faults.is_empty() {
        let notes = view
            .scene
            .workloads
            .iter()
            .flat_map(|w| w.notes().map(move |note| format!("; {}: {note}", w.key)));
        let message = "spec and workloads accepted".to_owned();
        return finding(
            true,
            Reason::Accepted,
            notes.take(NAMED).fold(message, |message, note| message + &note),
        );
    }
    finding(false, Reason::Unsupported, listed(faults))
}

/// Running pods whose connections cannot be counted: they take all that is usable.
fn unknown_pods(view: &View) -> impl Iterator<Item = String> {
    let running = view.scene.pods.iter().filter(|pod| !pod.gated);
    running.filter_map(|pod| {
        pod.app.instances.as_ref().err().map(|why| format!("Pod/{} is running, but {why}", pod.name))
    })
}

fn feasible(view: &View) -> Finding {
    // Escaped pods lower what is granted now; whether everything fits depends on limit and demand.
    let plan = &view.decision.rightful;
    let (holds, reason) = match &plan.feasibility {
        Feasibility::Feasible { .. } => (true, Reason::Fits),
        Feasibility::Infeasible(_) if !plan.scarce => (false, Reason::NeverFits),
        Feasibility::Infeasible(shortfall) if shortfall.fits_now() => (false, Reason::CeilingDoesNotFit),
        Feasibility::Infeasible(_) => (false, Reason::DoesNotFit),
    };
    if view.refusal.is_some() {
        let message = "unknown, because the budget is not accepted";
        return Finding::new(ConditionType::Feasible, Status::Unknown, Reason::NotAccepted, message);
    }
    let message = match &plan.feasibility {
        Feasibility::Infeasible(shortfall) if shortfall.fits_now() => {
            format!("fits now, but not at the ceiling: {shortfall}")
        }
        feasibility => feasibility.to_string(),
    };
    Finding::new(ConditionType::Feasible, holds, reason, message)
}

fn settled(view: &View) -> Finding {
    let finding =
        |holds: bool, reason, message: String| Finding::new(ConditionType::Settled, holds, reason, message);
    let decision = &view.decision;
    let waiting = decision.grants.refused.len().saturating_add(view.later);
    if waiting > 0 {
        return waits(view, waiting);
    }
    if decision.ledger.escaped > Connections::ZERO {
        let message = "some pods run without a grant; see condition ForeignPods".into();
        return finding(false, Reason::ForeignPods, message);
    }
    let moving: Vec<String> =
        view.workloads().filter(is_moving).map(|workload| workload.facts.key.to_string()).collect();
    if !moving.is_empty() {
        let message = format!("waiting for pods of {} to become ready", listed(moving));
        return finding(false, Reason::Progressing, message);
    }
    if decision.ledger.draining > Connections::ZERO {
        return finding(false, Reason::Draining, format!("{} connections", StillHeld::by_pods_of(view)));
    }
    finding(
        true,
        Reason::Settled,
        "all pods are granted, ready and of the newest revision; no pod waits".into(),
    )
}

/// Whether something that a workload wants is not yet granted, current or ready, also between two steps of its rollout.
fn is_moving(workload: &Assessed<'_>) -> bool {
    let Assessed { of, assessment: Assessment { standing, baseline, .. }, .. } = workload;
    let complete = standing.whole && standing.admitted == of.demand.replicas && of.observed;
    *baseline != of.demand.replicas || of.unadopted.pods > Pods::ZERO || !complete
}

/// Why pods wait: the most telling reason that applies.
fn waits(view: &View, waiting: usize) -> Finding {
    let decision = &view.decision;
    let no_room =
        decision.grants.refused.iter().any(|(_, refusal)| matches!(refusal, Refusal::NoRoom { .. }));
    let no_slot = has_no_slot(view);
    let infeasible = matches!(decision.plan.feasibility, Feasibility::Infeasible(_));
    let (reason, why) = if view.refusal.is_some() {
        (Reason::NotAccepted, "the budget is not accepted".to_owned())
    } else if no_room && decision.reclaim.draining {
        (Reason::Draining, format!("{} connections", StillHeld::by_pods_of(view)))
    } else if no_slot && infeasible {
        (Reason::Infeasible, "not all pods fit; see condition Feasible".to_owned())
    } else if no_room {
        (
            Reason::Reclaiming,
            format!("{} of {} connections are committed", decision.ledger.committed, decision.usable),
        )
    } else if no_slot {
        let whose = if waiting == 1 { "an old pod of its workload" } else { "old pods of their workloads" };
        (Reason::NoSlot, format!("for {whose} to terminate"))
    } else if let Some(why) = held_elsewhere(view) {
        (Reason::OtherGate, why)
    } else {
        (Reason::Waiting, "see the pods' events".to_owned())
    };
    let pods = if waiting == 1 { "1 pod waits".to_owned() } else { format!("{waiting} pods wait") };
    let joint = if reason == Reason::NoSlot { " " } else { ": " };
    Finding::new(ConditionType::Settled, Status::False, reason, format!("{pods}{joint}{why}"))
}

/// What holds the waiting pods, if every one of them has another scheduling gate.
fn held_elsewhere(view: &View) -> Option<String> {
    let waiting = view.decision.grants.refused.iter();
    let others = waiting.map(|(pod, _)| view.scene.pods.get(*pod)?.other_gates.as_ref());
    let others: Vec<_> = others.collect::<Option<_>>()?;
    match others.as_slice() {
        [] => None,
        [one] => Some(one.to_string()),
        [first, ..] => Some(format!("other scheduling gates hold them, for example {}", first.first)),
    }
}

/// What to report in the previous status when the API server refuses the new one.
#[must_use]
pub fn unwritable(why: &str) -> Vec<Finding> {
    let message = format!(
        "the API server refuses the status, and without it poolbudget grants nothing: {}",
        shortened(why, QUOTED)
    );
    let refused = Finding::new(ConditionType::Blocked, Status::True, Reason::StatusRefused, message);
    let mut all = summary::of(std::slice::from_ref(&refused), false);
    all.push(refused);
    all
}

fn blocked(view: &View, budget: &DbConnectionBudget, hindrances: Hindrances<'_>, now: Timestamp) -> Finding {
    let finding =
        |holds: bool, reason, message: String| Finding::new(ConditionType::Blocked, holds, reason, message);
    if let Some(refused) = hindrances.refused {
        return finding(true, Reason::PodDisruptionBudget, refused.sentence());
    }
    if let Some(message) = quarantine::in_the_way(view, hindrances.quarantine, now) {
        return finding(true, Reason::Quarantine, message);
    }
    let reclaim = &view.decision.reclaim;
    let stuck = reclaim.missing.is_some() && !reclaim.draining && reclaim.candidates.is_empty();
    if stuck && budget.spec.eviction_policy == EvictionPolicy::Forbidden {
        let message =
            "pods hold more than their share, and evictionPolicy is Forbidden: new pods wait until those pods terminate"
                .into();
        return finding(true, Reason::EvictionForbidden, message);
    }
    if let Some(message) = escaped_in_the_way(view) {
        return finding(true, Reason::Escaped, message);
    }
    if let Some(message) = ignoring_in_the_way(view) {
        return finding(true, Reason::MoreThanGranted, message);
    }
    let kept = never_evicted(view);
    let without_slot = reclaim.candidates.is_empty() && has_no_slot(view);
    if (stuck || without_slot) && !kept.is_empty() {
        let message = format!(
            "pods of {} hold more than their share. poolbudget does not evict them, because nothing would redo their \
             work; new pods wait until they end",
            listed(kept)
        );
        return finding(true, Reason::NotReplaced, message);
    }
    if let Some(message) = retire::in_the_way(view) {
        return finding(true, Reason::ForeignPods, message);
    }
    let bad = bad_revisions(view);
    if !bad.is_empty() && view.decision.ledger.committed > view.scene.situation.available {
        let message = format!(
            "new pods of {} do not become Ready. Pods hold {} connections, and the limit allows {}, so the database may have \
             none left. poolbudget evicts the next pod that holds more than its share {DEADLINE} seconds after the last one",
            listed(bad),
            view.decision.ledger.committed,
            view.scene.situation.available,
        );
        return finding(true, Reason::AboveLimit, message);
    }
    if !bad.is_empty() {
        let message = format!(
            "the newest pods of {} do not become Ready; their rollout is stuck, other workloads are not affected",
            listed(bad)
        );
        return finding(true, Reason::BadRevision, message);
    }
    finding(false, Reason::NotBlocked, "nothing other than the limit keeps pods waiting".into())
}

/// The escaped pods, if pods wait because of them and nothing makes room: no granted pod is evicted for them.
fn escaped_in_the_way(view: &View) -> Option<String> {
    let ledger = &view.decision.ledger;
    if ledger.escaped == Connections::ZERO || !waits_for_what_no_grant_gave(view) {
        return None;
    }
    let pods = view.scene.situation.pods.iter();
    let mut escaped: Vec<_> = pods.filter(|pod| matches!(pod.hold, Hold::Escaped(_))).collect();
    escaped.sort_unstable_by(|a, b| b.hold.bill().cmp(&a.hold.bill()).then_with(|| a.name.cmp(&b.name)));
    let names =
        escaped.iter().map(|pod| format!("Pod/{} ({})", pod.name, pod.hold.bill().in_words())).collect();
    Some(format!(
        "pods wait because others run without a grant and may hold {}: {}. Delete those; their replacements are \
         created with the gate",
        connections(ledger.escaped),
        listed(names)
    ))
}

/// The pods that hold more than their grants, if others wait because of them: nobody is evicted for that.
fn ignoring_in_the_way(view: &View) -> Option<String> {
    let ledger = &view.decision.ledger;
    if ledger.excess == Connections::ZERO || !waits_for_what_no_grant_gave(view) {
        return None;
    }
    Some(format!(
        "pods wait because others hold {} more than they were granted: {}",
        connections(ledger.excess),
        listed(evidence::sentences(view))
    ))
}

/// Whether pods wait for what others hold that no grant gave them, and nothing makes room.
fn waits_for_what_no_grant_gave(view: &View) -> bool {
    let Decision { grants, reclaim, plan, rightful, .. } = &view.decision;
    let short = |refusal: &Refusal| match refusal {
        Refusal::NoRoom { .. } => true,
        Refusal::NoSlot => !rightful.scarce && plan.scarce,
        _ => false,
    };
    let waits = grants.refused.iter().any(|(_, refusal)| short(refusal));
    waits && !reclaim.draining && reclaim.candidates.is_empty()
}

/// Whether pods wait because their workload has no free slot.
fn has_no_slot(view: &View) -> bool {
    view.decision.grants.refused.iter().any(|(_, refusal)| *refusal == Refusal::NoSlot)
}

/// Workloads whose pods hold more than their share and are not evicted.
fn never_evicted(view: &View) -> Vec<String> {
    let kept =
        view.workloads().filter(|Assessed { assessment: Assessment { share, standing, .. }, .. }| {
            let fair = share.bill.times(standing.granted);
            share.nature != Nature::Service
                && (standing.escaped > Pods::ZERO || standing.admitted_bills > fair)
        });
    kept.map(|workload| workload.of.demand.name.clone()).collect()
}

/// Workloads whose newest revision has a granted pod that has not become Ready for long.
fn bad_revisions(view: &View) -> Vec<String> {
    let in_vain = view.scene.situation.pods.iter().filter(|pod| pod.starts_in_vain(BAD_AFTER));
    let mut bad: Vec<usize> = in_vain.filter_map(|pod| pod.workload).collect();
    bad.sort_unstable();
    bad.dedup();
    bad.into_iter().filter_map(|w| Some(view.workload(w)?.of.demand.name.clone())).collect()
}

fn foreign_pods(view: &View) -> Finding {
    let mut parts = Vec::new();
    for Assessed { of: w, assessment: Assessment { standing, .. }, .. } in view.workloads() {
        if w.unadopted.connections > Connections::ZERO {
            parts.push(format!(
                "{} of {}, created before it was labelled, may hold {} on top of the budget until its rollout replaces them",
                pods(w.unadopted.pods),
                w.demand.name,
                connections(w.unadopted.connections)
            ));
        }
        if standing.escaped > Pods::ZERO {
            parts.push(format!(
                "{} of {} without a grant may hold {}, which poolbudget subtracts from what is usable",
                pods(standing.escaped),
                w.demand.name,
                connections(standing.escaped_bills)
            ));
        }
    }
    let others: Vec<_> = view
        .scene
        .situation
        .pods
        .iter()
        .filter(|pod| pod.workload.is_none() && matches!(pod.hold, Hold::Escaped(_)))
        .collect();
    if !others.is_empty() {
        let bills: Connections = others.iter().map(|pod| pod.hold.bill()).sum();
        parts.push(format!(
            "{} with the label but without a known workload or a grant may hold {}, which poolbudget subtracts from what is \
             usable",
            pods(Pods::new(u32::try_from(others.len()).unwrap_or(u32::MAX))),
            connections(bills)
        ));
    }
    if parts.is_empty() {
        let message = "every pod that holds connections has a grant";
        return Finding::new(ConditionType::ForeignPods, Status::False, Reason::NoForeignPods, message);
    }
    Finding::new(ConditionType::ForeignPods, Status::True, Reason::RunWithoutGrant, listed(parts))
}
