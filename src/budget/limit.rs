//! Turns what the budget states about its database into one number: the connections it allows.
//!
//! In: one of the three forms of the limit. Out: the number and a phrase that says where it comes from.
//! Forbidden here: guessing. A form that does not fix a number is refused with a sentence that says what to write.

use thiserror::Error;

use super::amount::Connections;
use super::supabase::{Compute, Connection, Plan, SUPERUSER_RESERVED, TABLE_DATE};

/// How a budget states its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSpec {
    /// By a Supabase plan or compute size.
    Supabase {
        /// The plan or the compute size.
        tier: Tier,
        /// The path on which the app connects; it decides which number binds.
        connection: Connection,
        /// The pool size set in the dashboard, when it is not the default.
        pool_size: Option<Connections>,
    },
    /// As a plain number.
    Connections(Connections),
    /// By the settings of a Postgres server.
    Postgres {
        /// `max_connections`.
        max_connections: Connections,
        /// `superuser_reserved_connections`; 3 unless it was changed.
        superuser_reserved: Connections,
    },
}

/// What a Supabase project runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The compute size that this plan includes.
    Plan(Plan),
    /// This compute size.
    Compute(Compute),
}

/// The connections that the database allows on the app's path, at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number.
    pub connections: Connections,
    /// Where it comes from, as part of a sentence.
    pub source: String,
}

/// Why a stated limit is not valid. Each message says what to write instead.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LimitError {
    /// A plain limit of zero.
    #[error("limit.connections is 0: a budget needs at least 1 connection to share")]
    Zero,
    /// A pool size of zero.
    #[error(
        "limit.supabase.poolSize is 0: state the pool size of the dashboard, or leave it out for the default of {default}"
    )]
    ZeroPool {
        /// The default of the compute size.
        default: Connections,
    },
    /// A pool size on a path where it does not limit the clients.
    #[error(
        "limit.supabase.poolSize limits the clients in session mode only; with connection {connection} the limit is \
         the {binding} of {compute}: leave poolSize out"
    )]
    PoolSizeDoesNotBind {
        /// The path stated.
        connection: Connection,
        /// The number that binds there, with its name.
        binding: String,
        /// The compute size.
        compute: Compute,
    },
    /// In session mode each client holds a backend, so a pool larger than Postgres can never be used in full.
    #[error(
        "limit.supabase.poolSize is {pool_size}, but Postgres on {compute} lets in {ordinary}: correct it, name the \
         compute size, or, where max_connections was raised by hand, state limit.connections"
    )]
    PoolLargerThanPostgres {
        /// The pool size stated.
        pool_size: Connections,
        /// The compute size.
        compute: Compute,
        /// What Postgres gives to ordinary roles.
        ordinary: Connections,
    },
    /// The Free plan has no dedicated pooler.
    #[error(
        "limit.supabase.connection is Dedicated, which the Free plan does not have: use Session or Transaction"
    )]
    DedicatedOnFree,
    /// No connections are left for ordinary roles.
    #[error(
        "limit.postgres keeps {superuser_reserved} of {max_connections} connections for superusers: superuserReserved \
         must be smaller than maxConnections"
    )]
    AllReserved {
        /// `max_connections`.
        max_connections: Connections,
        /// `superuser_reserved_connections`.
        superuser_reserved: Connections,
    },
}

impl Limit {
    /// Resolves what the budget states to a number.
    ///
    /// # Errors
    /// When the statement contradicts itself or leaves nothing to share.
    pub fn resolve(spec: LimitSpec) -> Result<Self, LimitError> {
        match spec {
            LimitSpec::Supabase { tier, connection, pool_size } => supabase(tier, connection, pool_size),
            LimitSpec::Connections(Connections::ZERO) => Err(LimitError::Zero),
            LimitSpec::Connections(connections) => {
                Ok(Self { connections, source: "set in spec.limit".to_owned() })
            }
            LimitSpec::Postgres { max_connections, superuser_reserved } => {
                postgres(max_connections, superuser_reserved)
            }
        }
    }
}

/// The limit in force after readings. A lower number is taken at once. A higher one is taken when it was read twice in a
/// row, as far as both readings agree; the first number of all is taken as it is.
#[must_use]
pub fn after_readings(
    in_force: Option<Connections>,
    newest: Connections,
    before: Option<Connections>,
) -> Connections {
    match in_force {
        None => newest,
        Some(now) if newest <= now => newest,
        Some(now) => before.map_or(now, |before| now.max(newest.min(before))),
    }
}

fn supabase(tier: Tier, path: Connection, pool_size: Option<Connections>) -> Result<Limit, LimitError> {
    if tier == Tier::Plan(Plan::Free) && path == Connection::Dedicated {
        return Err(LimitError::DedicatedOnFree);
    }
    let compute = match tier {
        Tier::Plan(plan) => plan.included(),
        Tier::Compute(compute) => compute,
    };
    let table = compute.numbers();
    let (connections, number) = match (path, pool_size) {
        (Connection::Session, None) => (table.pool_size, format!("pool size {}", table.pool_size)),
        (Connection::Session, Some(set)) => return session(compute, set),
        (Connection::Transaction | Connection::Dedicated, _) => {
            (table.max_clients, format!("{} clients", table.max_clients))
        }
        (Connection::Direct, _) => (
            table.ordinary(),
            format!("{} connections − {SUPERUSER_RESERVED} for superusers", table.max_connections),
        ),
    };
    if pool_size.is_some() {
        return Err(LimitError::PoolSizeDoesNotBind { connection: path, binding: number, compute });
    }
    let source = format!("supabase {compute}, {}: {number} (table of {TABLE_DATE})", path.phrase());
    Ok(Limit { connections, source })
}

fn session(compute: Compute, pool_size: Connections) -> Result<Limit, LimitError> {
    let table = compute.numbers();
    if pool_size == Connections::ZERO {
        return Err(LimitError::ZeroPool { default: table.pool_size });
    }
    if pool_size > table.ordinary() {
        let ordinary = table.ordinary();
        return Err(LimitError::PoolLargerThanPostgres { pool_size, compute, ordinary });
    }
    let mode = Connection::Session.phrase();
    let source = format!("supabase {compute}, {mode}: pool size {pool_size} (set in the dashboard)");
    Ok(Limit { connections: pool_size, source })
}

fn postgres(max_connections: Connections, superuser_reserved: Connections) -> Result<Limit, LimitError> {
    let connections = max_connections.minus(superuser_reserved);
    if connections == Connections::ZERO {
        return Err(LimitError::AllReserved { max_connections, superuser_reserved });
    }
    let source = format!("postgres: max_connections {max_connections} − {superuser_reserved} for superusers");
    Ok(Limit { connections, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: LimitSpec) -> Result<(u64, String), String> {
        Limit::resolve(spec).map(|l| (l.connections.get(), l.source)).map_err(|e| e.to_string())
    }

    fn on(tier: Tier, connection: Connection, pool_size: Option<u64>) -> Result<(u64, String), String> {
        of(LimitSpec::Supabase { tier, connection, pool_size: pool_size.map(Connections::new) })
    }

    fn allows(connections: u64, source: &str) -> Result<(u64, String), String> {
        Ok((connections, source.to_owned()))
    }

    const FREE: Tier = Tier::Plan(Plan::Free);
    const PRO: Tier = Tier::Plan(Plan::Pro);
    const XL16: Tier = Tier::Compute(Compute::Xl16);

    #[test]
    fn session_mode_is_limited_by_the_pool_size() {
        let default = "supabase Nano, session mode: pool size 15 (table of 2026-11-21)";
        assert_eq!(on(FREE, Connection::Session, None), allows(15, default));
        let set = "supabase Micro, session mode: pool size 30 (set in the dashboard)";
        assert_eq!(on(PRO, Connection::Session, Some(30)), allows(30, set));
        let large = "supabase 16XL, session mode: pool size 128 (table of 2026-11-21)";
        assert_eq!(on(XL16, Connection::Session, None), allows(128, large));
    }

    #[test]
    fn poolers_that_share_backends_are_limited_by_their_clients() {
        let transaction = "supabase Nano, transaction mode: 200 clients (table of 2026-11-21)";
        assert_eq!(on(FREE, Connection::Transaction, None), allows(200, transaction));
        let dedicated = "supabase Micro, dedicated pooler: 200 clients (table of 2026-11-21)";
        assert_eq!(on(PRO, Connection::Dedicated, None), allows(200, dedicated));
    }

    #[test]
    fn a_direct_connection_leaves_three_to_superusers() {
        let source =
            "supabase Nano, direct connection: 60 connections − 3 for superusers (table of 2026-11-21)";
        assert_eq!(on(FREE, Connection::Direct, None), allows(57, source));
    }

    #[test]
    fn a_plain_number_and_a_server_state_the_limit_themselves() {
        assert_eq!(of(LimitSpec::Connections(Connections::new(15))), allows(15, "set in spec.limit"));
        let postgres = LimitSpec::Postgres {
            max_connections: Connections::new(100),
            superuser_reserved: Connections::new(3),
        };
        assert_eq!(of(postgres), allows(97, "postgres: max_connections 100 − 3 for superusers"));
    }

    #[test]
    fn a_pool_size_is_refused_where_it_does_not_set_the_limit() {
        let transaction = "limit.supabase.poolSize limits the clients in session mode only; with connection \
                           Transaction the limit is the 200 clients of Nano: leave poolSize out";
        assert_eq!(on(FREE, Connection::Transaction, Some(30)), Err(transaction.to_owned()));
        let direct = "limit.supabase.poolSize limits the clients in session mode only; with connection Direct the \
                      limit is the 60 connections − 3 for superusers of Micro: leave poolSize out";
        assert_eq!(on(PRO, Connection::Direct, Some(30)), Err(direct.to_owned()));
        let dedicated = on(PRO, Connection::Dedicated, Some(30));
        assert!(
            dedicated.is_err_and(|e| e.contains("with connection Dedicated the limit is the 200 clients"))
        );
    }

    #[test]
    fn a_pool_that_postgres_cannot_serve_is_refused() {
        assert_eq!(on(FREE, Connection::Session, Some(57)).map(|(n, _)| n), Ok(57));
        let sentence = "limit.supabase.poolSize is 58, but Postgres on Nano lets in 57: correct it, name the compute \
                        size, or, where max_connections was raised by hand, state limit.connections";
        assert_eq!(on(FREE, Connection::Session, Some(58)), Err(sentence.to_owned()));
    }

    #[test]
    fn the_free_plan_has_no_dedicated_pooler() {
        let sentence = "limit.supabase.connection is Dedicated, which the Free plan does not have: use Session or \
                        Transaction";
        assert_eq!(on(FREE, Connection::Dedicated, None), Err(sentence.to_owned()));
    }

    #[test]
    fn a_lower_reading_counts_at_once_and_a_higher_one_when_it_was_read_twice() {
        let after = |in_force: Option<u64>, newest, before: Option<u64>| {
            let [in_force, before] = [in_force, before].map(|n| n.map(Connections::new));
            after_readings(in_force, Connections::new(newest), before).get()
        };
        assert_eq!(after(None, 97, None), 97);
        assert_eq!(after(Some(97), 97, Some(97)), 97);
        assert_eq!(after(Some(97), 40, Some(97)), 40);
        assert_eq!(after(Some(97), 40, None), 40);
        assert_eq!(after(Some(97), 120, None), 97);
        assert_eq!(after(Some(97), 120, Some(97)), 97);
        assert_eq!(after(Some(97), 120, Some(40)), 97);
        assert_eq!(after(Some(97), 120, Some(120)), 120);
        assert_eq!(after(Some(97), 120, Some(100)), 100, "both allow as many");
        assert_eq!(after(Some(97), 100, Some(120)), 100);
    }

    #[test]
    fn a_limit_that_leaves_nothing_is_refused() {
        let zero = "limit.connections is 0: a budget needs at least 1 connection to share";
        assert_eq!(of(LimitSpec::Connections(Connections::ZERO)), Err(zero.to_owned()));
        let pool = "limit.supabase.poolSize is 0: state the pool size of the dashboard, or leave it out for the \
                    default of 15";
        assert_eq!(on(FREE, Connection::Session, Some(0)), Err(pool.to_owned()));
        for reserved in [100, 101, u64::MAX] {
            let spec = LimitSpec::Postgres {
                max_connections: Connections::new(100),
                superuser_reserved: Connections::new(reserved),
            };
            let sentence = format!(
                "limit.postgres keeps {reserved} of 100 connections for superusers: superuserReserved must be smaller \
                 than maxConnections"
            );
            assert_eq!(of(spec), Err(sentence));
        }
    }
}
