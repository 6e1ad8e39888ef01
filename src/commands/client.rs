//! The client: in the cluster by its ServiceAccount, elsewhere by the kubeconfig.

use std::time::Duration;

use anyhow::Context;
use kube::{Client, Config};

/// A client that leaves retrying to its callers: they know whether a request still makes sense.
pub(super) async fn client() -> anyhow::Result<Client> {
    // Two TLS providers in one process would make the first use of TLS panic; name the one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let mut config = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && std::env::var_os("KUBECONFIG").is_none()
    {
        Config::incluster().context("cannot read the ServiceAccount of this pod")?
    } else {
        Config::infer().await.context("cannot find a cluster: set KUBECONFIG, or run in a pod")?
    };
    config.connect_timeout = Some(Duration::from_secs(5));
    config.default_retry = false;
    Client::try_from(config).context("cannot make a client")
}
