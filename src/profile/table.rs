//! The profiles, in the order in which they are explained.
//!
//! Plain data. `source` says where a figure was read and in which version, or that it was run against PostgreSQL; a
//! figure that nobody has tried is [`Reads::NotTried`], which counts as unlimited. All were taken on 2026-11-21.

use super::OwnNames::{Fixed, May, Must};
use super::Reads::{Connections, Fails, NotTried, Unlimited};
use super::{Knob, OwnNames, Pool, Profile, Reads, Sizing, Switch, Written};
use crate::budget::split::Knobs;

/// Every profile, the one that holds without an annotation first.
pub const ALL: &[&Profile] = &[
    &SQLALCHEMY,
    &AIRFLOW,
    &DIFY,
    &OPEN_WEBUI,
    &MLFLOW,
    &LITELLM,
    &N8N,
    &NODE_POSTGRES,
    &KEYCLOAK,
    &HIKARI,
    &RAILS,
    &ECTO,
    &GO,
    &GRAFANA,
    &TEMPORAL,
    &GOTRUE,
    &POSTGREST,
    &STORAGE,
    &OUTLINE,
    &METABASE,
    &HASURA,
    &SINGLE,
    &SUPERSET,
    &ODOO,
    &PRISMA,
    &NULL_POOL,
];

const NO_COMPANIONS: [Option<&str>; 3] = [None, None, None];

/// A pool with a size and an overflow.
const fn two_knobs(size: Knob, overflow: Knob) -> Pool {
    Pool { size, overflow: Some(overflow), also: &[] }
}

/// A pool with one bound.
const fn one_knob(size: Knob) -> Pool {
    Pool { size, overflow: None, also: &[] }
}

/// A variable of which only the default is known.
const fn untried(env: &'static str, unset: Reads) -> Knob {
    Knob { env, unset, zero: NotTried, negative: NotTried, junk: NotTried }
}

/// A variable that Go's `database/sql` gets: 0 and less are no bound.
const fn go(env: &'static str, unset: Reads) -> Knob {
    Knob { env, unset, zero: Unlimited, negative: Unlimited, junk: NotTried }
}

/// Who reads one bound, and nothing else that matters.
const fn one_bound(pools: &'static [Pool], names: OwnNames) -> Sizing {
    Sizing::Written(Written { knobs: Knobs::ONE, pools, switches: &[], names, companions: NO_COMPANIONS })
}

/// Who reads a size and an overflow.
const fn queue_pool(pools: &'static [Pool], companions: [Option<&'static str>; 3]) -> Sizing {
    Sizing::Written(Written { knobs: Knobs::BOTH, pools, switches: &[], names: Fixed, companions })
}

/// Python with SQLAlchemy's QueuePool, as most write it.
pub static SQLALCHEMY: Profile = Profile {
    name: "SQLAlchemy",
    sizing: Sizing::Written(Written {
        knobs: Knobs::BOTH,
        pools: &[two_knobs(
            Knob {
                env: "DB_POOL_SIZE",
                unset: Connections(5),
                zero: Unlimited,
                negative: Unlimited,
                junk: Fails,
            },
            Knob {
                env: "DB_MAX_OVERFLOW",
                unset: Connections(10),
                zero: Connections(0),
                negative: Unlimited,
                junk: Fails,
            },
        )],
        switches: &[],
        names: May,
        companions: [Some("DB_POOL_TIMEOUT"), Some("DB_POOL_RECYCLE"), Some("DB_POOL_PRE_PING")],
    }),
    engines: 1,
    processes: "worker processes: `gunicorn -w`, `uvicorn --workers`; `engines` is 2 for a sync and an async one",
    eager: false,
    note: "SQLAlchemy reads no variable by itself: the app passes these to `create_engine`.",
    source: "run: SQLAlchemy 1.4.54, 2.0.58 and 2.1.9 on PostgreSQL 15",
};

static AIRFLOW: Profile = Profile {
    name: "Airflow",
    sizing: queue_pool(
        &[two_knobs(
            Knob {
                env: "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE",
                unset: Connections(5),
                zero: Unlimited,
                negative: Unlimited,
                junk: Fails,
            },
            Knob {
                env: "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW",
                unset: Connections(10),
                zero: Connections(0),
                negative: Unlimited,
                junk: Fails,
            },
        )],
        [
            None,
            Some("AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_RECYCLE"),
            Some("AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING"),
        ],
    ),
    engines: 2,
    processes: "processes of the pod: API server workers, the scheduler, the tasks of a LocalExecutor",
    eager: false,
    note: "Each process has a sync and an async engine; both are counted.",
    source: "apache-airflow-core 3.3.2, `config.yml` and `settings.py`",
};

static DIFY: Profile = Profile {
    name: "Dify",
    sizing: queue_pool(
        &[two_knobs(
            Knob {
                env: "SQLALCHEMY_POOL_SIZE",
                unset: Connections(30),
                zero: Unlimited,
                negative: Fails,
                junk: Fails,
            },
            Knob {
                env: "SQLALCHEMY_MAX_OVERFLOW",
                unset: Connections(10),
                zero: Connections(0),
                negative: Fails,
                junk: Fails,
            },
        )],
        [Some("SQLALCHEMY_POOL_TIMEOUT"), Some("SQLALCHEMY_POOL_RECYCLE"), Some("SQLALCHEMY_POOL_PRE_PING")],
    ),
    engines: 1,
    processes: "`SERVER_WORKER_AMOUNT` of an api pod, `CELERY_WORKER_AMOUNT` of a worker pod (1 and 1)",
    eager: false,
    note: "What it is told is checked when it starts.",
    source: "langgenius/dify 0064a2d8, `api/configs/middleware/__init__.py`, `api/docker/entrypoint.sh`",
};

static OPEN_WEBUI: Profile = Profile {
    name: "OpenWebUI",
    sizing: queue_pool(
        &[two_knobs(
            Knob {
                env: "DATABASE_POOL_SIZE",
                unset: Connections(5),
                zero: Unlimited,
                negative: NotTried,
                junk: Connections(5),
            },
            Knob {
                env: "DATABASE_POOL_MAX_OVERFLOW",
                unset: Connections(10),
                zero: Connections(0),
                negative: Unlimited,
                junk: Connections(10),
            },
        )],
        [Some("DATABASE_POOL_TIMEOUT"), Some("DATABASE_POOL_RECYCLE"), None],
    ),
    engines: 2,
    processes: "`UVICORN_WORKERS` (1)",
    eager: false,
    note: "Each process has a sync and an async engine; both are counted. A size of 0 is its NullPool. With a size and \
           no overflow the overflow is 0; the count says 10 then.",
    source: "open-webui 0.12.4, `env.py` and `internal/db.py`",
};

static MLFLOW: Profile = Profile {
    name: "MLflow",
    sizing: Sizing::Written(Written {
        knobs: Knobs::Both { least_overflow: 1 },
        pools: &[two_knobs(
            Knob {
                env: "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
                unset: Connections(5),
                zero: Connections(5),
                negative: Unlimited,
                junk: Fails,
            },
            Knob {
                env: "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
                unset: Connections(10),
                zero: Connections(10),
                negative: Unlimited,
                junk: Fails,
            },
        )],
        switches: &[],
        names: Fixed,
        companions: [None, Some("MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE"), None],
    }),
    engines: 1,
    processes: "server workers (`mlflow server --workers`, 4 by itself); `engines` is the number of stores in another \
                database or with a URI of their own",
    eager: false,
    note: "An overflow of 0 is ignored and becomes 10, so its smallest size is 1 + 1.",
    source: "run: mlflow-skinny 3.17.2 on PostgreSQL 15; `store/db/utils.py`",
};

static LITELLM: Profile = Profile {
    name: "LiteLLM",
    sizing: Sizing::Written(Written {
        knobs: Knobs::ONE,
        pools: &[one_knob(untried("LITELLM_PGBOUNCER_MAX_DB_CONNECTIONS", Unlimited))],
        switches: &[Switch { env: "LITELLM_PGBOUNCER_ENABLED", value: "true", by_default: false }],
        names: Fixed,
        companions: NO_COMPANIONS,
    }),
    engines: 1,
    processes: "leave it out: one PgBouncer in the pod serves all `NUM_WORKERS`; `engines` is 2 with \
                `DATABASE_URL_READ_REPLICA`",
    eager: false,
    note: "Its own PgBouncer is switched on. Without that it opens 10 for each worker and engine, which no variable \
           bounds, and which counts as unlimited here.",
    source: "litellm 1.109.1, `proxy_cli.py` and `db/pgbouncer.py`",
};

static N8N: Profile = Profile {
    name: "n8n",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "DB_POSTGRESDB_POOL_SIZE",
            unset: Connections(2),
            zero: Connections(10),
            negative: Fails,
            junk: NotTried,
        })],
        Fixed,
    ),
    engines: 1,
    processes: "1: main, worker and webhook pods are workloads of their own",
    eager: false,
    note: "It gives connections back after 30 idle seconds.",
    source: "n8n 00a67983, `packages/@n8n/config/src/configs/database.config.ts`; what 0 means: node-postgres",
};

static NODE_POSTGRES: Profile = Profile {
    name: "node-postgres",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "",
            unset: Connections(10),
            zero: Connections(10),
            negative: Fails,
            junk: Unlimited,
        })],
        Must,
    ),
    engines: 1,
    processes: "Node.js processes (cluster workers, PM2 instances); `engines` is the number of `Pool`s in each",
    eager: false,
    note: "The app passes the variable to `new Pool` as `max`, by `Number(process.env.…)`; also for Drizzle, Knex and Prisma 7 \
           with the adapter of `pg`.",
    source: "run: pg 8.23.1 on PostgreSQL 15; `pg-pool/index.js` c9e57617",
};

static KEYCLOAK: Profile = Profile {
    name: "Keycloak",
    sizing: one_bound(
        &[Pool {
            size: untried("KC_DB_POOL_MAX_SIZE", Connections(100)),
            overflow: None,
            also: &["KC_DB_POOL_INITIAL_SIZE", "KC_DB_POOL_MIN_SIZE"],
        }],
        Fixed,
    ),
    engines: 1,
    processes: "1",
    eager: true,
    note: "Initial, least and most are set to the same, so that no pod asks for more later than it held at first.",
    source: "Red Hat build of Keycloak 22 to 26.4, all configuration; not run",
};

static HIKARI: Profile = Profile {
    name: "HikariCP",
    sizing: one_bound(
        &[Pool {
            size: Knob {
                env: "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE",
                unset: Connections(10),
                zero: Fails,
                negative: Fails,
                junk: Fails,
            },
            overflow: None,
            // The older spelling binds to the same property.
            also: &["SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE"],
        }],
        Fixed,
    ),
    engines: 1,
    processes: "1; `engines` is the number of data sources of this size",
    eager: true,
    note: "Spring Boot. A pool with another variable: profile Single.",
    source: "HikariCP 604d7d58, `HikariConfig.java`; Spring Boot's relaxed binding, read and not run",
};

static RAILS: Profile = Profile {
    name: "Rails",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "RAILS_MAX_THREADS",
            unset: Connections(5),
            zero: Fails,
            negative: Unlimited,
            junk: NotTried,
        })],
        May,
    ),
    engines: 1,
    processes: "`WEB_CONCURRENCY` (Puma workers), Sidekiq processes; `engines` is the number of databases",
    eager: false,
    note: "The variable of the generated `database.yml` sets Puma's threads as well, so each has its connection.",
    source: "rails 2a2db1e8 (8.1), `hash_config.rb`",
};

static ECTO: Profile = Profile {
    name: "Ecto",
    sizing: one_bound(&[one_knob(untried("POOL_SIZE", Connections(10)))], May),
    engines: 1,
    processes: "1; `engines` is `pool_count`",
    eager: true,
    note: "The variable of the `runtime.exs` that Phoenix generates.",
    source: "phoenix, `installer/lib/phx_new/generator.ex`; not run",
};

static GO: Profile = Profile {
    name: "Go",
    sizing: one_bound(&[one_knob(go("", Unlimited))], Must),
    engines: 1,
    processes: "1; `engines` is the number of `sql.DB`s",
    eager: false,
    note: "The app passes the variable to `db.SetMaxOpenConns`.",
    source: "Go, `database/sql`",
};

static GRAFANA: Profile = Profile {
    name: "Grafana",
    sizing: one_bound(&[one_knob(go("GF_DATABASE_MAX_OPEN_CONN", Unlimited))], Fixed),
    engines: 1,
    processes: "1",
    eager: false,
    note: "Its own database; what its data sources open is not counted.",
    source: "`database/sql`; the default from copies of `defaults.ini`, not run",
};

static TEMPORAL: Profile = Profile {
    name: "Temporal",
    sizing: one_bound(
        &[one_knob(go("SQL_MAX_CONNS", Connections(20))), one_knob(go("SQL_VIS_MAX_CONNS", Connections(10)))],
        Fixed,
    ),
    engines: 1,
    processes: "1; `engines` is the number of services in the pod (4 in one that runs all)",
    eager: false,
    note: "Two stores, each with a pool of the granted size; both are counted, also where visibility is elsewhere.",
    source: "temporal 6805caea, `config_template_embedded.yaml`, `postgresql/session/session.go`",
};

static GOTRUE: Profile = Profile {
    name: "GoTrue",
    sizing: Sizing::Written(Written {
        knobs: Knobs::ONE,
        pools: &[one_knob(go("GOTRUE_DB_MAX_POOL_SIZE", Unlimited))],
        switches: &[Switch { env: "GOTRUE_DB_CONN_PERCENTAGE", value: "0", by_default: true }],
        names: Fixed,
        companions: NO_COMPANIONS,
    }),
    engines: 1,
    processes: "1",
    eager: false,
    note: "Supabase Auth. A percentage of the server's connections would win over the size, so it is set to 0.",
    source: "supabase/auth bc32168e, `internal/conf/configuration.go`; not run",
};

static POSTGREST: Profile = Profile {
    name: "PostgREST",
    sizing: Sizing::Written(Written {
        knobs: Knobs::One { beside: 1 },
        pools: &[one_knob(untried("PGRST_DB_POOL", Connections(10)))],
        switches: &[],
        names: Fixed,
        companions: NO_COMPANIONS,
    }),
    engines: 1,
    processes: "1",
    eager: false,
    note: "It listens on a connection of its own beside the pool; that one is part of the size.",
    source: "postgrest 48346789, `docs/references/configuration.rst`; not run",
};

static STORAGE: Profile = Profile {
    name: "Storage",
    sizing: one_bound(&[one_knob(untried("DATABASE_MAX_CONNECTIONS", Connections(20)))], Fixed),
    engines: 1,
    processes: "1",
    eager: false,
    note: "Supabase Storage with one tenant.",
    source: "supabase/storage, its configuration; not run",
};

static OUTLINE: Profile = Profile {
    name: "Outline",
    sizing: one_bound(&[one_knob(untried("DATABASE_CONNECTION_POOL_MAX", Connections(5)))], Fixed),
    engines: 1,
    processes: "`WEB_CONCURRENCY`; `engines` is 3 with a read replica, whose pool is twice as large",
    eager: false,
    note: "",
    source: "outline d77dcdf8, `server/storage/database.ts`; not run",
};

static METABASE: Profile = Profile {
    name: "Metabase",
    sizing: one_bound(
        &[one_knob(untried("MB_APPLICATION_DB_MAX_CONNECTION_POOL_SIZE", Connections(15)))],
        Fixed,
    ),
    engines: 1,
    processes: "1",
    eager: false,
    note: "Its own database; what it opens to the databases that it shows is not counted.",
    source: "reports of users; not run",
};

static HASURA: Profile = Profile {
    name: "Hasura",
    sizing: one_bound(&[one_knob(untried("HASURA_GRAPHQL_PG_CONNECTIONS", Connections(50)))], Fixed),
    engines: 1,
    processes: "1; `engines` is the number of sources in this database",
    eager: false,
    note: "",
    source: "reports of users; not run",
};

static SINGLE: Profile = Profile {
    name: "Single",
    sizing: one_bound(&[one_knob(untried("", NotTried))], Must),
    engines: 1,
    processes: "processes with a pool of their own; `engines` is the number of pools in each",
    eager: false,
    note: "Any app whose pool has one bound that a variable sets.",
    source: "the app",
};

static SUPERSET: Profile = Profile {
    name: "Superset",
    sizing: Sizing::Counted { default: Some(15) },
    engines: 1,
    processes: "gunicorn workers and Celery processes",
    eager: false,
    note: "Its engine options stand in Python alone; databases that it shows are opened without a pool.",
    source: "apache-superset 6.1.0, `config.py`",
};

static ODOO: Profile = Profile {
    name: "Odoo",
    sizing: Sizing::Counted { default: Some(64) },
    engines: 1,
    processes: "workers, cron workers and gevent",
    eager: false,
    note: "`--db_maxconn` or `odoo.conf`; state the same number in `size`.",
    source: "odoo, `odoo/tools/config.py` and `sql_db.py`",
};

static PRISMA: Profile = Profile {
    name: "Prisma",
    sizing: Sizing::Counted { default: None },
    engines: 1,
    processes: "Node.js processes; `engines` is the number of clients in each",
    eager: false,
    note: "Up to version 6 the bound is `connection_limit` in `DATABASE_URL`, mostly from a Secret: put it there and state \
           the same number in `size`. Without it the bound depends on the CPUs of the node. Version 7: node-postgres.",
    source: "Prisma 6 and 7, connection pool pages",
};

static NULL_POOL: Profile = Profile {
    name: "NullPool",
    sizing: Sizing::Unbounded,
    engines: 1,
    processes: "",
    eager: false,
    note: "Each checkout opens a connection of its own, so no size bounds it. Use a QueuePool, or cap the database role \
           with `ALTER ROLE … CONNECTION LIMIT` and leave the label off.",
    source: "run: SQLAlchemy, 30 threads, 30 connections",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::names;

    #[test]
    fn every_profile_has_a_name_of_its_own_and_the_default_stands_first() {
        let unique: BTreeSet<&str> = ALL.iter().map(|profile| profile.name).collect();
        assert_eq!(unique.len(), ALL.len());
        assert_eq!(ALL[0].name, names::DEFAULT_PROFILE);
        assert!(std::ptr::eq(ALL[0], &raw const SQLALCHEMY));
    }

    #[test]
    fn a_profile_binds_no_variable_twice() {
        for profile in ALL {
            let names: Vec<&str> = profile.variables().map(|(name, _)| name).collect();
            let unique: BTreeSet<&&str> = names.iter().collect();
            assert_eq!(unique.len(), names.len(), "{}", profile.name);
        }
    }

    #[test]
    fn a_variable_without_a_name_is_one_that_an_annotation_has_to_name() {
        for profile in ALL {
            let unnamed = profile.variables().any(|(name, _)| name.is_empty());
            assert_eq!(unnamed, profile.own_names() == Must, "{}", profile.name);
        }
    }

    #[test]
    fn own_names_go_to_profiles_with_one_pool_and_no_other_variable() {
        for profile in ALL.iter().filter(|profile| profile.own_names() != Fixed) {
            let expected = if profile.has_both() { 2 } else { 1 };
            assert_eq!(profile.variables().count(), expected, "{}", profile.name);
        }
    }

    #[test]
    fn an_overflow_stands_exactly_where_both_can_be_told() {
        for profile in ALL {
            let pools = profile.written().map_or(&[] as &[Pool], |written| written.pools);
            assert!(
                pools.iter().all(|pool| pool.overflow.is_some() == profile.has_both()),
                "{}",
                profile.name
            );
        }
    }
}
