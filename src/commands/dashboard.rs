//! `poolbudget dashboard`: the operator's page in the browser of this machine.
//!
//! In: a cluster, a local port. Out: each connection to that port, carried to the page of a Ready replica by the
//! cluster's port-forward. It looks for another replica when one is gone. Forbidden here: reading what is carried.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Error, ResourceExt};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::client::ClusterArgs;
use super::render;
use super::status::leader::OperatorArgs;

pub(super) const ABOUT: &str = "Show all budgets in your browser, through a port-forward to the operator.

The page is read-only, and the operator serves it where the chart was installed with page.enabled=true. You need the rights \
of the Role poolbudget-page in the operator's namespace.";

/// The replicas of the operator, as the chart labels them.
pub(super) const REPLICAS: &str = "app.kubernetes.io/name=poolbudget,app.kubernetes.io/component=operator";
/// Where the chart tells the operator to serve the page.
const ADDRESS: &str = "POOLBUDGET_PAGE_ADDRESS";
/// Connections that are carried at a time.
const CONNECTIONS: usize = 32;
/// How many replicas are tried for a connection.
const TRIES: usize = 3;

#[derive(Args, Debug)]
pub(super) struct DashboardArgs {
    /// Local port; 0 means any free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Only print the address; do not open a browser
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) async fn dashboard(args: DashboardArgs) -> anyhow::Result<()> {
    let connection = args.cluster.connect().await?;
    let namespace = args.operator.namespace().to_owned();
    let pods = Api::namespaced(connection.client.clone(), &namespace);
    let road = Arc::new(Road { pods, namespace, to: Mutex::default() });
    let replica = road.try_out().await?;
    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(asked).await.with_context(|| format!("cannot listen on {asked}"))?;
    let query = args.cluster.named().map(|name| format!("?filter={name}/")).unwrap_or_default();
    let url = format!("http://{}/{query}", listener.local_addr()?);
    render::put(&format!("{url}   from {} in namespace {}; Ctrl-C ends it\n", replica.pod, road.namespace))?;
    if !args.no_open && !opened(&url) {
        render::put("no browser could be opened: open that address yourself\n")?;
    }
    tokio::select! {
        ended = carry_all(listener, road) => ended,
        ended = tokio::signal::ctrl_c() => Ok(ended?),
    }
}

/// A replica that serves the page.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Replica {
    pod: String,
    port: u16,
}

/// The way to the page.
struct Road {
    pods: Api<Pod>,
    namespace: String,
    to: Mutex<Option<Replica>>,
}

impl Road {
    fn known(&self) -> std::sync::MutexGuard<'_, Option<Replica>> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replica to go to: the last one, as long as it answers.
    async fn replica(&self) -> anyhow::Result<Replica> {
        if let Some(replica) = self.known().clone() {
            return Ok(replica);
        }
        let all = self.pods.list(&ListParams::default().labels(REPLICAS).limit(50)).await;
        let all = all.map_err(|error| refused("list pods", &self.namespace, &error))?;
        let replica = choose(&all.items, &self.namespace).map_err(|why| anyhow!(why))?;
        *self.known() = Some(replica.clone());
        Ok(replica)
    }

    /// Finds a replica, and whether the user may go there.
    async fn try_out(&self) -> anyhow::Result<Replica> {
        let replica = self.replica().await?;
        let forwarder = self.pods.portforward(&replica.pod, &[replica.port]).await;
        let forwarder = forwarder.map_err(|error| refused("forward a port", &self.namespace, &error))?;
        forwarder.abort();
        Ok(replica)
    }

    /// Carries one connection to its end.
    async fn carry(&self, mut stream: TcpStream) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let Replica { pod, port } = self.replica().await?;
            match self.pods.portforward(&pod, &[port]).await {
                Ok(mut forwarder) => {
                    let mut there = forwarder.take_stream(port).context("no stream")?;
                    let ended = copy_bidirectional(&mut stream, &mut there).await;
                    drop(there);
                    // A replica that is gone ends its connections; the next one looks for another.
                    let failed = forwarder.join().await.is_err();
                    if failed || ended.is_err() {
                        *self.known() = None;
                    }
                    return Ok(());
                }
                Err(error) => {
                    *self.known() = None;
                    tracing::warn!(%error, pod, "a connection is not carried");
                }
            }
        }
        Ok(())
    }
}

async fn carry_all(listener: TcpListener, road: Arc<Road>) -> anyhow::Result<()> {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let seat = Arc::clone(&seats).acquire_owned().await?;
        let (stream, _) = listener.accept().await?;
        let road = Arc::clone(&road);
        tokio::spawn(async move {
            let _seat = seat;
            if let Err(error) = road.carry(stream).await {
                *road.known() = None;
                tracing::warn!(%error, "a connection is not carried");
            }
        });
    }
}

/// A Ready replica that serves the page.
fn choose(pods: &[Pod], namespace: &str) -> Result<Replica, String> {
    let ready: Vec<&Pod> = pods.iter().filter(|pod| is_ready(pod)).collect();
    if ready.is_empty() {
        return Err(format!(
            "no replica of the operator is Ready in namespace {namespace}; see kubectl get pods -n {namespace}, and if it is \
             installed in another namespace, pass that as --operator-namespace"
        ));
    }
    let serving = ready.into_iter().find_map(|pod| Some(Replica { pod: pod.name_any(), port: port(pod)? }));
    serving.ok_or_else(|| {
        format!(
            "the operator in namespace {namespace} does not serve the page: \
             helm upgrade poolbudget CHART -n {namespace} --reuse-values --set page.enabled=true"
        )
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|condition| condition.status == "True")
}

/// The port of its page.
fn port(pod: &Pod) -> Option<u16> {
    let containers = pod.spec.as_ref()?.containers.iter();
    let mut env = containers.filter_map(|container| container.env.as_ref()).flatten();
    let address: SocketAddr = env.find(|entry| entry.name == ADDRESS)?.value.as_ref()?.parse().ok()?;
    Some(address.port())
}

/// Why the cluster does not let the user through, and whom to ask for what.
fn refused(what: &str, namespace: &str, error: &Error) -> anyhow::Error {
    match error {
        Error::Api(status) if status.code == 403 => anyhow!(
            "cannot {what} in namespace {namespace}: {}; ask for the Role poolbudget-page, which the chart makes with \
             page.enabled=true (get and list pods; get and create pods/portforward): kubectl create rolebinding \
             poolbudget-page-YOU --role=poolbudget-page --user=YOU -n {namespace}",
            status.message
        ),
        error => super::trouble::told(&format!("cannot {what} in namespace {namespace}"), "pods", error),
    }
}

/// Asks the desktop to open an address; false if there is nobody to ask.
fn opened(url: &str) -> bool {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let quiet = Stdio::null;
    let asked = Command::new(program).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    asked.is_ok()
}

#[cfg(test)]
mod tests;
