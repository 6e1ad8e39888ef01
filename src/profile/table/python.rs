//! Apps in Python.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fails, Fixed, Knob, Knobs, May, NO_COMPANIONS, NotTried, PLAIN, Profile, Sizing, Switch,
    Unlimited, Written, one_knob, queue_pool, two_knobs, untried,
};

/// Python with SQLAlchemy's QueuePool, the most common case.
pub static SQLALCHEMY: Profile = Profile {
    name: "SQLAlchemy",
    sizing: Sizing::Written(Written {
        knobs: Knobs::BOTH,
        pools: &[two_knobs(
            Knob {
                env: "DB_POOL_SIZE",
                formerly: None,
                unset: Connections(5),
                zero: Unlimited,
                negative: Unlimited,
                junk: Fails,
            },
            Knob {
                env: "DB_MAX_OVERFLOW",
                formerly: None,
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
    processes: "worker processes: `gunicorn -w`, `uvicorn --workers`; `engines` is 2 for a sync and an async one",
    note: "SQLAlchemy reads no variable by itself: the app passes these to `create_engine`.",
    source: "run: SQLAlchemy 1.4.54, 2.0.58 and 2.1.9 on PostgreSQL 15",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static AIRFLOW: Profile = Profile {
    name: "Airflow",
    sizing: queue_pool(
        &[two_knobs(
            Knob {
                env: "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE",
                formerly: Some("AIRFLOW__CORE__SQL_ALCHEMY_POOL_SIZE"),
                unset: Connections(5),
                zero: Unlimited,
                negative: Unlimited,
                junk: Fails,
            },
            Knob {
                env: "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW",
                formerly: Some("AIRFLOW__CORE__SQL_ALCHEMY_MAX_OVERFLOW"),
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
    note: "Each process has a sync and an async engine; both are counted. Airflow 2.3 to 2.11 still read the names of the \
           section `core` where the new ones are not set; a pod without a grant is counted by whichever allows more.",
    source: "apache-airflow-core 3.3.2, `config.yml` and `settings.py`; the older names: `configuration.py` of 2 \
             and of 3",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static DIFY: Profile = Profile {
    name: "Dify",
    sizing: queue_pool(
        &[two_knobs(
            Knob {
                env: "SQLALCHEMY_POOL_SIZE",
                formerly: None,
                unset: Connections(30),
                zero: Unlimited,
                negative: Fails,
                junk: Fails,
            },
            Knob {
                env: "SQLALCHEMY_MAX_OVERFLOW",
                formerly: None,
                unset: Connections(10),
                zero: Connections(0),
                negative: Fails,
                junk: Fails,
            },
        )],
        [Some("SQLALCHEMY_POOL_TIMEOUT"), Some("SQLALCHEMY_POOL_RECYCLE"), Some("SQLALCHEMY_POOL_PRE_PING")],
    ),
    processes: "`SERVER_WORKER_AMOUNT` of an api pod, `CELERY_WORKER_AMOUNT` of a worker pod (1 and 1)",
    note: "What it is told is checked when it starts.",
    source: "langgenius/dify 0064a2d8, `api/configs/middleware/__init__.py`, `api/docker/entrypoint.sh`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static OPEN_WEBUI: Profile = Profile {
    name: "OpenWebUI",
    sizing: queue_pool(
        &[two_knobs(
            Knob {
                env: "DATABASE_POOL_SIZE",
                formerly: None,
                unset: Connections(5),
                zero: Unlimited,
                negative: NotTried,
                junk: Connections(5),
            },
            Knob {
                env: "DATABASE_POOL_MAX_OVERFLOW",
                formerly: None,
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
    note: "Each process has a sync and an async engine; both are counted. A size of 0 is its NullPool. With a size and \
           no overflow the overflow is 0; the count says 10 then.",
    source: "open-webui 0.12.4, `env.py` and `internal/db.py`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static MLFLOW: Profile = Profile {
    name: "MLflow",
    sizing: Sizing::Written(Written {
        knobs: Knobs::Both { least_overflow: 1, beside: 0 },
        pools: &[two_knobs(
            Knob {
                env: "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
                formerly: None,
                unset: Connections(5),
                zero: Connections(5),
                negative: Unlimited,
                junk: Fails,
            },
            Knob {
                env: "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
                formerly: None,
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
    smallest: 2,
    processes: "server workers (`mlflow server --workers`, 4 by itself); `engines` is the number of stores in another \
                database or with a URI of their own",
    note: "An overflow of 0 is ignored and becomes 10, so its smallest size is 1 + 1.",
    source: "run: mlflow-skinny 3.17.2 on PostgreSQL 15; `store/db/utils.py`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static LITELLM: Profile = Profile {
    name: "LiteLLM",
    sizing: Sizing::Written(Written {
        knobs: Knobs::ONE,
        pools: &[one_knob(untried("LITELLM_PGBOUNCER_MAX_DB_CONNECTIONS", Unlimited))],
        switches: &[Switch { env: "LITELLM_PGBOUNCER_ENABLED", value: "true", by_default: false }],
        names: Fixed,
        companions: NO_COMPANIONS,
    }),
    processes: "leave it out: one PgBouncer in the pod serves all `NUM_WORKERS`; `engines` is 2 with \
                `DATABASE_URL_READ_REPLICA`",
    note: "Its own PgBouncer is switched on. Without that it opens 10 for each worker and engine, which no variable \
           bounds, and which counts as unlimited here.",
    source: "litellm 1.109.1, `proxy_cli.py` and `db/pgbouncer.py`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static SUPERSET: Profile = Profile {
    name: "Superset",
    sizing: Sizing::Counted { default: Some(15) },
    processes: "gunicorn workers and Celery processes",
    note: "Its engine options stand in Python alone; databases that it shows are opened without a pool.",
    source: "apache-superset 6.1.0, `config.py`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static ODOO: Profile = Profile {
    name: "Odoo",
    sizing: Sizing::Counted { default: Some(64) },
    processes: "workers, cron workers and gevent",
    note: "`--db_maxconn` or `odoo.conf`; set `connections-per-process` to the same number.",
    source: "odoo, `odoo/tools/config.py` and `sql_db.py`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static NULL_POOL: Profile = Profile {
    name: "NullPool",
    sizing: Sizing::Unbounded,
    processes: "",
    note: "Each checkout opens a connection of its own, so no size bounds it. Use a QueuePool, or [the governor](governor.md) \
           with the profile Counted, or cap the database role with `ALTER ROLE … CONNECTION LIMIT` and leave the label off.",
    source: "run: SQLAlchemy, 30 threads, 30 connections",
    read: "2026-11-21",
    ..PLAIN
};
