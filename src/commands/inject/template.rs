//! One workload: from its label to the pod template that admission would make of its pods.
//!
//! In: an object. Out: the same object with a changed template. The Rust twins of the policies say what a pod gets, so
//! the two can never differ.

use serde_json::Value;

use super::notes;
use crate::admission::request::{Outcome, Request, Resource, mutate, validate};
use crate::api::names;
use crate::cluster::pod::PodView;
use crate::cluster::template::AppFacts;
use crate::commands::input::{Loans, Object};

/// What was done to an object.
#[derive(Debug, Default)]
pub struct Injected {
    /// Whether it has the label of a budget, even if another object describes its pods.
    pub labelled: bool,
    /// What the user should know.
    pub notes: Vec<String>,
    /// The path of its pod template, if that was changed.
    pub template: Option<&'static [&'static str]>,
}

/// Changes the template of a workload that has a budget's label, or that `budget` labels; also of an object whose
/// template such a workload takes.
///
/// # Errors
/// When admission would refuse its pods, or could not gate them.
pub fn inject(object: &mut Object, budget: Option<&str>, loans: &Loans) -> Result<Injected, String> {
    if let Some(owner) = object.owner() {
        return Ok(left_alone(object, &owner));
    }
    if let Some(why) = object.fault() {
        return Err(format!("{}: {why}", object.key()));
    }
    if let Some(lender) = object.borrows() {
        // Its template is changed in the object that has it.
        let missing = lender.missing("inject its file too");
        let notes = (!loans.has(&lender)).then(|| format!("{} {missing}", object.key()));
        let notes = notes.into_iter().collect();
        return Ok(Injected { labelled: object.is_labelled(), notes, template: None });
    }
    let borrowers = loans.of_lender(&object.as_lender());
    let lent = object.lends().filter(|_| !borrowers.is_empty());
    if let Some(why) = object.unserved().filter(|_| lent.is_none()) {
        return Err(why);
    }
    let Some(workload) = object.workload().or(lent) else {
        return Ok(Injected::default());
    };
    let mut changed = object.clone();
    if object.workload().is_some() {
        changed.mirror(workload);
    }
    loans.fill(&mut changed, workload);
    if let Some(budget) = budget.filter(|_| changed.budget(workload).is_none()) {
        changed.set_in_template(workload, &["metadata", "labels", names::BUDGET], budget.into());
        // Now that it is labelled, its own labels and annotations count.
        changed.mirror(workload);
    }
    if let Some(why) = changed.refusal(workload) {
        return Err(format!("{}: {why}", object.key()));
    }
    if changed.budget(workload).is_none() {
        return Ok(Injected::default());
    }
    let template = changed.template(workload).cloned().unwrap_or_default();
    let pod = gated(template).map_err(|why| format!("{}: {why}", object.key()))?;
    let told = notes::told(object.template(workload), &pod).into_iter().chain(overruled(&pod));
    let mut notes: Vec<String> = told.map(|what| format!("{}: {what}", object.key())).collect();
    notes.extend(object.remarks().iter().map(|what| format!("{}: {what}", object.key())));
    if workload.template.is_empty() {
        changed.value = pod;
    } else {
        changed.set(workload.template, pod);
    }
    *object = changed;
    let lent = borrowers.iter().map(|borrower| {
        format!(
            "{}: its pods are created from the template of {}, so label, gate and env are written there",
            borrower.key,
            object.key()
        )
    });
    notes.extend(lent);
    Ok(Injected { labelled: true, notes, template: Some(workload.template) })
}

/// An object that another object made, and makes again from its own template.
fn left_alone(object: &Object, owner: &str) -> Injected {
    let labelled = object.is_labelled();
    let note = format!(
        "{} was created by {owner} and is left alone: inject the manifest of {owner} instead",
        object.key()
    );
    let notes = Some(note).filter(|_| labelled).into_iter().collect();
    Injected { labelled, notes, template: None }
}

/// Why admission would refuse the pods of a template.
pub fn refusal(template: &Value) -> Option<String> {
    gated(template.clone()).err()
}

/// The pod that a template describes, as admission would create it.
fn gated(mut pod: Value) -> Result<Value, String> {
    if !pod.get("spec").is_some_and(Value::is_object) {
        return Err("its pod template has no spec".to_owned());
    }
    if let Outcome::Patch(changes) = mutate(&creation(&pod)) {
        json_patch::patch(&mut pod, &changes)
            .map_err(|_| "the API server would refuse its pod template".to_owned())?;
    }
    match validate(&creation(&pod)) {
        Outcome::Refuse(refusal) => Err(refusal.sentence),
        Outcome::Pass | Outcome::Patch(_) => Ok(pod),
    }
}

fn creation(pod: &Value) -> Request {
    Request {
        resource: Resource { group: String::new(), version: "v1".into(), resource: "pods".into() },
        operation: "CREATE".into(),
        object: Some(pod.clone()),
        ..Request::default()
    }
}

/// What keeps the granted size from reaching the app, in a sentence. Its pods are gated, and wait.
fn overruled(pod: &Value) -> Option<String> {
    let PodView { metadata, spec, .. } = serde_json::from_value(pod.clone()).ok()?;
    AppFacts::read(&metadata.labels, &metadata.annotations, &spec.init_containers, &spec.containers).overruled
}
