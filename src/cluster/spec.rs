//! The spec of a budget as the core's values.
//!
//! In: a `DbConnectionBudgetSpec`. Out: limit, surge, basis; and what this version does not implement,
//! in words, so that it is reported and never silently ignored.

use super::workload::WorkloadKey;
use crate::api::{self, DbConnectionBudgetSpec, SupabaseConnection, SupabaseLimit, WorkloadSpec};
use crate::budget::amount::Connections;
use crate::budget::basis::Basis;
use crate::budget::limit::{Limit, LimitError, LimitSpec, Tier};
use crate::budget::rollout::Surge;
use crate::budget::supabase::{Compute, Connection, Plan};

/// Why no limit can be told from a spec.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// The stated limit is none.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Not exactly one form is stated; the API server refuses this unless its rules were switched off.
    #[error("set exactly one of limit.supabase (with plan or compute), limit.connections, limit.postgres")]
    Form,
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
            return stated.pool_size.map(|n| LimitSpec::Connections(of(n))).ok_or(SpecError::Form);
        }
        (None, Some(size)) => Tier::Compute(compute(size)),
        _ => return Err(SpecError::Form),
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

/// The entry for a workload, or the defaults.
#[must_use]
pub fn entry(spec: &DbConnectionBudgetSpec, workload: &WorkloadKey) -> WorkloadSpec {
    let WorkloadKey { kind, name } = workload;
    let found = spec.workloads.iter().find(|entry| entry.kind == *kind && &entry.name == name);
    found.cloned().unwrap_or_else(|| WorkloadSpec {
        name: name.clone(),
        kind: *kind,
        weight: 1,
        size: api::SizeBounds::default(),
        max_replicas: None,
    })
}
