//! The plan of each budget, and errors in the input.
//!
//! In: the objects. Out: the [`Outcome`]. Each budget goes through the steps of a reconcile: limit, scene, decision.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::jiff::Timestamp;

use super::advice;
use super::outcome::{BudgetOutcome, Outcome, WorkloadOutcome};
use super::stage::Stage;
use crate::api::BudgetKey;
use crate::api::{DbConnectionBudget, DbConnectionBudgetSpec, DbConnectionBudgetStatus, WorkloadKind, names};
use crate::budget::amount::{Connections, Pods};
use crate::budget::assessment::Assessment;
use crate::budget::decide::decide;
use crate::budget::limit::Limit;
use crate::budget::plan::{Feasibility, Share};
use crate::budget::split::Split;
use crate::cluster::reading;
use crate::cluster::scene::WorkloadFacts;
use crate::cluster::world::World;
use crate::commands::input::Object;
use crate::controller::view::{Assessed, View};

/// Judges all budgets.
pub fn judge(mut stage: Stage) -> Outcome {
    let observed = stage.observe();
    let there: Vec<&Object> = stage.objects.iter().chain(&stage.faulty).collect();
    let world = observed.world();
    let mut outcome = Outcome { passed_over: stage.passed_over, ..Outcome::default() };
    let mut budgets: Vec<_> = world.budgets.iter().collect();
    budgets.sort_by_key(|budget| key_of(budget));
    for budget in budgets {
        let key = key_of(budget);
        match view(&world, &key, &budget.spec) {
            Ok((mut limit, view)) => {
                if let Some((_, source)) = stage.limits.iter().find(|(name, _)| *name == key.name) {
                    limit.source.clone_from(source);
                }
                outcome.problems.extend(faults(&view));
                outcome.problems.extend(unknown_numbers(&view));
                outcome.warnings.extend(notes(&view));
                outcome.warnings.extend(without_workload(budget, &view, &there));
                outcome.budgets.push(of_budget(&world, budget, limit, &view));
            }
            Err(why) => {
                outcome.problems.push(format!("DbConnectionBudget {key}: {why}{}", cure(&budget.spec)));
            }
        }
    }
    outcome.problems.extend(homeless(&there));
    outcome.warnings.extend(stage.warnings);
    outcome.warnings.extend(unlabelled(&world, &stage.objects));
    outcome.warnings.extend(without_target(&stage.objects, &there));
    outcome.problems.splice(0..0, stage.problems);
    outcome.warnings.extend(repeated(&stage.objects));
    if world.budgets.is_empty() && outcome.problems.is_empty() {
        outcome
            .problems
            .push("there is no DbConnectionBudget in the input: pass its file too, with another -f".into());
    }
    if !outcome.problems.is_empty() {
        outcome.budgets.iter_mut().for_each(unjudged);
    }
    outcome.problems.extend(nobody_labelled(&outcome, stage.made.as_ref()));
    outcome.fits = outcome.problems.is_empty() && outcome.budgets.iter().all(|budget| budget.fits);
    outcome
}

/// With errors in the input, nothing is said to fit, because the error may hide what does not. What does not fit
/// without that part does not fit with it.
fn unjudged(budget: &mut BudgetOutcome) {
    if budget.fits {
        (budget.judged, budget.fits, budget.fits_now) = (false, false, false);
        budget.verdict = "the input has errors, so poolbudget cannot tell whether it fits".to_owned();
    }
}

/// Says that there is nothing to plan, so that it does not look like a yes.
fn nobody_labelled(outcome: &Outcome, made: Option<&(String, String)>) -> Option<String> {
    let budget = outcome.budgets.first().filter(|_| outcome.problems.is_empty())?;
    let nobody = outcome.budgets.iter().all(|budget| budget.workloads.is_empty());
    let told = |(object, owner): &(String, String)| {
        format!(
            "{object} has the label of a budget, but {owner} created it: pass the manifest of {owner} instead"
        )
    };
    nobody.then(|| {
        if let Some(made) = made {
            return told(made);
        }
        format!(
            "no workload in the input has the label of a budget, so there is nothing to plan: add the label {}: {name} to one, \
             or try it with --label NAME={name}",
            names::BUDGET,
            name = budget.name
        )
    })
}

/// What to do about a limit that only a running operator reads.
fn cure(spec: &DbConnectionBudgetSpec) -> &'static str {
    match reading::Source::of(spec) {
        Some((_, reading::Use::Limit)) => {
            "; plan reads no Secret: state the limit with --limit, or read it with --limit-from env:NAME"
        }
        _ => "",
    }
}

fn key_of(budget: &DbConnectionBudget) -> BudgetKey {
    let meta = &budget.metadata;
    BudgetKey::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The budget as the operator would see it before its first pod, when time can change nothing.
///
/// # Errors
/// When the operator would not compute any sizes.
pub(super) fn view(
    world: &World,
    key: &BudgetKey,
    spec: &DbConnectionBudgetSpec,
) -> Result<(Limit, View), String> {
    let status = DbConnectionBudgetStatus::default();
    let mut view = View::of(world, key, spec, None, &status, decide, Timestamp::UNIX_EPOCH);
    match (view.refusal.take(), view.limit.take()) {
        (None, Some(limit)) => Ok((limit, view)),
        (why, _) => Err(why.unwrap_or_default()),
    }
}

fn of_budget(world: &World, budget: &DbConnectionBudget, limit: Limit, view: &View) -> BudgetOutcome {
    let (key, plan) = (&view.key, &view.decision.plan);
    let (fits, fits_now, needed) = match &plan.feasibility {
        Feasibility::Feasible { planned, .. } => (true, true, *planned),
        Feasibility::Infeasible(shortfall) => (false, shortfall.fits_now(), shortfall.needed),
    };
    let workloads: Vec<WorkloadOutcome> = view
        .workloads()
        .map(|Assessed { facts: labelled, of: core, assessment: Assessment { share, .. }, .. }| {
            let surge = core.demand.strategy.slots(core.demand.peak(), view.scene.situation.surge);
            let split = Split::of(share.size, budget.spec.sizing.overflow_ratio, labelled.knobs);
            WorkloadOutcome {
                kind: labelled.key.kind,
                name: labelled.key.name.clone(),
                replicas: core.demand.replicas.get(),
                ceiling: core.demand.peak().get(),
                slots: share.slots.get(),
                slots_needed: surge.get(),
                processes: core.demand.processes,
                processes_from: labelled.processes_from(core.demand.processes).to_owned(),
                engines: core.demand.engines,
                least: core.demand.floor().get(),
                least_from: core.demand.needed_by.clone(),
                pool_size: split.pool_size.get(),
                max_overflow: split.max_overflow.get(),
                beside: labelled.knobs.unsaid().get(),
                per_pod: share.bill.get(),
                holds: share.bill.times(share.slots).get(),
            }
        })
        .collect();
    let unbound = view.workloads().map(|one| unbound(view, one.facts, &one.assessment.share));
    BudgetOutcome {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        limit: limit.connections.get(),
        limit_source: limit.source,
        reserved: u64::from(budget.spec.reserved),
        usable: view.decision.usable.get(),
        needed: needed.get(),
        judged: true,
        fits,
        fits_now,
        verdict: plan.feasibility.to_string(),
        workloads,
        advice: advice::advice(world, &budget.spec, view),
        without_poolbudget: Some(unbound.sum::<Connections>())
            .filter(|sum| *sum < Connections::MAX)
            .map(Connections::get),
    }
}

/// What the pods of a workload may open by their own env during a rollout.
fn unbound(view: &View, workload: &WorkloadFacts, share: &Share) -> Connections {
    if workload.key.kind != WorkloadKind::Pod {
        let record = &workload.record;
        let surge = record.strategy.surge(share.pods);
        return record.template.own.times(share.pods.plus(surge));
    }
    // Pods that no controller replaces.
    let own = view.scene.pods.iter().filter(|pod| pod.maker() == workload.key).map(|pod| pod.app.own);
    own.sum()
}

/// Workloads with invalid statements: the API server would refuse them.
fn faults(view: &View) -> Vec<String> {
    let told = |w: &WorkloadFacts| {
        Some(format!("{} {}/{}: {}", w.key.kind, view.key.namespace, w.key.name, w.fault.as_ref()?))
    };
    view.scene.workloads.iter().filter_map(told).collect()
}

/// What the operator would note about workloads.
fn notes(view: &View) -> Vec<String> {
    let (workloads, namespace) = (view.scene.workloads.iter(), &view.key.namespace);
    let told = |w: &'_ WorkloadFacts| -> Vec<String> {
        w.notes().map(|note| format!("{} {namespace}/{}: {note}", w.key.kind, w.key.name)).collect()
    };
    workloads.flat_map(told).collect()
}

/// Workloads whose manifests do not say how many pods they have.
fn unknown_numbers(view: &View) -> Vec<String> {
    let unknown = view.workloads().filter(|one| {
        one.facts.key.kind == WorkloadKind::DaemonSet && one.assessment.share.pods == Pods::ZERO
    });
    let told = |Assessed { facts: w, .. }: Assessed<'_>| {
        format!(
            "{} {}/{} has a pod on each node, and manifests do not say how many nodes there are: set the number with --replicas \
             {}=N, or with maxReplicas in the budget's entry for it",
            w.key.kind, view.key.namespace, w.key.name, w.key
        )
    };
    unknown.map(told).collect()
}

/// Workloads whose budget is not in the input: poolbudget cannot judge them, and that must not look like a yes.
fn homeless(objects: &[&Object]) -> Vec<String> {
    let budgets: BTreeSet<BudgetKey> = objects
        .iter()
        .filter(|object| object.kind() == "DbConnectionBudget")
        .map(|budget| BudgetKey::new(budget.namespace(), budget.name()))
        .collect();
    let told = |object: &&Object| {
        // The empty label is reported elsewhere.
        let label = label(object).filter(|label| !label.is_empty())?;
        let key = BudgetKey::new(object.namespace(), label);
        if budgets.contains(&key) {
            return None;
        }
        let elsewhere = budgets.iter().find(|budget| budget.name == label);
        let hint = match elsewhere {
            Some(other) => format!(
                "there is one in the namespace {}, but a budget applies only to its own namespace",
                other.namespace
            ),
            None => "pass its file too, with another -f".into(),
        };
        Some(format!(
            "{} has the label of the budget {label}, which is not in the input: {hint}",
            object.full_name(),
        ))
    };
    objects.iter().filter_map(told).collect()
}

/// The budget whose label a workload's pods would have. The mirror has run, so the template has what counts.
fn label(object: &Object) -> Option<&str> {
    object.budget(object.workload()?)
}

/// Workloads that a budget has an entry for, but that do not have its label.
fn unlabelled(world: &World, objects: &[Object]) -> Vec<String> {
    let told = |object: &Object| {
        let workload = object.workload().filter(|_| label(object).is_none())?;
        let lists = |budget: &&std::sync::Arc<DbConnectionBudget>| {
            let entries = &budget.spec.workloads;
            budget.metadata.namespace.as_deref() == Some(object.namespace())
                && entries.iter().any(|entry| entry.kind == workload.kind && entry.name == object.name())
        };
        let budget = world.budgets.iter().filter(lists).map(|budget| key_of(budget)).min()?;
        Some(format!(
            "{} is listed in the budget {name} but does not have its label, so it is not counted: add the label {}: {name}",
            object.full_name(),
            names::BUDGET,
            name = budget.name,
        ))
    };
    objects.iter().filter_map(told).collect()
}

fn is_there(objects: &[&Object], namespace: &str, kind: &str, name: &str) -> bool {
    objects.iter().any(|object| (object.namespace(), object.kind(), object.name()) == (namespace, kind, name))
}

/// Entries of a budget for workloads that are not in the input; a group of pods in the input counts as a workload.
fn without_workload(budget: &DbConnectionBudget, view: &View, objects: &[&Object]) -> Vec<String> {
    let key = key_of(budget);
    let lost = budget.spec.workloads.iter().filter(|entry| {
        let governed = |w: &WorkloadFacts| w.key.kind == entry.kind && w.key.name == entry.name;
        !view.scene.workloads.iter().any(governed)
            && !is_there(objects, &key.namespace, &entry.kind.to_string(), &entry.name)
    });
    lost.map(|entry| {
        format!(
            "the budget {} has an entry for {}/{}, which is not in the input: check its kind and name",
            key.name, entry.kind, entry.name
        )
    })
    .collect()
}

/// Autoscalers of workloads that are not in the input.
fn without_target(objects: &[Object], there: &[&Object]) -> Vec<String> {
    let told = |scaler: &Object| {
        let text = |path: &str| scaler.value.pointer(path).and_then(serde_json::Value::as_str);
        let (kind, name) = (text("/spec/scaleTargetRef/kind")?, text("/spec/scaleTargetRef/name")?);
        let lost = !is_there(there, scaler.namespace(), kind, name);
        lost.then(|| {
            format!(
                "{} scales {kind}/{name}, which is not in the input, so it sets no ceiling here",
                scaler.full_name()
            )
        })
    };
    objects.iter().filter(|object| object.kind() == "HorizontalPodAutoscaler").filter_map(told).collect()
}

/// Objects that are in the input more than once: as with apply, the last one counts.
fn repeated(objects: &[Object]) -> Vec<String> {
    let mut seen: HashMap<(String, &str), &Object> = HashMap::new();
    let mut told = Vec::new();
    for object in objects {
        if let Some(before) = seen.insert((object.key(), object.namespace()), object) {
            told.push(format!(
                "{} is in the input more than once, and the last one counts: {}; {}",
                object.full_name(),
                before.place,
                object.place
            ));
        }
    }
    told
}
