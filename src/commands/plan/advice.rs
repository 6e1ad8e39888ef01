//! What to change so that everything fits.
//!
//! In: a budget that does not fit. Out: changes that were tried, each of which is enough by itself. Each is tried by
//! deciding again; nothing is suggested that was not seen to fit.

use super::judge::view;
use super::outcome::{Action, Advice};
use crate::api::BudgetKey;
use crate::api::{Compute, DbConnectionBudgetSpec, SupabaseConnection};
use crate::budget::amount::{Connections, Pods};
use crate::budget::decide::{Decision, Situation, decide};
use crate::budget::plan::{Demand, Feasibility};
use crate::budget::rollout::{IntOrPercent, Strategy};
use crate::budget::shortfall::{Shortfall, WayOut};
use crate::cluster::spec;
use crate::cluster::workload::WorkloadKey;
use crate::cluster::world::World;
use crate::controller::view::View;

/// All ways out; none if it fits.
pub fn advice(world: &World, spec: &DbConnectionBudgetSpec, view: &View) -> Vec<Advice> {
    let Feasibility::Infeasible(shortfall) = &view.decision.plan.feasibility else { return Vec::new() };
    let mut found: Vec<Advice> = caps(view, shortfall).chain(basis(shortfall)).collect();
    found.extend(without_surge(&view.scene.situation, shortfall));
    found.extend(fewer_processes(&view.scene.situation));
    found.extend(lower_minimum(world, &view.key, spec));
    found.extend(transaction_mode(world, &view.key, spec));
    found.extend(raise(spec, shortfall));
    found
}

/// Fewer replicas, unless the autoscaler asks for more than that.
fn caps(view: &View, shortfall: &Shortfall) -> impl Iterator<Item = Advice> {
    let lines = shortfall.lines.iter().zip(&view.scene.workloads);
    // If not even one pod of a workload fits, fewer replicas of others do not help it.
    let lines = lines.filter(|_| shortfall.hopeless().next().is_none());
    let possible = lines.filter(|(line, labelled)| {
        let least = labelled.least_replicas.unwrap_or(Pods::ZERO).max(Pods::new(1));
        line.safe_replicas >= least && line.safe_replicas < line.pods
    });
    possible.map(|(line, _)| Advice {
        action: Action::CapReplicas,
        workload: Some(line.name.clone()),
        to: Some(line.safe_replicas.get().into()),
        message: format!(
            "cap {} at {}",
            line.name,
            count(line.safe_replicas.get().into(), "replica", "replicas")
        ),
    })
}

fn basis(shortfall: &Shortfall) -> impl Iterator<Item = Advice> {
    let ways = shortfall.ways_out.iter().filter(|way| **way != WayOut::LowerMaxReplicas);
    ways.map(|way| Advice {
        action: Action::ChangeBasis,
        workload: None,
        to: None,
        message: format!("{way}: the current replicas fit"),
    })
}

/// No surge pod when one workload rolls out.
fn without_surge(situation: &Situation, shortfall: &Shortfall) -> Vec<Advice> {
    let (none, one) = (IntOrPercent::Int(0), IntOrPercent::Int(1));
    let tried = |index: &usize| {
        let name = &situation.workloads.get(*index)?.demand.name;
        let without = |demand: &mut Demand| {
            demand.strategy = match demand.strategy {
                Strategy::DaemonSet { .. } => Strategy::DaemonSet { max_surge: none, max_unavailable: one },
                _ => Strategy::RollingUpdate { max_surge: none, max_unavailable: one },
            };
        };
        fits_with(situation, *index, without).then(|| Advice {
            action: Action::NoSurge,
            workload: Some(name.clone()),
            to: Some(0),
            message: format!("roll out {name} with maxSurge: 0 and maxUnavailable: 1, without a surge pod"),
        })
    };
    shortfall.without_surge.iter().filter_map(tried).collect()
}

/// Fewer processes of one workload.
fn fewer_processes(situation: &Situation) -> Vec<Advice> {
    let mut found = Vec::new();
    for (index, workload) in situation.workloads.iter().enumerate() {
        let Demand { name, processes, .. } = &workload.demand;
        let fewer = largest_below(u64::from(*processes), |n| {
            fits_with(situation, index, |demand| demand.processes = u32::try_from(n).unwrap_or(u32::MAX))
        });
        found.extend(fewer.map(|n| Advice {
            action: Action::FewerProcesses,
            workload: Some(name.clone()),
            to: Some(n),
            message: format!(
                "run {name} with {} in each pod instead of {processes}",
                count(n, "process", "processes")
            ),
        }));
    }
    found
}

/// A smaller minimum in the entry of one workload, or in the defaults for all without one. The budget cannot lower what
/// the app itself needs.
fn lower_minimum(world: &World, key: &BudgetKey, spec: &DbConnectionBudgetSpec) -> Vec<Advice> {
    let advised = |index: Option<usize>| {
        let (workload, min) = minimum(&mut spec.clone(), index).map(|(name, min)| (name, *min))?;
        let fits = |n: u64| {
            let mut spec = spec.clone();
            if let (Some((_, min)), Ok(n)) = (minimum(&mut spec, index), u32::try_from(n)) {
                *min = n;
            }
            view(world, key, &spec).is_ok_and(|(_, view)| is_feasible(&view.decision))
        };
        let what = workload.as_ref().map_or_else(
            || "defaults.connectionsPerProcess.min".to_owned(),
            |name| format!("connectionsPerProcess.min of {name}"),
        );
        largest_below(u64::from(min), fits).map(|n| Advice {
            action: Action::LowerMinimum,
            message: format!("lower {what} from {min} to {n}"),
            workload,
            to: Some(n),
        })
    };
    let entries = (0..spec.workloads.len()).map(Some);
    entries.chain([None]).filter_map(advised).collect()
}

/// The minimum that an entry states, with the name of its workload; without an entry, that of the defaults.
fn minimum(spec: &mut DbConnectionBudgetSpec, entry: Option<usize>) -> Option<(Option<String>, &mut u32)> {
    let Some(index) = entry else {
        return Some((None, spec.defaults.as_mut()?.connections_per_process.min.as_mut()?));
    };
    let entry = spec.workloads.get_mut(index)?;
    let name = WorkloadKey::new(entry.kind, &entry.name).to_string();
    Some((Some(name), entry.connections_per_process.min.as_mut()?))
}

fn is_feasible(decision: &Decision) -> bool {
    matches!(decision.plan.feasibility, Feasibility::Feasible { .. })
}

/// The largest number from 1 to below `end` that fits; if a number fits, all smaller ones do.
fn largest_below(end: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut good, mut bad) = (0, end);
    while good + 1 < bad {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    (good > 0).then_some(good)
}

fn fits_with(situation: &Situation, index: usize, change: impl FnOnce(&mut Demand)) -> bool {
    let mut situation = situation.clone();
    if let Some(workload) = situation.workloads.get_mut(index) {
        change(&mut workload.demand);
    }
    is_feasible(&decide(&situation))
}

fn transaction_mode(world: &World, key: &BudgetKey, spec: &DbConnectionBudgetSpec) -> Option<Advice> {
    let supabase = spec.limit.supabase.as_ref()?;
    if !matches!(supabase.connection, SupabaseConnection::Session | SupabaseConnection::Direct) {
        return None;
    }
    let mut spec = spec.clone();
    let supabase = spec.limit.supabase.as_mut()?;
    (supabase.connection, supabase.pool_size) = (SupabaseConnection::Transaction, None);
    let (limit, tried) = view(world, key, &spec).ok()?;
    is_feasible(&tried.decision).then(|| Advice {
        action: Action::TransactionMode,
        workload: None,
        to: Some(limit.connections.get()),
        message: format!(
            "if the app needs no session state, use transaction mode (port 6543, connection: Transaction): it allows {} clients",
            limit.connections
        ),
    })
}

/// The limit that would be enough, and the smallest compute size that has it.
fn raise(spec: &DbConnectionBudgetSpec, shortfall: &Shortfall) -> Option<Advice> {
    let needed = shortfall.needed_by_all().plus(Connections::new(u64::from(spec.reserved)));
    if needed == Connections::MAX {
        return None;
    }
    let compute = spec.limit.supabase.as_ref().and_then(|_| smallest_compute(spec, needed));
    let source = compute.map_or_else(String::new, |(compute, limit)| {
        let name = serde_json::to_value(compute).unwrap_or_default();
        format!("; compute size {} has {limit}", name.as_str().unwrap_or_default())
    });
    Some(Advice {
        action: Action::RaiseLimit,
        workload: None,
        to: Some(needed.get()),
        message: format!("raise the limit to at least {needed} connections{source}"),
    })
}

fn smallest_compute(spec: &DbConnectionBudgetSpec, needed: Connections) -> Option<(Compute, Connections)> {
    let sizes = [
        Compute::Nano,
        Compute::Micro,
        Compute::Small,
        Compute::Medium,
        Compute::Large,
        Compute::XL,
        Compute::XL2,
        Compute::XL4,
        Compute::XL8,
        Compute::XL12,
        Compute::XL16,
    ];
    sizes.into_iter().find_map(|size| {
        let mut spec = spec.clone();
        let supabase = spec.limit.supabase.as_mut()?;
        (supabase.plan, supabase.compute, supabase.pool_size) = (None, Some(size), None);
        supabase.project = None;
        let limit = spec::stated(&spec).ok()?.connections;
        (limit >= needed).then_some((size, limit))
    })
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
