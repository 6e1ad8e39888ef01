//! Whose a connection is, by the word of the server: its pod's, unless the app names it itself.
//!
//! The env is made as for a pod: `poolbudget inject` binds it, and what stands for a kubelet resolves it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::postgres::env::{Secrets, variables};
use testkit::postgres::place;
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::process::{Process, Spec};

use crate::profiles::injected;

/// A busy machine starts Python slowly.
const DEADLINE: Duration = Duration::from_secs(60);

/// The name of a pod of a ReplicaSet.
const POD: &str = "api-7d4b9c6f5-x2x7l";

/// An app, by the driver that it connects with.
#[derive(Clone, Copy)]
enum Driver {
    /// libpq.
    Psycopg,
    /// Without libpq.
    Asyncpg,
    /// Without libpq.
    NodePostgres,
}

impl Driver {
    fn command(self) -> Result<(PathBuf, Vec<OsString>)> {
        let app = |name: &str| place::apps().join(name).into_os_string();
        Ok(match self {
            Self::Psycopg => (place::python()?.join("python3"), vec![app("client.py")]),
            Self::Asyncpg => (place::python()?.join("python3"), vec![app("tasks.py")]),
            Self::NodePostgres => (place::node()?, vec![app("crowd.js")]),
        })
    }
}

/// The `application_name` of the connections of a pod; `options` are what its connection string says beside the address.
async fn name_of(driver: Driver, pod: &str, options: &str) -> Result<String> {
    let server = Server::start(20).await?;
    let url = format!("postgresql://app@127.0.0.1:{}/app{options}", server.port());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod, "labels": {"poolbudget.dev/budget": "main"}, "annotations": {
            "poolbudget.dev/profile": "node-postgres", "poolbudget.dev/pool-size-env": "PG_MAX",
        }},
        "spec": {"containers": [{"name": "app", "image": "app", "env": [{"name": "DATABASE_URL", "value": url}]}]},
    });
    let mut pod = injected(&server, &pod)?;
    pod["metadata"]["annotations"]["poolbudget.dev/pool-size"] = json!("1");
    let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod)?;
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("a container")?;
    let variables = variables(&pod, container, &Secrets::new())?;
    let mut env: BTreeMap<String, OsString> =
        variables.into_iter().map(|(name, value)| (name, value.into())).collect();
    env.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into());
    env.insert("NODE_PATH".to_owned(), place::node_modules().into());
    let (program, args) = driver.command()?;
    let log = server.folder().file("app.log");
    let mut app = Process::start(&Spec { name: "the app".to_owned(), program, args, env, log: log.clone() })?;
    let asked = "select distinct '<' || application_name || '>' from pg_stat_activity where usename = 'app'";
    let mut names = String::new();
    until(DEADLINE, "the app is connected", async || {
        app.expect_running().with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        names = server.sql(asked).await?.trim().to_owned();
        ensure!(!names.is_empty(), "nobody is there");
        Ok(())
    })
    .await?;
    Ok(names)
}

#[tokio::test]
async fn a_connection_of_psycopg_or_of_node_postgres_has_the_name_of_its_pod() {
    for driver in [Driver::Psycopg, Driver::NodePostgres] {
        assert_eq!(name_of(driver, POD, "").await.unwrap(), format!("<{POD}>"));
    }
}

#[tokio::test]
async fn an_app_that_names_its_connections_itself_keeps_their_name() {
    for driver in [Driver::Psycopg, Driver::NodePostgres] {
        assert_eq!(name_of(driver, POD, "?application_name=shop").await.unwrap(), "<shop>");
    }
}

/// What does not fit is cut off by the server, and refuses nobody.
#[tokio::test]
async fn of_a_long_name_the_server_keeps_the_beginning() {
    let long = format!("{}-7d4b9c6f5-x2x7l", "a".repeat(60));
    assert_eq!(name_of(Driver::Psycopg, &long, "").await.unwrap(), format!("<{}>", &long[..63]));
}

/// So docs/admission.md says how an app passes it on.
#[tokio::test]
async fn a_connection_of_asyncpg_has_no_name() {
    assert_eq!(name_of(Driver::Asyncpg, POD, "").await.unwrap(), "<>");
}
