//! Puts back what mode Rollout wrote into templates, before an uninstall.
//!
//! In: a cluster in which nobody leads any more; a leader would write again what is put back. Out: no workload with the
//! annotation. Where no template was written, nothing is done at all.

use std::time::Duration;

use anyhow::{Context, bail};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use crate::api::names;
use crate::cluster::rewrite;
use crate::cluster::workload::WorkloadKey;
use crate::controller::gateway::{Gateway, GatewayError, KubeGateway, resource};
use crate::controller::lists::Pages;

const PAUSE: Duration = Duration::from_millis(500);

/// Puts everything back.
///
/// # Errors
/// When the API server refuses, or it is not done at `deadline`.
pub(super) async fn all(client: &Client, gateway: &KubeGateway, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let left = written(client).await?;
        if left.is_empty() {
            tracing::info!("nothing that mode Rollout wrote stands in a template");
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("templates still bear what mode Rollout wrote: {left:?}");
        }
        for (namespace, workload) in &left {
            restore(gateway, namespace, workload).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn restore(gateway: &KubeGateway, namespace: &str, workload: &WorkloadKey) -> anyhow::Result<()> {
    match step(gateway, namespace, workload).await {
        Ok(()) | Err(GatewayError::Outdated { .. }) => Ok(()),
        Err(error @ GatewayError::Forbidden { .. }) => Err(error).context(
            "what mode Rollout wrote into templates cannot be put back: set rolloutMode.enabled=true and try again",
        ),
        Err(error) => Err(error.into()),
    }
}

async fn step(gateway: &KubeGateway, namespace: &str, workload: &WorkloadKey) -> Result<(), GatewayError> {
    let Some(object) = gateway.workload(namespace, workload).await? else { return Ok(()) };
    let Some(write) = rewrite::restore(&object) else { return Ok(()) };
    gateway.write_workload(namespace, workload, &write).await
}

/// All workloads that bear the annotation.
async fn written(client: &Client) -> anyhow::Result<Vec<(String, WorkloadKey)>> {
    let mut found = Vec::new();
    for kind in rewrite::WRITTEN {
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &resource(kind));
        let mut pages = Pages::of(ListParams::default());
        loop {
            let page = match pages.next(&api).await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                // A kind that the cluster does not know, or that this account may not see, was never written.
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_forbidden() => break,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot list the objects of kind {kind}"));
                }
            };
            let bears = |meta: &&PartialObjectMeta<_>| meta.annotations().contains_key(names::ORIGINAL_ENV);
            found.extend(page.iter().filter(bears).map(|meta| {
                (meta.namespace().unwrap_or_default(), WorkloadKey::new(kind, &meta.name_any()))
            }));
        }
    }
    Ok(found)
}
