//! The metrics that are understood: one row for each library, with its families and what they say.
//!
//! In: nothing. Out: the table that the reader follows and docs/evidence.md shows.

use super::Covers;

/// What a family says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The most connections that a pool opens.
    Maximum,
    /// Connections that are open.
    Open,
    /// Connections in use.
    InUse,
    /// Open connections that nobody uses.
    Idle,
    /// Checkouts that wait.
    Waiting,
}

impl Says {
    /// As the docs say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maximum => "maximum",
            Self::Open => "open",
            Self::InUse => "in use",
            Self::Idle => "idle",
            Self::Waiting => "waiting checkouts",
        }
    }
}

/// A family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// What it says.
    pub says: Says,
    /// Its name.
    pub name: &'static str,
    /// The label that a sample must have.
    pub only: Option<(&'static str, &'static str)>,
}

/// A library that exports metrics of its pools.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// Its name.
    pub name: &'static str,
    /// Which pools its numbers, summed, cover.
    pub covers: Covers,
    /// Whether a maximum of 0 says that there is none.
    pub zero_is_unbounded: bool,
    /// Its families.
    pub families: &'static [Family],
}

const fn family(says: Says, name: &'static str) -> Family {
    Family { says, name, only: None }
}

const fn only(says: Says, name: &'static str, label: &'static str, value: &'static str) -> Family {
    Family { says, name, only: Some((label, value)) }
}

const fn process(name: &'static str, families: &'static [Family]) -> Stack {
    Stack { name, covers: Covers::Process, zero_is_unbounded: false, families }
}

use Says::{Idle, InUse, Maximum, Open, Waiting};

/// All that is understood.
pub const STACKS: [Stack; 11] = [
    process(
        "OpenTelemetry, db.client.connection.*",
        &[
            family(Maximum, "db_client_connection_max"),
            only(InUse, "db_client_connection_count", "db_client_connection_state", "used"),
            only(Idle, "db_client_connection_count", "db_client_connection_state", "idle"),
            family(Waiting, "db_client_connection_pending_requests"),
        ],
    ),
    process(
        "OpenTelemetry, db.client.connections.* (older)",
        &[
            family(Maximum, "db_client_connections_max"),
            only(InUse, "db_client_connections_usage", "state", "used"),
            only(Idle, "db_client_connections_usage", "state", "idle"),
            only(InUse, "db_client_connections_usage_connections", "state", "used"),
            only(Idle, "db_client_connections_usage_connections", "state", "idle"),
            family(Waiting, "db_client_connections_pending_requests"),
        ],
    ),
    process(
        "HikariCP, by Micrometer",
        &[
            family(Maximum, "hikaricp_connections_max"),
            family(Open, "hikaricp_connections"),
            family(InUse, "hikaricp_connections_active"),
            family(Idle, "hikaricp_connections_idle"),
            family(Waiting, "hikaricp_connections_pending"),
        ],
    ),
    process(
        "HikariCP, by its own Prometheus tracker",
        &[
            family(Maximum, "hikaricp_max_connections"),
            family(Open, "hikaricp_connections"),
            family(InUse, "hikaricp_active_connections"),
            family(Idle, "hikaricp_idle_connections"),
            family(Waiting, "hikaricp_pending_threads"),
        ],
    ),
    process(
        "Agroal (Quarkus)",
        &[
            family(InUse, "agroal_active_count"),
            family(Idle, "agroal_available_count"),
            family(Waiting, "agroal_awaiting_count"),
        ],
    ),
    process(
        "node-postgres, by its Prometheus exporter",
        &[
            family(Maximum, "pg_pool_max"),
            family(Open, "pg_pool_size"),
            family(InUse, "pg_pool_active_connections"),
            family(Idle, "pg_pool_idle_connections"),
            family(Waiting, "pg_pool_waiting_connections"),
        ],
    ),
    process(
        "pgxpool",
        &[
            family(Maximum, "pgxpool_max_conns"),
            family(Open, "pgxpool_total_conns"),
            family(InUse, "pgxpool_acquired_conns"),
            family(Idle, "pgxpool_idle_conns"),
        ],
    ),
    Stack {
        zero_is_unbounded: true,
        ..process(
            "Go, database/sql",
            &[
                family(Maximum, "go_sql_max_open_connections"),
                family(Open, "go_sql_open_connections"),
                family(InUse, "go_sql_in_use_connections"),
                family(Idle, "go_sql_idle_connections"),
            ],
        )
    },
    process(
        "Prisma",
        &[
            family(Open, "prisma_pool_connections_open"),
            family(InUse, "prisma_pool_connections_busy"),
            family(Idle, "prisma_pool_connections_idle"),
            family(Waiting, "prisma_client_queries_wait"),
        ],
    ),
    Stack {
        covers: Covers::Pod,
        ..process(
            "PgBouncer",
            &[
                family(InUse, "pgbouncer_pools_server_active_connections"),
                family(Idle, "pgbouncer_pools_server_idle_connections"),
                family(Idle, "pgbouncer_pools_server_used_connections"),
                family(Waiting, "pgbouncer_pools_client_waiting_connections"),
            ],
        )
    },
    Stack {
        covers: Covers::Pod,
        ..process(
            "Rails, by prometheus_exporter",
            &[
                family(Maximum, "ruby_active_record_connection_pool_size"),
                family(Open, "ruby_active_record_connection_pool_connections"),
                family(InUse, "ruby_active_record_connection_pool_busy"),
                family(Idle, "ruby_active_record_connection_pool_idle"),
                family(Waiting, "ruby_active_record_connection_pool_waiting"),
            ],
        )
    },
];
