//! `poolbudget run`: the operator.
//!
//! The first signal lets running work end and gives the Lease up; the second ends the process at once.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::client::client;
use crate::controller::{self, API_SERVER, Identity};
use crate::telemetry::http::{self, Readiness};
use crate::telemetry::metrics::Metrics;

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "POOLBUDGET_HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    http_address: SocketAddr,
    /// Name of the Lease that says who leads
    #[arg(long, default_value = "poolbudget")]
    lease_name: String,
    /// Namespace of that Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "poolbudget-system")]
    namespace: String,
    /// Name of this replica, unique among them
    #[arg(long, env = "POD_NAME", default_value_t = anonymous())]
    identity: String,
}

fn anonymous() -> String {
    format!("poolbudget-{}", std::process::id())
}

pub(super) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let client = client().await?;
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    let metrics = Metrics::default();
    let readiness = Readiness::awaiting(&[API_SERVER]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity = args.identity, "starting");
    let identity = Identity { namespace: args.namespace, lease: args.lease_name, name: args.identity };
    let served = http::serve(args.http_address, metrics.clone(), readiness.clone(), stop.clone());
    let controller = controller::run(client, identity, metrics, readiness, stop.clone());
    tokio::pin!(controller);
    tokio::select! {
        served = served => {
            served.with_context(|| format!("cannot serve on {}", args.http_address))?;
            controller.await;
        }
        () = &mut controller => {}
    }
    tracing::info!("stopped");
    Ok(())
}

fn on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if stop.is_cancelled() {
                tracing::warn!(signal = name, "ending at once");
                std::process::exit(1);
            }
            tracing::info!(signal = name, "ending when running work is done");
            stop.cancel();
        }
    });
    Ok(())
}
