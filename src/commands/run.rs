//! `poolbudget run`: the operator.
//!
//! After the first signal it is not ready, finishes running work and gives the Lease up; the second ends the process at
//! once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio_util::sync::CancellationToken;

use super::client::client;
use super::process::{on_signal, without_core_dumps};
use super::{explain, stranger};
use crate::controller::secrets::Secrets;
use crate::controller::{self, API_SERVER, Identity, Vantage};
use crate::database::https::Origin;
use crate::database::supabase::{self, Projects, Supabase};
use crate::network::Network;
use crate::page;
use crate::page::access::{self, Access};
use crate::page::source::{self, Hall};
use crate::telemetry::http::{self, Readiness};
use crate::telemetry::metrics::Metrics;
use crate::webhook::{self, Source};

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Address that serves /livez, /readyz, /health, /debug/db-pool and /metrics
    #[arg(long, env = "POOLBUDGET_HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    http_address: SocketAddr,
    /// Name of the Lease for leader election
    #[arg(long, default_value = "poolbudget")]
    lease_name: String,
    /// Namespace of that Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "poolbudget-system")]
    namespace: String,
    /// Name of this replica, unique among the replicas
    #[arg(long, env = "POD_NAME", default_value_t = anonymous())]
    identity: String,
    /// Address that serves admission reviews over HTTPS; without it, none are served
    #[arg(long, env = "POOLBUDGET_WEBHOOK_ADDRESS")]
    webhook_address: Option<SocketAddr>,
    /// Host name that API servers connect to [default: poolbudget-webhook.NAMESPACE.svc]
    #[arg(long, env = "POOLBUDGET_WEBHOOK_HOST", requires = "webhook_address")]
    webhook_host: Option<String>,
    /// Folder with tls.crt and tls.key that are renewed by others; without it, the operator makes and renews its own
    #[arg(
        long,
        env = "POOLBUDGET_WEBHOOK_CERTIFICATE",
        value_name = "FOLDER",
        conflicts_with = "webhook_host"
    )]
    webhook_certificate: Option<PathBuf>,
    /// Network of the pods, as in 10.244.0.0/16; only pods in these networks are asked how they use their pools [default: all
    /// addresses but those of loopback, link-local and multicast]
    #[arg(long = "pod-network", env = "POOLBUDGET_POD_NETWORKS", value_name = "CIDR", value_delimiter = ',')]
    pod_networks: Vec<Network>,

    /// Network of the databases, as in 10.0.0.0/8; limits are read only from servers in these networks [default: all addresses
    /// but those of loopback, link-local and multicast]
    #[arg(
        long = "database-network",
        env = "POOLBUDGET_DATABASE_NETWORKS",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    database_networks: Vec<Network>,
    /// Supabase's Management API, from which budgets with supabase.project read their limit
    #[arg(
        long,
        env = "POOLBUDGET_SUPABASE_API",
        value_name = "URL",
        default_value = supabase::API,
        value_parser = origin
    )]
    supabase_api: Origin,
    /// Address of each Supabase project, in which {ref} stands for its reference; budgets with metricsSecretRef read its metrics
    /// from there
    #[arg(
        long,
        env = "POOLBUDGET_SUPABASE_PROJECTS",
        value_name = "URL",
        default_value = supabase::PROJECTS,
        value_parser = Projects::new
    )]
    supabase_projects: Projects,

    /// Address that serves the page of all budgets; without it, none is served
    #[arg(long, env = "POOLBUDGET_PAGE_ADDRESS")]
    page_address: Option<SocketAddr>,

    /// Names, beside localhost, by which the page may be asked for
    #[arg(
        long,
        env = "POOLBUDGET_PAGE_HOST",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "page_address"
    )]
    page_host: Vec<String>,

    /// Show a viewer of the page only budgets of namespaces where his bearer token may get them
    #[arg(long, env = "POOLBUDGET_PAGE_AUTHORIZE", requires = "page_address")]
    page_authorize: bool,
}

impl RunArgs {
    fn webhook(&self) -> Option<webhook::Settings> {
        let namespace = self.namespace.clone();
        let service = || format!("{}.{namespace}.svc", webhook::keep::SECRET);
        let certificate = match &self.webhook_certificate {
            Some(folder) => Source::Folder(folder.clone()),
            None => Source::Own { host: self.webhook_host.clone().unwrap_or_else(service), namespace },
        };
        self.webhook_address.map(|address| webhook::Settings { address, certificate })
    }

    fn page(&self, client: &Client) -> Option<page::Settings> {
        let access = || Access::new(Box::new(access::Cluster(client.clone())));
        self.page_address.map(|address| page::Settings {
            address,
            hosts: self.page_host.clone(),
            access: self.page_authorize.then(access),
        })
    }
}

/// A part of readiness: this process has not been told to end.
const STAYS: &str = "a replica that is not about to end";

/// After the first signal, the webhook accepts new connections for at least this long: API servers and the proxies of
/// their nodes learn with a delay that this replica is ending.
const LINGER: Duration = Duration::from_secs(5);

fn origin(base: &str) -> Result<Origin, String> {
    Origin::new(base, None).map_err(|why| why.to_string())
}

fn anonymous() -> String {
    format!("poolbudget-{}", std::process::id())
}

pub(super) async fn run(args: RunArgs) -> anyhow::Result<()> {
    without_core_dumps();
    let metrics = Metrics::default();
    let client = client(&metrics).await?;
    if let Some(why) = stranger::refused(&client).await {
        bail!("{why}");
    }
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    let readiness = Readiness::awaiting(&[API_SERVER]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity = args.identity, "starting");
    let (webhook, page) = (args.webhook(), args.page(&client));
    let pod_networks = args.pod_networks;
    let identity = Identity { namespace: args.namespace, lease: args.lease_name, name: args.identity };
    let secrets = Secrets::new(client.clone(), &identity.namespace);
    let supabase = Supabase { api: args.supabase_api, projects: args.supabase_projects };
    let vantage = Vantage { secrets, networks: args.database_networks, supabase };
    let settings = controller::Settings { identity, pod_networks, vantage };
    let closing = CancellationToken::new();
    let served = async {
        let served =
            http::serve(args.http_address, metrics.clone(), readiness.clone(), closing.clone()).await;
        served.with_context(|| format!("cannot serve on {}", args.http_address))
    };
    let leaving = async {
        stop.cancelled().await;
        readiness.set(STAYS, false);
        if webhook.is_some() {
            tokio::time::sleep(LINGER).await;
        }
    };
    let shown = shows(client.clone(), page, &metrics, closing.clone());
    let reviewed = reviews(client.clone(), webhook.clone(), &metrics, &readiness, closing.clone());
    let controlled = async {
        let controller = controller::run(client, settings, metrics.clone(), readiness.clone(), stop.clone());
        tokio::join!(controller, leaving);
        closing.cancel();
        Ok(())
    };
    tokio::try_join!(served, shown, reviewed, controlled)?;
    tracing::info!("stopped");
    Ok(())
}

/// Serves admission reviews, if requested.
async fn reviews(
    client: Client,
    settings: Option<webhook::Settings>,
    metrics: &Metrics,
    readiness: &Readiness,
    closing: CancellationToken,
) -> anyhow::Result<()> {
    let Some(settings) = settings else { return Ok(()) };
    let address = settings.address;
    let reviews = webhook::run(client, settings, metrics.clone(), readiness.clone(), closing);
    reviews.await.with_context(|| format!("cannot serve admission reviews on {address}"))
}

/// Serves the page, if requested.
async fn shows(
    client: Client,
    settings: Option<page::Settings>,
    metrics: &Metrics,
    closing: CancellationToken,
) -> anyhow::Result<()> {
    let Some(settings) = settings else { return Ok(()) };
    let address = settings.address;
    let hall = Hall::new(Box::new(source::Cluster(client)), explain::pods, Timestamp::now);
    let shown = page::serve(Arc::new(hall), settings, metrics.clone(), closing);
    shown.await.with_context(|| format!("cannot serve the page on {address}"))
}
