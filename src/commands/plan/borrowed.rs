//! Templates that are taken from another object of the input.
//!
//! In: the objects of a plan. Out: the same, each workload with a template of its own; templates that a controller
//! would not find, and statements that would have no effect in a cluster.

use serde_json::json;

use super::stage::Stage;
use crate::api::names;
use crate::commands::input::{Lender, Loans, Object};

impl Stage {
    /// Gives each workload that takes the template of another object that template.
    pub(super) fn lend(&mut self) {
        let loans = Loans::of(&self.objects);
        let templates = std::mem::take(&mut self.templates);
        let (lent, unused): (Vec<Object>, Vec<Object>) =
            templates.into_iter().partition(|template| !loans.of_lender(&template.as_lender()).is_empty());
        let unserved =
            unused.iter().filter_map(|object| Some(format!("{}: {}", object.place, object.unserved()?)));
        self.problems.extend(unserved);
        self.passed_over = self.passed_over.saturating_sub(lent.len());
        let mut lenders = lent;
        for object in &mut self.objects {
            let is_lent = !loans.of_lender(&object.as_lender()).is_empty();
            let Some(workload) = object.lends().filter(|_| is_lent) else { continue };
            object.mirror(workload);
            lenders.push(object.clone());
            loans.fill(object, workload);
        }
        for lender in &mut lenders {
            let Some(workload) = lender.lends() else { continue };
            self.warnings.extend(without_effect(lender, &loans));
            loans.fill(lender, workload);
        }
        let found = |borrower: &Object| {
            let wanted = borrower.borrows()?;
            let lender = lenders.iter().rev().find(|lender| lender.as_lender() == wanted)?;
            lender.template(lender.lends()?).cloned()
        };
        for object in &mut self.objects {
            let Some(lender) = object.borrows() else { continue };
            let template = found(object);
            if template.is_none() {
                let told = format!(
                    "{} {}",
                    object.full_name(),
                    lender.missing("pass its file too, with another -f")
                );
                let labelled =
                    object.value.pointer("/metadata/labels").and_then(|labels| labels.get(names::BUDGET));
                let list = if labelled.is_some() { &mut self.problems } else { &mut self.warnings };
                list.push(told);
            }
            object.take_template(template.unwrap_or_else(|| json!({})));
        }
        self.warnings.extend(self.objects.iter().filter_map(|object| scales_a_lender(object, &loans)));
    }
}

/// An autoscaler that scales the lender of a template, and not the workload that makes pods from it.
fn scales_a_lender(scaler: &Object, loans: &Loans) -> Option<String> {
    if scaler.kind() != "HorizontalPodAutoscaler" {
        return None;
    }
    let target = Lender::named(scaler.namespace(), scaler.value.pointer("/spec/scaleTargetRef")?);
    let borrower = loans.of_lender(&target).first()?;
    Some(format!(
        "{0} scales {1}, but {2} creates the pods from the template of {1}: set its scaleTargetRef to {2}",
        scaler.full_name(),
        target.key(),
        borrower.key
    ))
}

/// Labels and annotations of the borrowers of a template that are missing in the template, where they would count.
fn without_effect(lender: &Object, loans: &Loans) -> Vec<String> {
    let Some(template) = lender.lends().and_then(|workload| lender.template(workload)) else {
        return Vec::new();
    };
    let borrowers = loans.of_lender(&lender.as_lender()).iter().filter(|borrower| !borrower.agrees(template));
    let told = borrowers.map(|borrower| {
        let (kind, name) = borrower.key.split_once('/').unwrap_or_default();
        format!(
            "{kind} {}/{name}: its pods are created from the template of {}, so set the label {} and poolbudget's annotations \
             there",
            lender.namespace(),
            lender.key(),
            names::BUDGET
        )
    });
    told.collect()
}
