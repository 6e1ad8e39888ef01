//! The controller: one leader observes, plans, grants, makes room and reports.
//!
//! In: a client and settings. Out: the protocol of `docs/protocol.md`, carried out. The order of the steps is in
//! [`reconcile`]; `budget` makes the decisions.

pub mod conditions;
pub mod confirm;
pub mod context;
pub mod dispatch;
pub mod events;
pub mod evict;
pub mod evidence;
pub mod fetch;
pub mod follow;
pub mod gateway;
pub mod grant;
pub mod kinds;
pub mod lease;
mod limits;
pub mod lists;
pub mod memory;
pub mod numbers;
pub mod observe;
pub mod promise;
pub mod publisher;
pub mod quarantine;
pub mod reconcile;
pub mod refused;
pub mod retire;
mod roll_call;
mod rounds;
pub mod secrets;
pub mod snapshot;
pub mod status;
pub mod summary;
pub mod takeover;
pub mod view;
pub mod wait;
mod whereabouts;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::network::Network;
use crate::telemetry::http::Readiness;
use crate::telemetry::metrics::Metrics;
use context::Context;
use dispatch::Requests;
use gateway::KubeGateway;
use lease::{Elector, Leadership};
pub use limits::Vantage;
use observe::Observed;
use reconcile::Reconciler;

/// Budgets that are worked on at the same time.
const CONCURRENCY: usize = 8;
/// How long running work may take to end after the first signal.
const DRAIN: Duration = Duration::from_secs(15);
/// How often pods that are gone are forgotten.
const TIDY: Duration = Duration::from_secs(60);

/// A readiness part: the API server has answered.
pub const API_SERVER: &str = "an answer of the API server";
/// A readiness part: the leader has listed everything.
pub const CACHES: &str = "the first list of all watches";

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub lease: String,
    /// This process, unique among the replicas.
    pub name: String,
}

/// What an operator is told.
#[derive(Clone)]
pub struct Settings {
    /// Who it is.
    pub identity: Identity,
    /// The networks in which pods are asked; none for all that may have pods.
    pub pod_networks: Vec<Network>,
    /// From where limits are read.
    pub vantage: Vantage,
}

/// Competes for the Lease and leads while it has it, until `stop`.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) {
    let Settings { identity, pod_networks, vantage } = settings;
    let leadership = Leadership::default();
    let (state, mut leads) = watch::channel(false);
    let (reached, mut answered) = watch::channel(false);
    let leases: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
    let elector = Elector::new(leases, &identity.lease, &identity.name);
    let resign = CancellationToken::new();
    let election = tokio::spawn(elector.run(leadership.clone(), state, reached, resign.clone()));
    let ready = readiness.clone();
    let answers = tokio::spawn(async move {
        loop {
            ready.set(API_SERVER, *answered.borrow_and_update());
            if answered.changed().await.is_err() {
                return;
            }
        }
    });

    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            changed = leads.wait_for(|leads| *leads) => if changed.is_err() { break },
        }
        metrics.leads(true);
        tracing::info!(identity = identity.name, "leading");
        let gateway = KubeGateway::new(client.clone(), leadership.clone(), &identity.name, metrics.clone());
        let until = end_of(stop.clone(), leads.clone());
        lead(client.clone(), gateway, (&pod_networks, &vantage), &metrics, &readiness, until).await;
        metrics.leads(false);
        metrics.forget_all();
        tracing::info!(identity = identity.name, "not leading any more");
    }
    // Only now: a Lease given up earlier would let a successor start while work still runs here.
    resign.cancel();
    let _ = election.await;
    answers.abort();
}

/// Ends when this process is to stop or has lost the Lease.
async fn end_of(stop: CancellationToken, mut leads: watch::Receiver<bool>) {
    tokio::select! {
        () = stop.cancelled() => {}
        _ = leads.wait_for(|leads| !*leads) => {}
    }
}

/// One term: watch everything, work on every budget that something happens to.
async fn lead(
    client: Client,
    gateway: KubeGateway,
    (pod_networks, vantage): (&[Network], &Vantage),
    metrics: &Metrics,
    readiness: &Readiness,
    until: impl Future<Output = ()>,
) {
    let (requests, queue) = Requests::channel();
    readiness.set(CACHES, false);
    let context = Context::new(gateway, Observed::default(), metrics.clone(), Timestamp::now);
    let mut watches = follow::watch_all(&client, &context.observed, &context.refusals, &requests, metrics);
    let over = CancellationToken::new();
    let reconciler = Arc::new(Reconciler::new(context));
    let work = {
        let (reconciler, over) = (Arc::clone(&reconciler), over.clone());
        async move {
            tokio::select! {
                () = over.cancelled() => return,
                () = watches.synced() => {}
            }
            readiness.set(CACHES, true);
            let tidying = Arc::clone(&reconciler);
            let tended = Arc::clone(&reconciler);
            let tidy = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TIDY).await;
                    tended.context.tidy();
                }
            });
            let (observed, metrics) = (tidying.context.observed.clone(), tidying.context.metrics.clone());
            let rounds =
                tokio::spawn(rounds::ask(observed, pod_networks.to_vec(), requests.clone(), metrics));
            let limits =
                tokio::spawn(limits::ask(Arc::clone(&reconciler), vantage.clone(), requests.clone()));
            let look = move |key| {
                let reconciler = Arc::clone(&reconciler);
                async move { reconciler.reconcile(key).await }
            };
            dispatch::dispatch(queue, CONCURRENCY, over, look).await;
            tidy.abort();
            rounds.abort();
            limits.abort();
        }
    };
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return,
        () = until => over.cancel(),
    }
    if tokio::time::timeout(DRAIN, work).await.is_err() {
        tracing::warn!("work did not end in time; what was recorded is finished by the next leader");
    }
    // A replica that does not lead is useful without lists.
    readiness.set(CACHES, true);
}
