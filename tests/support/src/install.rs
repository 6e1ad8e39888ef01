//! The chart in a cluster, and the program that stands in for its pods.
//!
//! In: a cluster without poolbudget. Out: one whose policies are in force, and replicas of the operator as the chart's
//! Deployment describes them, with its ServiceAccount's token.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::cluster::Cluster;
use super::operator::Operator;
use super::place;
use super::tools::Version;

/// The namespace of the operator.
pub const SYSTEM: &str = "poolbudget-system";

/// The name of the release, and so of its Deployment.
pub const RELEASE: &str = "poolbudget";

/// The namespace of the operator as docs/trust.md wants it: only pods that meet the level restricted run there.
const SYSTEM_NAMESPACE: &str = r#"{
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "poolbudget-system", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
}"#;

/// A governed pod of a budget that does not exist; only ever a dry run.
const PROBE: &str = r#"{
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "namespace": "default", "labels": {"poolbudget.dev/budget": "probe"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]}
}"#;

/// The released operator, unless `POOLBUDGET_BINARY` names another build.
pub fn operator_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("POOLBUDGET_BINARY") {
        return PathBuf::from(path).canonicalize().context("POOLBUDGET_BINARY names no file");
    }
    let path = place::target().join("release/poolbudget");
    ensure!(path.exists(), "run `make release`: there is no {}", path.display());
    Ok(path)
}

/// The chart of this tree.
pub fn chart() -> PathBuf {
    place::root().join("charts/poolbudget")
}

impl Cluster {
    /// Installs a chart and waits until its policies are in force. With the webhook, nothing is in force before the
    /// first replica serves it.
    pub async fn install_chart(&self, chart: &Path) -> Result<()> {
        let chart = chart.display().to_string();
        self.apply(SYSTEM_NAMESPACE).await?;
        let mut args = vec!["install", RELEASE, &chart, "-n", SYSTEM];
        let place = self.webhook_place();
        if self.tools().version() == Version::Older {
            args.extend(["--set", &place]);
            self.helm(&args).await?;
            return Ok(());
        }
        self.helm(&args).await?;
        self.until_gated().await
    }

    /// The chart value that says where the API server finds the webhook: a Service cannot lead to a process.
    pub fn webhook_place(&self) -> String {
        format!("admission.webhook.url={}", self.relay().url())
    }

    /// Waits until pods are created with a gate.
    pub async fn until_gated(&self) -> Result<()> {
        let probe = self.folder().write("probe.json", PROBE)?.display().to_string();
        self.until("pods are born with a gate", || self.gates(&probe)).await
    }

    async fn gates(&self, probe: &str) -> Result<()> {
        let gates = "jsonpath={.spec.schedulingGates[*].name}";
        let gates = self.kubectl(&["create", "--dry-run=server", "-o", gates, "-f", probe]).await?;
        ensure!(gates.contains("poolbudget.dev/connections"), "a governed pod has the gates {gates:?}");
        Ok(())
    }

    /// Starts the operator as the chart's pod with this name would run it.
    pub async fn start_replica(&self, pod: &str) -> Result<Operator> {
        let launch = self.launch_of(SYSTEM, RELEASE, pod, &operator_binary()?).await?;
        let operator = self.start_operator(&launch)?;
        if self.tools().version() == Version::Older {
            self.until_gated().await?;
        }
        Ok(operator)
    }
}
