//! The spec of a budget as the core's values.
//!
//! In: a `DbConnectionBudgetSpec`. Out: limit, surge, basis; and what this version does not implement,
//! in words, so that it is reported and never silently ignored.

use super::workload::WorkloadKey;
use crate::api::{self, DbConnectionBudgetSpec, SupabaseConnection, SupabaseLimit};
use crate::budget::amount::Connections;
use crate::budget::basis::Basis;
use crate::budget::limit::{Limit, LimitError, LimitSpec, Tier};
use crate::budget::rollout::Surge;
use crate::budget::supabase::{Compute, Connection, Plan};

/// Why a spec gives no limit.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// The stated limit is not valid.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Not exactly one form is stated. The API server refuses this and the next two, in the same words, unless its
    /// rules were switched off.
    #[error("set exactly one of limit.supabase, limit.connections, limit.postgres")]
    Form,
    /// A project does not state exactly one size.
    #[error("set exactly one of limit.supabase.plan, limit.supabase.compute")]
    Tier,
    /// A plan fixes no number.
    #[error(
        "the Enterprise plan has no fixed limit: set limit.supabase.compute, or poolSize in session mode, or limit.connections"
    )]
    Enterprise,
    /// The reserve leaves nothing.
    #[error(
        "reserved is {reserved} of {limit} connections: nothing is left for the workloads; lower spec.reserved"
    )]
    AllReserved {
        /// spec.reserved.
        reserved: Connections,
        /// The limit.
        limit: Connections,
    },
}

/// The limit that a spec states.
///
/// # Errors
/// When the spec fixes no number, or reserves all of it.
pub fn limit(spec: &DbConnectionBudgetSpec) -> Result<Limit, SpecError> {
    let stated = match (&spec.limit.supabase, spec.limit.connections, &spec.limit.postgres) {
        (Some(supabase), None, None) => supabase_limit(supabase)?,
        (None, Some(connections), None) => LimitSpec::Connections(of(connections)),
        (None, None, Some(postgres)) => LimitSpec::Postgres {
            max_connections: of(postgres.max_connections),
            superuser_reserved: of(postgres.superuser_reserved),
        },
        _ => return Err(SpecError::Form),
    };
    let limit = Limit::resolve(stated)?;
    let reserved = of(spec.reserved);
    if reserved >= limit.connections {
        return Err(SpecError::AllReserved { reserved, limit: limit.connections });
    }
    Ok(limit)
}

fn of(number: u32) -> Connections {
    Connections::new(u64::from(number))
}

fn supabase_limit(stated: &SupabaseLimit) -> Result<LimitSpec, SpecError> {
    let tier = match (stated.plan, stated.compute) {
        (Some(api::Plan::Free), None) => Tier::Plan(Plan::Free),
        (Some(api::Plan::Pro), None) => Tier::Plan(Plan::Pro),
        (Some(api::Plan::Team), None) => Tier::Plan(Plan::Team),
        // Enterprise includes no size; the pool size alone fixes the number.
        (Some(api::Plan::Enterprise), None) => {
            return stated.pool_size.map(|n| LimitSpec::Connections(of(n))).ok_or(SpecError::Enterprise);
        }
        (None, Some(size)) => Tier::Compute(compute(size)),
        _ => return Err(SpecError::Tier),
    };
    Ok(LimitSpec::Supabase {
        tier,
        connection: match stated.connection {
            SupabaseConnection::Session => Connection::Session,
            SupabaseConnection::Transaction => Connection::Transaction,
            SupabaseConnection::Direct => Connection::Direct,
            SupabaseConnection::Dedicated => Connection::Dedicated,
        },
        pool_size: stated.pool_size.map(of),
    })
}

fn compute(size: api::Compute) -> Compute {
    match size {
        api::Compute::Nano => Compute::Nano,
        api::Compute::Micro => Compute::Micro,
        api::Compute::Small => Compute::Small,
        api::Compute::Medium => Compute::Medium,
        api::Compute::Large => Compute::Large,
        api::Compute::XL => Compute::Xl,
        api::Compute::XL2 => Compute::Xl2,
        api::Compute::XL4 => Compute::Xl4,
        api::Compute::XL8 => Compute::Xl8,
        api::Compute::XL12 => Compute::Xl12,
        api::Compute::XL16 => Compute::Xl16,
    }
}

/// What the sizes are made for.
#[must_use]
pub fn basis(spec: &DbConnectionBudgetSpec) -> Basis {
    match spec.sizing.basis {
        api::Basis::Ceiling => Basis::Ceiling,
        api::Basis::Ladder => Basis::Ladder,
        api::Basis::Current => Basis::Current,
    }
}

/// For which surge pods slots are kept.
#[must_use]
pub fn surge(spec: &DbConnectionBudgetSpec) -> Surge {
    match spec.sizing.surge {
        api::Surge::Minimal => Surge::Minimal,
        api::Surge::Full => Surge::Full,
    }
}

/// What a budget says about one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The fewest connections of one process.
    pub min: u32,
    /// The most connections of one process.
    pub max: Option<u32>,
    /// Its share relative to others.
    pub weight: u32,
    /// Its most replicas.
    pub max_replicas: Option<u32>,
}

/// The entry for a workload, and the budget's defaults for what it leaves out.
#[must_use]
pub fn settings(spec: &DbConnectionBudgetSpec, workload: &WorkloadKey) -> Settings {
    let WorkloadKey { kind, name } = workload;
    let entry = spec.workloads.iter().find(|entry| entry.kind == *kind && &entry.name == name);
    let own = entry.map(|entry| entry.connections_per_process.clone()).unwrap_or_default();
    let defaults = spec.defaults.clone().unwrap_or_default();
    let (mut min, mut max) = (
        own.min.or(defaults.connections_per_process.min).unwrap_or(1),
        own.max.or(defaults.connections_per_process.max),
    );
    // A bound from an entry wins over the other bound if that is a default.
    match (own.min, own.max) {
        (Some(_), None) => max = max.map(|max| max.max(min)),
        (None, Some(most)) => min = min.min(most),
        _ => {}
    }
    let weight = entry.and_then(|entry| entry.weight).or(defaults.weight).unwrap_or(1);
    Settings { min, max, weight, max_replicas: entry.and_then(|entry| entry.max_replicas) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::WorkloadKind;
    use serde_json::{Value, json};

    fn of(defaults: &Value, entry: &Value) -> (u32, Option<u32>, u32) {
        let spec = json!({"limit": {"connections": 15}, "workloads": [entry], "defaults": defaults});
        let spec: DbConnectionBudgetSpec = serde_json::from_value(spec).expect("a spec");
        let found = settings(&spec, &WorkloadKey::new(WorkloadKind::Deployment, "api"));
        (found.min, found.max, found.weight)
    }

    #[test]
    fn without_an_entry_the_defaults_hold_and_without_those_one_and_no_bound() {
        let other = json!({"name": "other", "weight": 9, "connectionsPerProcess": {"min": 9}});
        assert_eq!(of(&json!(null), &other), (1, None, 1));
        assert_eq!(of(&json!({}), &other), (1, None, 1));
        assert_eq!(
            of(&json!({"connectionsPerProcess": {"min": 2, "max": 5}, "weight": 3}), &other),
            (2, Some(5), 3)
        );
    }

    #[test]
    fn what_an_entry_leaves_out_is_as_the_defaults_say_field_by_field() {
        let defaults = json!({"connectionsPerProcess": {"min": 2, "max": 5}, "weight": 3});
        let entry = |more: Value| {
            let mut entry = more;
            entry["name"] = json!("api");
            of(&defaults, &entry)
        };
        assert_eq!(entry(json!({})), (2, Some(5), 3));
        assert_eq!(entry(json!({"weight": 1})), (2, Some(5), 1));
        assert_eq!(entry(json!({"connectionsPerProcess": {"max": 9}})), (2, Some(9), 3));
        assert_eq!(entry(json!({"connectionsPerProcess": {"min": 4}})), (4, Some(5), 3));
    }

    #[test]
    fn a_default_gives_way_to_the_bound_of_an_entry_that_it_contradicts() {
        let defaults = json!({"connectionsPerProcess": {"min": 4, "max": 5}});
        let size = |size: Value| of(&defaults, &json!({"name": "api", "connectionsPerProcess": size}));
        assert_eq!(size(json!({"min": 8})), (8, Some(8), 1));
        assert_eq!(size(json!({"max": 2})), (2, Some(2), 1));
        assert_eq!(size(json!({"min": 6, "max": 9})), (6, Some(9), 1));
    }
}
