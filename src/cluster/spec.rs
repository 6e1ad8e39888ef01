//! The spec of a budget as the core's values.
//!
//! In: a `DbConnectionBudgetSpec`, and what was read of its limit. Out: limit, surge, basis; and what this version does not
//! implement, in words, so that it is reported and never silently ignored.

use super::reading::{LimitRecord, Source, Use};
use super::workload::WorkloadKey;
use crate::api::{
    self, DbConnectionBudgetSpec, LimitStatus, PostgresLimit, SupabaseConnection, SupabaseLimit,
};
use crate::budget::amount::Connections;
use crate::budget::basis::Basis;
use crate::budget::limit::{Limit, LimitError, LimitSpec, Tier, after_readings};
use crate::budget::rollout::Surge;
use crate::budget::supabase::{Compute, Connection, Plan, SUPERUSER_RESERVED};
use crate::database::Allowed;

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
    #[error("set exactly one of limit.supabase.plan, limit.supabase.compute, limit.supabase.project")]
    Tier,
    /// A server is neither described nor named.
    #[error("set exactly one of limit.postgres.maxConnections, limit.postgres.secretRef")]
    Server,
    /// What is read leaves nothing, because reading takes a connection itself.
    #[error(
        "{from} allows 1 connection, which poolbudget needs to read the limit: nothing is left for the workloads"
    )]
    OnlyOne {
        /// Where the limit is read or verified.
        from: Box<Source>,
    },
    /// The limit was never read.
    #[error("the limit was not read yet from {from}{}", why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    NotRead {
        /// Where.
        from: Box<Source>,
        /// Why the last attempt failed.
        why: Option<String>,
    },
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

/// The limit of a budget: what its spec states, or what was read. `last` is the limit of the status before.
///
/// # Errors
/// When the spec fixes no number and none was read.
pub fn limit(
    spec: &DbConnectionBudgetSpec,
    last: Option<&LimitStatus>,
    record: Option<&LimitRecord>,
) -> Result<Limit, SpecError> {
    match Source::of(spec) {
        Some((from, Use::Limit)) => {
            one_form(spec)?;
            read(from, last, record)
        }
        Some((from, Use::Comparison)) => {
            let limit = without_reader(stated(spec)?, &from);
            if limit.connections == Connections::ZERO {
                Err(SpecError::OnlyOne { from: Box::new(from) })
            } else {
                Ok(limit)
            }
        }
        None => stated(spec),
    }
}

/// Whether a limit leaves something beside what is reserved.
///
/// # Errors
/// When it does not.
pub fn leaves_something(spec: &DbConnectionBudgetSpec, limit: &Limit) -> Result<(), SpecError> {
    let (reserved, limit) = (of(spec.reserved), limit.connections);
    if reserved >= limit { Err(SpecError::AllReserved { reserved, limit }) } else { Ok(()) }
}

fn of(number: u32) -> Connections {
    Connections::new(u64::from(number))
}

fn one_form(spec: &DbConnectionBudgetSpec) -> Result<(), SpecError> {
    let limit = &spec.limit;
    let forms = [limit.supabase.is_some(), limit.connections.is_some(), limit.postgres.is_some()];
    let sizes = limit
        .supabase
        .as_ref()
        .map_or(0, |of| usize::from(of.plan.is_some()) + usize::from(of.compute.is_some()));
    let described = limit.postgres.as_ref().is_some_and(|of| of.max_connections.is_some());
    match forms.into_iter().filter(|form| *form).count() {
        1 if sizes > 0 => Err(SpecError::Tier),
        1 if described => Err(SpecError::Server),
        1 => Ok(()),
        _ => Err(SpecError::Form),
    }
}

/// The limit that a spec states.
///
/// # Errors
/// When the spec states no number.
pub fn stated(spec: &DbConnectionBudgetSpec) -> Result<Limit, SpecError> {
    let stated = match (&spec.limit.supabase, spec.limit.connections, &spec.limit.postgres) {
        (Some(supabase), None, None) => supabase_limit(supabase)?,
        (None, Some(connections), None) => LimitSpec::Connections(of(connections)),
        (None, None, Some(PostgresLimit { max_connections: Some(most), superuser_reserved, .. })) => {
            LimitSpec::Postgres {
                max_connections: of(*most),
                superuser_reserved: superuser_reserved.map_or(SUPERUSER_RESERVED, of),
            }
        }
        (None, None, Some(_)) => return Err(SpecError::Server),
        _ => return Err(SpecError::Form),
    };
    Ok(Limit::resolve(stated)?)
}

/// A limit without the connection that poolbudget reads it with.
fn without_reader(limit: Limit, from: &Source) -> Limit {
    let takes = from.takes();
    if takes == Connections::ZERO {
        return limit;
    }
    let source = format!("{} − {takes} for poolbudget to read with", limit.source);
    Limit { connections: limit.connections.minus(takes), source }
}

fn read(from: Source, last: Option<&LimitStatus>, record: Option<&LimitRecord>) -> Result<Limit, SpecError> {
    let name = from.to_string();
    let last = last.filter(|last| last.read_from.as_ref() == Some(&name));
    let last = last.and_then(|last| {
        let connections = u64::try_from(last.connections).ok()?;
        Some(Limit { connections: Connections::new(connections), source: last.source.clone() })
    });
    let record = record.filter(|record| record.source == from);
    let Some((newest, _)) = record.and_then(|record| record.newest.as_ref()) else {
        let why = || record.and_then(|record| record.doubt.as_ref()).map(ToString::to_string);
        return last.ok_or_else(|| SpecError::NotRead { why: why(), from: Box::new(from) });
    };
    let usable = |allowed: &Allowed| {
        let limit = Limit { connections: of(allowed.connections), source: allowed.source.clone() };
        without_reader(limit, &from)
    };
    let newest = usable(newest);
    let before = record.and_then(|record| record.before.as_ref()).map(usable);
    let in_force = last.as_ref().map(|last| last.connections);
    let connections =
        after_readings(in_force, newest.connections, before.as_ref().map(|before| before.connections));
    let sources = [Some(newest), before, last].into_iter().flatten();
    let source = sources.into_iter().find(|limit| limit.connections == connections).map(|limit| limit.source);
    Ok(Limit { connections, source: source.unwrap_or_default() })
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
        connection: connection(stated.connection),
        pool_size: stated.pool_size.map(of),
    })
}

/// How workloads connect.
#[must_use]
pub const fn connection(stated: SupabaseConnection) -> Connection {
    match stated {
        SupabaseConnection::Session => Connection::Session,
        SupabaseConnection::Transaction => Connection::Transaction,
        SupabaseConnection::Direct => Connection::Direct,
        SupabaseConnection::Dedicated => Connection::Dedicated,
    }
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
