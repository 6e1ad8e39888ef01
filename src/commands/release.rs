//! `poolbudget release`: leaves no pod behind a gate before an uninstall.
//!
//! In order: it takes the Lease from the leader and keeps it, because a leader would see pods in excess and end them →
//! it removes what gates pods (bindings of policies, or the webhook's configuration) → a dry-run pod shows when pods
//! are created without a gate → it opens every remaining gate at the smallest size, until no pod is gated. It ends no
//! pod, and no replica leads again before the Lease has expired. Each step can be repeated: after a failure half-way,
//! start again.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::client::client;
use crate::admission;
use crate::api::names;
use crate::budget::amount::Connections;
use crate::budget::split::Split;
use crate::cluster::pod::{PodRecord, PodView};
use crate::controller::gateway::{Gateway, GatewayError, KubeGateway, Sizes};
use crate::controller::lease::{Elector, Leadership};
use crate::controller::lists::Pages;
use crate::telemetry::metrics::Metrics;
use crate::webhook::configuration;

#[derive(Args, Debug)]
pub(super) struct ReleaseArgs {
    /// Namespace of the Lease, and of the dry-run pod
    #[arg(long, env = "POD_NAMESPACE", default_value = "poolbudget-system")]
    namespace: String,
    /// Name of the Lease for leader election
    #[arg(long, default_value = "poolbudget")]
    lease_name: String,
    /// Seconds until the command gives up
    #[arg(long, default_value_t = 240)]
    timeout_seconds: u64,
}

const PAUSE: Duration = Duration::from_millis(500);
/// Between attempts after an error.
const RETRY: Duration = Duration::from_secs(2);
/// The holder of the Lease during the command.
const IDENTITY: &str = "release";

pub(super) async fn release(args: ReleaseArgs) -> anyhow::Result<()> {
    Release::new(client(&Metrics::default()).await?, args).run().await
}

/// One run of the command.
struct Release {
    client: Client,
    args: ReleaseArgs,
    deadline: Instant,
}

impl Release {
    fn new(client: Client, args: ReleaseArgs) -> Self {
        let deadline = Instant::now() + Duration::from_secs(args.timeout_seconds);
        Self { client, args, deadline }
    }

    async fn run(&self) -> anyhow::Result<()> {
        let leadership = Leadership::default();
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.args.namespace);
        let elector = Elector::new(leases, &self.args.lease_name, IDENTITY);
        tokio::select! {
            () = elector.hold(leadership.clone()) => bail!("lost the Lease"),
            done = self.work(leadership) => done,
        }
    }

    /// While the Lease is held.
    async fn work(&self, leadership: Leadership) -> anyhow::Result<()> {
        self.await_alone(&leadership).await?;
        let gateway = KubeGateway::new(self.client.clone(), leadership, IDENTITY, Metrics::default());
        loop {
            match self.leave_nothing(&gateway).await {
                Err(error) if is_passing(&error) && Instant::now() < self.deadline => {
                    tracing::warn!(error = format!("{error:#}"), "trying again");
                    tokio::time::sleep(RETRY).await;
                }
                done => return done,
            }
        }
    }

    async fn await_alone(&self, leadership: &Leadership) -> anyhow::Result<()> {
        let ReleaseArgs { namespace, lease_name, .. } = &self.args;
        tracing::info!(namespace, lease = lease_name, "taking the Lease, so that the leader stops");
        while !leadership.holds() {
            if Instant::now() > self.deadline {
                bail!(
                    "cannot take the Lease {namespace}/{lease_name}, so the leader may still be running; nothing was \
                     changed. See the log, and check --namespace and --lease-name"
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!("the Lease is held; no replica leads");
        Ok(())
    }

    async fn leave_nothing(&self, gateway: &KubeGateway) -> anyhow::Result<()> {
        let client = &self.client;
        // First removes what would refuse pods without a gate.
        put_out_of_force::<ValidatingAdmissionPolicyBinding>(client, admission::guard::BIRTHS_NAME).await?;
        put_out_of_force::<MutatingAdmissionPolicyBinding>(client, admission::gate::NAME).await?;
        put_out_of_force::<MutatingAdmissionPolicyBinding>(client, admission::mirror::NAME).await?;
        put_out_of_force::<MutatingWebhookConfiguration>(client, configuration::NAME).await?;
        await_ungated(client, &self.args.namespace, self.deadline).await?;
        open_gates(client, gateway, self.deadline).await
    }
}

/// Whether another attempt may succeed: what is forbidden stays forbidden.
fn is_passing(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<kube::Error>();
    !matches!(refused, Some(kube::Error::Api(status)) if status.is_forbidden())
        && !matches!(error.downcast_ref(), Some(GatewayError::Forbidden { .. }))
}

/// Deletes one of the objects that gate pods; a cluster has those of one kind, or does not know the kind.
async fn put_out_of_force<K>(client: &Client, name: &str) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(&());
    match Api::<K>::all(client.clone()).delete(name, &DeleteParams::default()).await {
        Ok(_) => tracing::info!(%kind, name, "out of force"),
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => return Err(error).with_context(|| format!("cannot delete the {kind} {name}")),
    }
    Ok(())
}

/// Each API server drops them in its own time; a dry-run pod shows whether this one has. If it is refused, the server
/// has not dropped them all.
async fn await_ungated(client: &Client, namespace: &str, deadline: Instant) -> anyhow::Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "poolbudget-release-", "labels": {names::BUDGET: "release"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "probe", "image": "none", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    });
    let body = serde_json::to_vec(&pod)?;
    loop {
        let request = kube::core::Request::new("/api/v1/namespaces/".to_owned() + namespace + "/pods")
            .create(&PostParams { dry_run: true, ..PostParams::default() }, body.clone())
            .context("cannot build the request for a dry-run pod")?;
        let seen = match client.request::<PodView>(request).await {
            Ok(born) if born.spec.scheduling_gates.iter().all(|gate| gate.name != names::GATE) => {
                return Ok(());
            }
            Ok(_) => format!("pods are still created with the gate {}", names::GATE),
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                format!("a dry-run pod is refused: {}", status.message)
            }
            Err(error) => return Err(error).context("cannot create a dry-run pod"),
        };
        if Instant::now() > deadline {
            bail!("{seen}, although poolbudget's policies and webhook are deleted");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn open_gates(client: &Client, gateway: &KubeGateway, deadline: Instant) -> anyhow::Result<()> {
    let api: Api<PodView> = Api::all(client.clone());
    loop {
        let mut gated = Vec::new();
        let mut pages = Pages::of(ListParams::default().labels(names::BUDGET));
        while let Some(page) = pages.next(&api).await.context("cannot list the pods")? {
            gated.extend(page.iter().filter_map(PodRecord::read).filter(|pod| pod.gated));
        }
        if gated.is_empty() {
            tracing::info!("no pod is gated");
            return Ok(());
        }
        if Instant::now() > deadline {
            let first = gated.iter().take(5).map(|pod| format!("{}/{}", pod.namespace, pod.name));
            bail!("{} pods are still gated, including {}", gated.len(), first.collect::<Vec<_>>().join(", "));
        }
        for pod in &gated {
            let sizes = smallest(pod);
            match gateway.grant(pod, sizes).await {
                Ok(opened) => {
                    let connections = sizes.connections;
                    tracing::info!(pod = opened.name_any(), connections, "gate opened at the smallest size");
                }
                Err(GatewayError::Outdated { .. }) => {}
                Err(error) => tracing::warn!(%error, "gate not opened; trying again"),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The smallest size that the app of a pod obeys.
fn smallest(pod: &PodRecord) -> Sizes {
    let least = pod.app.least();
    let split = Split::of(least, 0, pod.app.knobs());
    let narrow = |connections: Connections| i32::try_from(connections.get()).unwrap_or(i32::MAX);
    Sizes {
        pool_size: narrow(split.pool_size),
        max_overflow: narrow(split.max_overflow),
        connections: i64::try_from(least.per_pod(pod.instances()).get()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
