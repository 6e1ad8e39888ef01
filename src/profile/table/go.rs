//! Apps in Go.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fixed, Knobs, Must, NO_COMPANIONS, Overrides, Profile, Sizing, Switch, Unlimited, Written,
    go, one_bound, one_knob, options,
};

pub(super) static GO: Profile = Profile {
    name: "Go",
    sizing: one_bound(&[one_knob(go("", Unlimited))], Must),
    engines: 1,
    smallest: 1,
    extra: 0,
    overrides: Overrides::NONE,
    processes: "1; `engines` is the number of `sql.DB`s",
    eager: false,
    note: "The app passes the variable to `db.SetMaxOpenConns`.",
    source: "Go, `database/sql`",
    read: "2026-11-21",
};

pub(super) static GRAFANA: Profile = Profile {
    name: "Grafana",
    sizing: one_bound(&[one_knob(go("GF_DATABASE_MAX_OPEN_CONN", Unlimited))], Fixed),
    engines: 1,
    smallest: 1,
    extra: 0,
    overrides: options(&["cfg:database.max_open_conn"]),
    processes: "1",
    eager: false,
    note: "Its own database; what its data sources open is not counted.",
    source: "`database/sql`; the default from copies of `defaults.ini`, not run",
    read: "2026-11-21",
};

pub(super) static TEMPORAL: Profile = Profile {
    name: "Temporal",
    sizing: one_bound(
        &[one_knob(go("SQL_MAX_CONNS", Connections(20))), one_knob(go("SQL_VIS_MAX_CONNS", Connections(10)))],
        Fixed,
    ),
    engines: 1,
    smallest: 1,
    extra: 0,
    overrides: Overrides {
        files: &["/etc/temporal/config/config_template.yaml", "/etc/temporal/config/docker.yaml"],
        variables: &["TEMPORAL_SERVER_CONFIG_FILE_PATH"],
        options: &[],
    },
    processes: "1; `engines` is the number of services in the pod (4 in one that runs all)",
    eager: false,
    note: "Two stores, each with a pool of the granted size; both are counted, also where visibility is elsewhere. The \
           variables are those of the template in the image. A template of your own wins over it, and the official chart \
           always brings one, in which the numbers stand as `maxConns`: use the profile Counted there, with `size` the sum of \
           both, or name `SQL_MAX_CONNS` in your template and use Single.",
    source: "temporal 6805caea, `config_template_embedded.yaml`, `postgresql/session/session.go`; temporalio/helm-charts e51b734, \
             `server-deployment.yaml` and `server-configmap.yaml`",
    read: "2026-11-27",
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
    engines: 1,
    smallest: 1,
    extra: 0,
    overrides: Overrides::NONE,
    processes: "1",
    eager: false,
    note: "Supabase Auth. A percentage of the server's connections would win over the size, so it is set to 0.",
    source: "supabase/auth bc32168e, `internal/conf/configuration.go`; not run",
    read: "2026-11-21",
};
