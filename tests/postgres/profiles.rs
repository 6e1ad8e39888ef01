//! What profiles say of real stacks: with the env that a pod is given, a pool opens what was granted, and no more.
//!
//! The env is made as for a pod: `poolbudget inject` binds it, the grant is annotations, and what stands for a kubelet
//! resolves it. A crowd larger than any grant then asks for connections, and the server is asked what it holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use testkit::install::operator_binary;
use testkit::postgres::count::Count;
use testkit::postgres::env::{Secrets, variables};
use testkit::postgres::place;
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::process::{Process, Spec};

/// A busy machine starts Python slowly.
const DEADLINE: Duration = Duration::from_secs(120);

/// A pod of a stack.
struct Stack {
    profile: &'static str,
    annotations: &'static [(&'static str, &'static str)],
    /// What its template sets by itself; the gate replaces it.
    literal: (&'static str, &'static str),
}

const SQLALCHEMY: Stack = Stack { profile: "SQLAlchemy", annotations: &[], literal: ("DB_POOL_SIZE", "20") };

const MLFLOW: Stack =
    Stack { profile: "MLflow", annotations: &[], literal: ("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", "0") };

const NODE_POSTGRES: Stack = Stack {
    profile: "node-postgres",
    annotations: &[("poolbudget.dev/pool-size-env", "PG_MAX")],
    literal: ("PG_MAX", "25"),
};

impl Stack {
    /// The pod as it is granted these sizes.
    fn granted(&self, server: &Server, pool_size: u32, max_overflow: u32) -> Result<Pod> {
        let mut annotations = json!({"poolbudget.dev/profile": self.profile});
        for (key, value) in self.annotations {
            annotations[*key] = json!(value);
        }
        let (name, value) = self.literal;
        let url = format!("postgresql://app@127.0.0.1:{}/app", server.port());
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "app", "labels": {"poolbudget.dev/budget": "main"}, "annotations": annotations},
            "spec": {"containers": [{"name": "app", "image": "app", "env": [
                {"name": name, "value": value}, {"name": "DATABASE_URL", "value": url},
            ]}]},
        });
        let mut pod = injected(server, &pod)?;
        pod["metadata"]["annotations"]["poolbudget.dev/pool-size"] = json!(pool_size.to_string());
        pod["metadata"]["annotations"]["poolbudget.dev/max-overflow"] = json!(max_overflow.to_string());
        Ok(serde_json::from_value(pod)?)
    }

    fn command(&self) -> Result<(PathBuf, Vec<OsString>)> {
        let app = |name: &str| place::apps().join(name).into_os_string();
        Ok(match self.profile {
            "node-postgres" => (place::node()?, vec![app("crowd.js")]),
            stack => (place::python()?.join("python3"), vec![app("crowd.py"), stack.into()]),
        })
    }
}

/// The pod as `poolbudget inject` writes it.
pub(crate) fn injected(server: &Server, pod: &Value) -> Result<Value> {
    let file = server.folder().file("pod.json");
    fs::write(&file, pod.to_string())?;
    let output =
        std::process::Command::new(operator_binary()?).arg("inject").arg("-f").arg(&file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_yaml::from_slice(&output.stdout).context("read what inject wrote")
}

/// The most connections that the server held while the crowd was served.
async fn peak(stack: &Stack, pool_size: u32, max_overflow: u32) -> Result<u64> {
    let server = Server::start(40).await?;
    let pod = stack.granted(&server, pool_size, max_overflow)?;
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("a container")?;
    let mut count = Count::start(&server, None).await?;
    let mut env: BTreeMap<String, OsString> = variables(&pod, container, &Secrets::new())?
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    env.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into());
    env.insert("NODE_PATH".to_owned(), place::node_modules().into());
    let (program, args) = stack.command()?;
    let log = server.folder().file("crowd.log");
    let mut crowd =
        Process::start(&Spec { name: "the crowd".to_owned(), program, args, env, log: log.clone() })?;
    until(DEADLINE, "the crowd was served", async || {
        let ended = crowd.ended()?.context("it still waits")?;
        ensure!(ended.success(), "{ended}: {}", fs::read_to_string(&log).unwrap_or_default());
        Ok(())
    })
    .await?;
    Ok(count.samples().await?.iter().map(|sample| sample.backends).max().unwrap_or(0))
}

#[tokio::test]
async fn a_pool_of_sqlalchemy_opens_what_it_was_granted() {
    assert_eq!(peak(&SQLALCHEMY, 1, 0).await.unwrap(), 1);
    assert_eq!(peak(&SQLALCHEMY, 2, 3).await.unwrap(), 5);
}

#[tokio::test]
async fn a_store_of_mlflow_opens_what_it_was_granted() {
    assert_eq!(peak(&MLFLOW, 1, 1).await.unwrap(), 2);
    assert_eq!(peak(&MLFLOW, 2, 3).await.unwrap(), 5);
}

/// Why its smallest size is 1 + 1.
#[tokio::test]
async fn an_overflow_of_zero_is_ten_to_mlflow() {
    assert_eq!(peak(&MLFLOW, 1, 0).await.unwrap(), 11);
}

#[tokio::test]
async fn a_pool_of_node_postgres_opens_what_it_was_granted() {
    assert_eq!(peak(&NODE_POSTGRES, 1, 0).await.unwrap(), 1);
    assert_eq!(peak(&NODE_POSTGRES, 4, 0).await.unwrap(), 4);
}
