//! The client: in the cluster it uses the ServiceAccount, elsewhere the kubeconfig, as kubectl would choose.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::controller::lists::BoundedAnswers;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::requests::CountedRequests;

/// Which cluster a command talks to, and where in it.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ClusterArgs {
    /// Namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A client, and the namespace that its user is in.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl ClusterArgs {
    /// Connects as these flags say. It does not send a request yet.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let mut config = self.config().await?;
        // On a timeout, the caller can do no better than send the request again.
        config.default_retry = true;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(prepared(config)).context("cannot make a client")?;
        Ok(Connection { client, namespace })
    }

    /// The namespace that a flag names.
    pub(super) fn named(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        if let Some(file) = &self.kubeconfig {
            let read = async { Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await };
            return read
                .await
                .map_err(|error| anyhow!("cannot use the kubeconfig {}: {error}", file.display()));
        }
        match &self.context {
            Some(context) => Config::from_kubeconfig(&options).await.map_err(|error| {
                anyhow!("cannot use the context {context}: {error}; see `kubectl config get-contexts`")
            }),
            None => here().await,
        }
    }
}

/// A client of the cluster that this process runs in. It counts requests, and bounds answers, because it shares a memory
/// limit.
pub(super) async fn client(metrics: &Metrics) -> anyhow::Result<Client> {
    let mut config = here().await?;
    // The callers decide about retries: they know whether a request still makes sense.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(prepared(config)).context("cannot make a client")?;
    Ok(builder.with_layer(&CountedRequests(metrics.clone())).with_layer(&BoundedAnswers).build())
}

async fn here() -> anyhow::Result<Config> {
    let in_a_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_a_pod && std::env::var_os("KUBECONFIG").is_none() {
        return Config::incluster().context("cannot read the ServiceAccount of this pod");
    }
    // Not `infer`: its error would be about a ServiceAccount that the user did not mean.
    Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .map_err(|error| anyhow!("cannot find a cluster: {error}; set KUBECONFIG, or run in a pod"))
}

fn prepared(mut config: Config) -> Config {
    // With two TLS providers in one process the first use of TLS would panic, so choose one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    config.connect_timeout = Some(Duration::from_secs(5));
    config
}
