//! Apps on the Java virtual machine.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fails, Fixed, Knob, PLAIN, Pool, Profile, floored, one_bound, one_knob, options, strict,
    untried,
};

pub(super) static KEYCLOAK: Profile = Profile {
    name: "Keycloak",
    sizing: one_bound(
        &[Pool {
            size: untried("KC_DB_POOL_MAX_SIZE", Connections(100)),
            overflow: None,
            also: &[],
            floors: &["KC_DB_POOL_INITIAL_SIZE", "KC_DB_POOL_MIN_SIZE"],
        }],
        Fixed,
    ),
    smallest: 4,
    overrides: options(&["db-pool-max-size", "kc.db-pool-max-size"]),
    processes: "1",
    eager: true,
    note: "Initial, least and most are set to the same, so that no pod asks for more later than it held at first. With \
           jdbc-ping, by which its pods find each other since 26.1, it does not start with fewer than 4: it nests \
           transactions when it registers itself, and newer versions check the number.",
    source: "Red Hat build of Keycloak 22 to 26.4, all configuration; the smallest: keycloak/keycloak, issue 46673 and pull \
             request 46737; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static HIKARI: Profile = Profile {
    name: "HikariCP",
    sizing: one_bound(
        &[Pool {
            size: Knob {
                env: "SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE",
                formerly: None,
                unset: Connections(10),
                zero: Fails,
                negative: Fails,
                junk: Fails,
            },
            overflow: None,
            // The older spelling binds to the same property.
            also: &["SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE"],
            floors: &[],
        }],
        Fixed,
    ),
    overrides: options(&["spring.datasource.hikari.maximum-pool-size"]),
    processes: "1; `engines` is the number of data sources of this size",
    eager: true,
    note: "Spring Boot. A pool with another variable: profile Single. A least number of idle ones above the size is taken for \
           the size.",
    source: "HikariCP 604d7d58, `HikariConfig.java`; Spring Boot's relaxed binding, read and not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static METABASE: Profile = Profile {
    name: "Metabase",
    sizing: one_bound(
        &[one_knob(untried("MB_APPLICATION_DB_MAX_CONNECTION_POOL_SIZE", Connections(15)))],
        Fixed,
    ),
    processes: "1",
    note: "Its own database; what it opens to the databases that it shows is not counted.",
    source: "reports of users; not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static QUARKUS: Profile = Profile {
    name: "Quarkus",
    sizing: one_bound(
        &[floored(
            strict("QUARKUS_DATASOURCE_JDBC_MAX_SIZE", Connections(20)),
            &["QUARKUS_DATASOURCE_JDBC_MIN_SIZE", "QUARKUS_DATASOURCE_JDBC_INITIAL_SIZE"],
        )],
        Fixed,
    ),
    overrides: options(&["quarkus.datasource.jdbc.max-size"]),
    processes: "1; `engines` is 1: data sources with a name have variables of their own, for them use Single",
    eager: true,
    note: "The JDBC pool of the default data source. Initial, least and most are set to the same; a least above the \
           most stops it. A reactive pool is not bounded by these.",
    source: "quarkusio/quarkus 1d7fc55f, `DataSourceJdbcRuntimeConfig.java`; agroal b89d00f, \
             `AgroalConnectionPoolConfigurationSupplier.java`; not run",
    read: "2026-11-27",
    ..PLAIN
};
