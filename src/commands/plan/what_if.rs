//! What if: changes of the manifests that the user wants tried.
//!
//! In: flags. Out: the same objects as if they had been written so. An unknown name is an error that lists the known
//! ones.

use std::ops::RangeInclusive;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::limit_from::Found;
use crate::api::{DbConnectionBudgetSpec, names};
use crate::cluster::reading::Source;
use crate::commands::explain;
use crate::commands::input::{Object, Workload};

/// Changes to try.
#[derive(Args, Clone, Debug, Default)]
pub struct WhatIf {
    /// Plan with this number of replicas; may be repeated
    #[arg(long, value_name = "[KIND/]NAME=N", help_heading = "What if", value_parser = replicas)]
    replicas: Vec<Change<u32>>,
    /// Plan with this number of processes in each pod; may be repeated
    #[arg(long, value_name = "[KIND/]NAME=N", help_heading = "What if", value_parser = processes)]
    processes: Vec<Change<u32>>,
    /// Plan as if the workload had the label of this budget; may be repeated
    #[arg(long, value_name = "[KIND/]NAME=BUDGET", help_heading = "What if", value_parser = label)]
    label: Vec<Change<String>>,
    /// Plan with this limit; if there are several budgets, name one
    #[arg(long, value_name = "[BUDGET=]N", help_heading = "What if")]
    limit: Vec<Limit>,
}

/// The range of values that admission allows for the annotation, and the resource's schema for
/// `spec.limit.connections`.
const MOST_PROCESSES: u32 = 1000;
const MOST_CONNECTIONS: u32 = 1_000_000;

/// A value for the named object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change<T> {
    name: String,
    value: T,
}

/// A change; `read` parses its value.
fn change<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Change<T>, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE, such as api=8")?;
    Ok(Change { name: name.into(), value: read(value)? })
}

/// A whole number within the bounds of the API.
fn number(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, String> {
    let wrong = || format!("write a whole number from {} to {}", bounds.start(), bounds.end());
    text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(wrong)
}

fn replicas(text: &str) -> Result<Change<u32>, String> {
    change(text, |value| number(value, 0..=i32::MAX.unsigned_abs()))
}

fn processes(text: &str) -> Result<Change<u32>, String> {
    change(text, |value| number(value, 1..=MOST_PROCESSES))
}

fn label(text: &str) -> Result<Change<String>, String> {
    change(text, |value| {
        let wrong = || "write the name of a budget".to_owned();
        Some(value.to_owned()).filter(|value| !value.is_empty()).ok_or_else(wrong)
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    budget: Option<String>,
    connections: u32,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (budget, number) = match text.split_once('=') {
            Some((budget, number)) => (Some(budget.to_owned()), number),
            None => (None, text),
        };
        let connections = self::number(number, 1..=MOST_CONNECTIONS)?;
        Ok(Self { budget, connections })
    }
}

impl WhatIf {
    /// Changes the objects.
    ///
    /// # Errors
    /// When a name does not exist, or a workload has no such number.
    pub fn apply(&self, objects: &mut [Object]) -> anyhow::Result<()> {
        for Change { name, value } in &self.replicas {
            let change = |object: &mut Object, workload: Workload| {
                let path = workload.replicas.context("a single pod has no replicas")?;
                object.set(path, (*value).into());
                Ok(())
            };
            each_workload(objects, "--replicas", name, change)?;
        }
        for Change { name, value } in &self.processes {
            let change = |object: &mut Object, workload: Workload| {
                note(object, workload, "annotations", names::PROCESSES, &value.to_string());
                Ok(())
            };
            each_workload(objects, "--processes", name, change)?;
        }
        for Change { name, value } in &self.label {
            let change = |object: &mut Object, workload: Workload| {
                note(object, workload, "labels", names::BUDGET, value);
                Ok(())
            };
            each_workload(objects, "--label", name, change)?;
        }
        self.limit.iter().try_for_each(|limit| set_limit(objects, limit))
    }
}

/// Writes a label or annotation where it counts: admission would copy the workload's own over the template's, and a
/// Job's over both.
fn note(object: &mut Object, workload: Workload, map: &str, key: &str, value: &str) {
    object.set_in_template(workload, &["metadata", map, key], value.into());
    object.set(&["metadata", map, key], value.into());
    object.set_in_job(&["metadata", map, key], value);
}

fn each_workload(
    objects: &mut [Object],
    flag: &str,
    name: &str,
    mut change: impl FnMut(&mut Object, Workload) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut known = Vec::new();
    let mut found = false;
    for object in objects {
        let Some(workload) = object.workload() else { continue };
        if is_called(object, name) {
            change(object, workload).with_context(|| format!("{flag} {name}"))?;
            found = true;
        }
        known.push(object.key());
    }
    if !found {
        bail!("{flag} {name}: there is no such workload; {}", list(known));
    }
    Ok(())
}

/// Whether the user means this object by `[KIND/]NAME`.
fn is_called(object: &Object, name: &str) -> bool {
    match name.split_once('/') {
        Some((kind, name)) => {
            let kind = kind.to_lowercase();
            let meant = explain::kind_named(&kind).map(|meant| meant.to_string());
            object.name() == name
                && (meant.as_deref() == Some(object.kind()) || object.kind().to_lowercase() == kind)
        }
        None => object.name() == name,
    }
}

fn set_limit(objects: &mut [Object], limit: &Limit) -> anyhow::Result<()> {
    let n = limit.connections;
    let name = limit.budget.as_deref();
    for budget in chosen(objects, name, "--limit", &n.to_string())? {
        budget.set(&["spec", "limit"], json!({ "connections": n }));
    }
    Ok(())
}

/// Where the budget that a limit is read for reads it itself; none if it states it.
pub(super) fn reads_from(objects: &mut [Object], name: Option<&str>) -> anyhow::Result<Option<Source>> {
    let budgets = chosen(objects, name, "--limit-from", "env:NAME")?;
    Ok(budgets.iter().find_map(|budget| source_of(budget)))
}

fn source_of(budget: &Object) -> Option<Source> {
    let spec: DbConnectionBudgetSpec = serde_json::from_value(budget.value.get("spec")?.clone()).ok()?;
    Source::of(&spec).map(|(source, _)| source)
}

/// Sets a limit that was read. Returns the budgets that have it, each with where it comes from.
pub(super) fn set_found(objects: &mut [Object], found: &Found) -> anyhow::Result<Vec<(String, String)>> {
    let mut told = Vec::new();
    for budget in chosen(objects, found.budget.as_deref(), "--limit-from", "env:NAME")? {
        let takes = source_of(budget).map_or(0, |source| u32::try_from(source.takes().get()).unwrap_or(0));
        let connections = found.allowed.connections - takes.min(found.allowed.connections.saturating_sub(1));
        let reader = if takes > 0 { " − 1 for poolbudget to read with" } else { "" };
        let source = format!("read from {}: {}{reader}", found.from, found.allowed.source);
        budget.set(&["spec", "limit"], json!({ "connections": connections }));
        told.push((budget.name().to_owned(), source));
    }
    Ok(told)
}

/// The budgets that a flag is about: the named one, or the only one.
fn chosen<'a>(
    objects: &'a mut [Object],
    name: Option<&str>,
    flag: &str,
    value: &str,
) -> anyhow::Result<Vec<&'a mut Object>> {
    let mut budgets: Vec<&mut Object> =
        objects.iter_mut().filter(|object| object.kind() == "DbConnectionBudget").collect();
    let known: Vec<String> = budgets.iter().map(|budget| budget.name().to_owned()).collect();
    match name {
        Some(name) => budgets.retain(|budget| budget.name() == name),
        None if budgets.len() > 1 => {
            bail!("{flag} {value}: name the budget, as in {flag} NAME={value}; {}", list(known))
        }
        None => {}
    }
    if budgets.is_empty() {
        let name = name.map_or_else(String::new, |name| format!("{name}="));
        bail!("{flag} {name}{value}: there is no such budget; {}", list(known));
    }
    Ok(budgets)
}

fn list(mut known: Vec<String>) -> String {
    known.sort();
    known.dedup();
    if known.is_empty() {
        "the input has none".into()
    } else {
        format!("the input has: {}", known.join(", "))
    }
}
