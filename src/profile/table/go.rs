//! Apps in Go.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fails, Fixed, Knob, Knobs, Must, NO_COMPANIONS, NotTried, Overrides, PLAIN, Pool, Profile,
    Sizing, Switch, Unlimited, Written, floored, go, one_bound, one_knob, options, untried,
};

pub(super) static GO: Profile = Profile {
    name: "Go",
    sizing: one_bound(&[one_knob(go("", Unlimited))], Must),
    processes: "1; `engines` is the number of `sql.DB`s",
    note: "The app passes the variable to `db.SetMaxOpenConns`.",
    source: "Go, `database/sql`",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static GRAFANA: Profile = Profile {
    name: "Grafana",
    sizing: one_bound(&[one_knob(go("GF_DATABASE_MAX_OPEN_CONN", Unlimited))], Fixed),
    overrides: options(&["cfg:database.max_open_conn"]),
    processes: "1",
    note: "Its own database; what its data sources open is not counted.",
    source: "`database/sql`; the default from copies of `defaults.ini`, not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static TEMPORAL: Profile = Profile {
    name: "Temporal",
    sizing: one_bound(
        &[one_knob(go("SQL_MAX_CONNS", Connections(20))), one_knob(go("SQL_VIS_MAX_CONNS", Connections(10)))],
        Fixed,
    ),
    overrides: Overrides {
        files: &["/etc/temporal/config/config_template.yaml", "/etc/temporal/config/docker.yaml"],
        variables: &["TEMPORAL_SERVER_CONFIG_FILE_PATH"],
        options: &[],
    },
    processes: "1; `engines` is the number of services in the pod (4 in one that runs all)",
    note: "Two stores, each with a pool of the granted size; both are counted, also where visibility is elsewhere. The \
           variables are those of the template in the image. A template of your own wins over it, and the official chart \
           always brings one, in which the numbers are `maxConns`: use the profile Counted there and set \
           `connections-per-process` to the sum of both, or name `SQL_MAX_CONNS` in your template and use Single.",
    source: "temporal 6805caea, `config_template_embedded.yaml`, `postgresql/session/session.go`; temporalio/helm-charts e51b734, \
             `server-deployment.yaml` and `server-configmap.yaml`",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static GOTRUE: Profile = Profile {
    name: "GoTrue",
    sizing: Sizing::Written(Written {
        knobs: Knobs::ONE,
        pools: &[one_knob(go("GOTRUE_DB_MAX_POOL_SIZE", Unlimited))],
        switches: &[Switch { env: "GOTRUE_DB_CONN_PERCENTAGE", value: "0", by_default: true }],
        names: Fixed,
        companions: NO_COMPANIONS,
    }),
    processes: "1",
    note: "Supabase Auth. A percentage of the server's connections would win over the size, so it is set to 0.",
    source: "supabase/auth bc32168e, `internal/conf/configuration.go`; not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static CONCOURSE: Profile = Profile {
    name: "Concourse",
    sizing: one_bound(
        &[
            one_knob(go("CONCOURSE_API_MAX_CONNS", Connections(10))),
            one_knob(go("CONCOURSE_BACKEND_MAX_CONNS", Connections(50))),
        ],
        Fixed,
    ),
    extra: 21,
    overrides: options(&["api-max-conns", "backend-max-conns"]),
    processes: "1",
    note: "The web node. Beside the two pools it holds 6 connections for locks, 5 for garbage collection, 1 for \
           workers, 4 that listen, and 5 of the identity service in it.",
    source: "concourse/concourse 95872ce1, `atc/atccmd/command.go`, `atc/db/lock/lock.go`, `atc/db/open.go`; \
             concourse/dex 1.14.0, `storage/sql/config.go`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static INNGEST: Profile = Profile {
    name: "Inngest",
    sizing: one_bound(
        &[floored(
            Knob {
                env: "INNGEST_POSTGRES_MAX_OPEN_CONNS",
                formerly: None,
                unset: Connections(100),
                zero: Fails,
                negative: Fails,
                junk: NotTried,
            },
            &["INNGEST_POSTGRES_MAX_IDLE_CONNS"],
        )],
        Fixed,
    ),
    smallest: 2,
    overrides: options(&["postgres-max-open-conns"]),
    processes: "1",
    note: "`inngest start` ends at once with fewer than 2, and with more idle than open ones (10 idle when nobody \
           sets it): both are set to the same.",
    source: "inngest/inngest 253303cd, `cmd/start/start.go`, `cmd/internal/config/config.go`, \
             `pkg/db/postgres/migrations.go`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static MATTERMOST: Profile = Profile {
    name: "Mattermost",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "MM_SQLSETTINGS_MAXOPENCONNS",
            formerly: None,
            unset: Connections(300),
            zero: Fails,
            negative: Fails,
            junk: NotTried,
        })],
        Fixed,
    ),
    processes: "1; `engines` is 1 and the number of read and search replicas that lead to this database",
    note: "Each replica of `SqlSettings` has a pool of the same size; of those that are other servers nothing is \
           counted.",
    source: "mattermost/mattermost 013ae534, `server/channels/store/sqlstore/store.go`, and `SqlSettings` of \
             `server/public/model/config.go`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static HARBOR: Profile = Profile {
    name: "Harbor",
    sizing: one_bound(&[one_knob(go("POSTGRESQL_MAX_OPEN_CONNS", Unlimited))], Fixed),
    extra: 1,
    processes: "1",
    note: "Its core. The migration at start has a connection of its own. The job service reads no such variable: it \
           asks core, which tells it the number that core was given, so count it with the profile Counted and give \
           core a fixed size in the budget (least and most the same). For the exporter: Single with \
           `HARBOR_DATABASE_MAX_OPEN_CONNS`.",
    source: "goharbor/harbor c50c7ddd, `src/lib/config/metadata/metadatalist.go`, `src/common/dao/pgsql.go`, \
             `src/core/main.go`, `src/jobservice/job/impl/context.go`, `src/cmd/exporter/main.go`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static ZITADEL: Profile = Profile {
    name: "Zitadel",
    sizing: one_bound(&[one_knob(untried("ZITADEL_DATABASE_POSTGRES_MAXOPENCONNS", Connections(10)))], Fixed),
    processes: "1",
    note: "One pool of pgx; the number of idle ones bounds nothing in it. With 0 the bound depends on the CPUs of \
           the node.",
    source: "zitadel/zitadel 00114481, `cmd/defaults.yaml`, 07d4c102, `internal/database/postgres/pg.go`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static GITEA: Profile = Profile {
    name: "Gitea",
    sizing: one_bound(
        &[Pool {
            size: Knob {
                env: "GITEA__database__MAX_OPEN_CONNS",
                formerly: None,
                unset: Unlimited,
                zero: Unlimited,
                negative: Unlimited,
                junk: Unlimited,
            },
            overflow: None,
            // The section may be written in capitals.
            also: &["GITEA__DATABASE__MAX_OPEN_CONNS"],
            floors: &[],
        }],
        Fixed,
    ),
    overrides: Overrides {
        files: &[],
        variables: &["GITEA__database__MAX_OPEN_CONNS__FILE", "GITEA__DATABASE__MAX_OPEN_CONNS__FILE"],
        options: &[],
    },
    processes: "1",
    note: "The entrypoint of its image writes the variables into `app.ini` at each start, over what stands there.",
    source: "go-gitea/gitea 01da3d4d, `modules/setting/database.go`, 00c93ca8, `modules/setting/config_env.go`, \
             1372c110, `docker/root/etc/s6/gitea/setup`; not run",
    read: "2026-11-27",
    ..PLAIN
};
