//! The answer for people.

use std::fmt::Write;

use super::outcome::{BudgetOutcome, Outcome, WorkloadOutcome};
use crate::commands::render::{Bar, Cell, Paint, Table, Tone};
use crate::commands::slots;

/// What is said about a workload whose pods show nothing.
const UNSAID: &str = "unknown: the image's entrypoint decides";
/// The most workloads that one line names.
const NAMED: usize = 10;

/// The whole answer, as text.
pub fn table(outcome: &Outcome, paint: Paint) -> String {
    let mut text: String = outcome.budgets.iter().map(|one| budget(one, paint) + "\n").collect();
    let (n, noun) = (outcome.passed_over, if outcome.passed_over == 1 { "object" } else { "objects" });
    if n > 0 {
        let note = format!("{n} {noun} of other kinds skipped");
        text.push_str(&paint.text(Tone::Dim, &note));
        text.push('\n');
    }
    text
}

fn budget(budget: &BudgetOutcome, paint: Paint) -> String {
    let mut text = String::new();
    let name = paint.text(Tone::Strong, &format!("{}/{}", budget.namespace, budget.name));
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{name}   {}   limit {}   reserved {}   usable {}",
        budget.limit_source, budget.limit, budget.reserved, budget.usable
    );
    text.push_str(&Bar { taken: budget.needed, whole: budget.usable }.render(paint));
    text.push('\n');
    if budget.workloads.is_empty() {
        let _ = if budget.judged {
            writeln!(
                text,
                "no workload in the input has its label; try one with --label NAME={}",
                budget.name
            )
        } else {
            writeln!(text, "not judged: {}", budget.verdict)
        };
        return text;
    }
    text.push_str(&workloads(&budget.workloads).render(paint));
    text.push_str(&processes(&budget.workloads));
    text.push_str(&least(&budget.workloads));
    let (tone, word) = match (budget.fits, budget.fits_now) {
        _ if !budget.judged => (Tone::Bad, "not judged"),
        (true, _) => (Tone::Good, "fits"),
        (false, true) => (Tone::Bad, "fits now, but not at the ceiling"),
        (false, false) => (Tone::Bad, "does not fit"),
    };
    let _ = writeln!(text, "{}: {}", paint.text(tone, word), budget.verdict);
    if !budget.advice.is_empty() {
        text.push_str("Any one of these is enough:\n");
        for advice in &budget.advice {
            let _ = writeln!(text, "  - {}", advice.message);
        }
    }
    let most = budget.without_poolbudget.map_or("any number of".to_owned(), |n| format!("up to {n}"));
    let note = format!("without poolbudget: {most} connections during rollouts");
    text.push_str(&paint.text(Tone::Dim, &note));
    text.push('\n');
    text
}

fn workloads(workloads: &[WorkloadOutcome]) -> Table {
    let mut table = Table::new(&slots::COLUMNS);
    for workload in workloads {
        table.row([
            Cell::from(format!("{}/{}", workload.kind, workload.name)),
            replicas(workload).into(),
            slots_of(workload),
            per_process(workload).into(),
            workload.per_pod.to_string().into(),
            workload.holds.to_string().into(),
        ]);
    }
    table
}

/// Where the numbers of processes come from: one line each, and one line for all that are unknown.
fn processes(workloads: &[WorkloadOutcome]) -> String {
    let mut text = String::new();
    let name = |workload: &WorkloadOutcome| format!("{}/{}", workload.kind, workload.name);
    let (unsaid, said): (Vec<_>, Vec<_>) =
        workloads.iter().partition(|workload| workload.processes_from == UNSAID && workload.processes == 1);
    for workload in said {
        let noun = if workload.processes == 1 { "process" } else { "processes" };
        let WorkloadOutcome { processes, processes_from, .. } = workload;
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {processes} {noun} in each pod, {processes_from}", name(workload));
    }
    if !unsaid.is_empty() {
        let names: Vec<String> = unsaid.iter().take(NAMED).map(|workload| name(workload)).collect();
        let more = unsaid.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(text, "{}{more}: 1 process in each pod, {UNSAID}", names.join(", "));
    }
    text
}

/// Workloads that need more than one connection whatever the budget says: a line for each.
fn least(workloads: &[WorkloadOutcome]) -> String {
    let line = |workload: &WorkloadOutcome| {
        let WorkloadOutcome { kind, name, least, least_from, .. } = workload;
        let noun = if *least == 1 { "connection" } else { "connections" };
        Some(format!("{kind}/{name}: {} needs at least {least} {noun}\n", least_from.as_ref()?))
    };
    workloads.iter().filter_map(line).collect()
}

fn per_process(workload: &WorkloadOutcome) -> String {
    let WorkloadOutcome { pool_size, max_overflow, beside, .. } = workload;
    let beside = if *beside > 0 { format!("+{beside}") } else { String::new() };
    format!("{pool_size}+{max_overflow}{beside}")
}

fn replicas(workload: &WorkloadOutcome) -> String {
    let WorkloadOutcome { replicas, ceiling, .. } = workload;
    if ceiling > replicas { format!("{replicas} (max {ceiling})") } else { replicas.to_string() }
}

fn slots_of(workload: &WorkloadOutcome) -> Cell {
    let WorkloadOutcome { slots, slots_needed, .. } = workload;
    if slots < slots_needed {
        Cell::toned(format!("{slots} of {slots_needed}"), Tone::Bad)
    } else {
        slots::slots(workload.kind, u64::from(*slots), u64::from(workload.ceiling.max(workload.replicas)))
            .into()
    }
}
