//! Apps in other languages, and of any kind.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fixed, May, Must, NotTried, Overrides, PLAIN, Pool, Profile, Sizing, Unlimited, go,
    one_bound, one_knob, untried,
};

pub(super) static ECTO: Profile = Profile {
    name: "Ecto",
    sizing: one_bound(&[one_knob(untried("POOL_SIZE", Connections(10)))], May),
    smallest: 2,
    processes: "1; `engines` is `pool_count`",
    eager: true,
    note: "The variable of the `runtime.exs` that Phoenix generates. A migration takes two connections, one of which holds its \
           lock, and Ecto refuses to migrate with a pool of 1; it is not to be seen whether an app migrates when it starts. For \
           one that never does: profile Single.",
    source: "phoenix, `installer/lib/phx_new/generator.ex`; the smallest: ecto_sql 5e45b43, `lib/ecto/adapters/postgres.ex`; \
             not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static POSTGREST: Profile = Profile {
    name: "PostgREST",
    sizing: one_bound(&[one_knob(untried("PGRST_DB_POOL", Connections(10)))], Fixed),
    extra: 1,
    processes: "1",
    note: "It listens on a connection of its own beside the pool; that one is part of the size.",
    source: "postgrest 48346789, `docs/references/configuration.rst`; not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static HASURA: Profile = Profile {
    name: "Hasura",
    sizing: one_bound(&[one_knob(untried("HASURA_GRAPHQL_PG_CONNECTIONS", Connections(50)))], Fixed),
    processes: "1; `engines` is the number of sources in this database",
    note: "",
    source: "reports of users; not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static SINGLE: Profile = Profile {
    name: "Single",
    sizing: one_bound(&[one_knob(untried("", NotTried))], Must),
    processes: "processes with a pool of their own; `engines` is the number of pools in each",
    note: "Any app whose pool has one bound that a variable sets.",
    source: "the app",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static COUNTED: Profile = Profile {
    name: "Counted",
    sizing: Sizing::Counted { default: None },
    processes: "processes with a pool of their own; `engines` is the number of pools in each",
    note: "Any app that no variable can size, or whose size something else sets: a configuration file, an option, the chart. \
           It must really be limited to what `connections-per-process` says.",
    source: "the app",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static PGBOUNCER: Profile = Profile {
    name: "PgBouncer",
    sizing: one_bound(
        &[Pool {
            size: go("MAX_DB_CONNECTIONS", Unlimited),
            overflow: None,
            // The same in Bitnami's image.
            also: &["PGBOUNCER_MAX_DB_CONNECTIONS"],
            floors: &[],
        }],
        Fixed,
    ),
    overrides: Overrides {
        files: &[
            "/etc/pgbouncer/pgbouncer.ini",
            "/bitnami/pgbouncer/conf/pgbouncer.ini",
            "/opt/bitnami/pgbouncer/conf/pgbouncer.ini",
        ],
        variables: &[],
        options: &[],
    },
    processes: "1; `engines` is the number of databases in its configuration",
    note: "A pooler in front of the database: what is counted are its connections to the server. \
           `max_db_connections` bounds them for each database, whatever pools of users there are; without it every \
           pair of user and database has a pool of `default_pool_size`. Its clients take no part in the budget.",
    source: "pgbouncer/pgbouncer 0127dbad, `doc/config.md`; edoburu/docker-pgbouncer 91a581b, `entrypoint.sh`; \
             bitnami/containers 00a25828, `bitnami/pgbouncer/README.md`; not run",
    read: "2026-11-27",
    ..PLAIN
};
