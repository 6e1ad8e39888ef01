//! The grant transaction (protocol §5): record the batch in the status, by compare-and-swap → patch the pods. A crash
//! at any point leaves an over-count at worst.
//!
//! In: a decision. Out: pods without gate, or grants in flight that are sent again next time.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, stream};

use super::context::Context;
use super::gateway::{Gateway, GatewayError, Sizes};
use super::view::View;
use crate::api::BudgetKey;
use crate::api::{GrantInFlight, Mode};
use crate::budget::amount::Connections;
use crate::budget::split::Split;
use crate::cluster::pod::PodRecord;

/// Patches sent at the same time for one budget.
pub const PARALLEL: usize = 16;

/// The grants of a decision, as they are recorded.
#[must_use]
pub fn batch(view: &View, overflow_ratio: u32) -> Vec<GrantInFlight> {
    let grants = &view.decision.grants.granted;
    grants
        .iter()
        .filter_map(|grant| match view.mode {
            Mode::Gate => entry(view, grant.pod, grant.size, grant.bill, overflow_ratio),
            Mode::Observe => own_entry(view.scene.pods.get(grant.pod)?, workload_of(view, grant.pod)?),
        })
        .collect()
}

/// The workload of a pod, as entries in flight name it.
fn workload_of(view: &View, pod: usize) -> Option<String> {
    match view.workload_of(pod) {
        Some(workload) => Some(workload.facts.key.to_string()),
        None => Some(format!("Pod/{}", view.scene.pods.get(pod)?.name)),
    }
}

fn entry(view: &View, pod: usize, size: Connections, bill: Connections, ratio: u32) -> Option<GrantInFlight> {
    let record = view.scene.pods.get(pod)?;
    let split = Split::of(size, ratio, record.app.knobs());
    Some(GrantInFlight {
        uid: record.uid.clone(),
        pod: record.name.clone(),
        workload: workload_of(view, pod)?,
        // A size that does not fit a field of the status cannot be granted; the schema's bounds prevent it.
        pool_size: i32::try_from(split.pool_size.get()).ok()?,
        max_overflow: i32::try_from(split.max_overflow.get()).ok()?,
        connections: i64::try_from(bill.get()).ok()?,
    })
}

/// The entry of a pod that is let through as it is. The gate policies do not know the mode, so they gate every labelled
/// pod; the pod gets back the values that they replaced. It is recorded like every grant: if the mode becomes Gate
/// while its patch is on its way, it is counted.
fn own_entry(record: &PodRecord, workload: String) -> Option<GrantInFlight> {
    let own = record.own_grant();
    Some(GrantInFlight {
        uid: record.uid.clone(),
        pod: record.name.clone(),
        workload,
        pool_size: i32::try_from(own.pool_size).unwrap_or(i32::MAX),
        max_overflow: i32::try_from(own.max_overflow).unwrap_or(i32::MAX),
        connections: i64::try_from(own.connections).unwrap_or(i64::MAX),
    })
}

/// The grants in flight whose pod is still there and was last seen with its gate.
#[must_use]
pub fn unseen(view: &View, grants: &[GrantInFlight]) -> Vec<GrantInFlight> {
    let gated: HashSet<&str> =
        view.scene.pods.iter().filter(|pod| pod.gated).map(|pod| pod.uid.as_str()).collect();
    grants.iter().filter(|grant| grant.is_bounded() && gated.contains(grant.uid.as_str())).cloned().collect()
}

/// Patches the pods of `grants`. Ok when each is granted or gone; the first error otherwise.
///
/// # Errors
/// When the API server did not answer for some; their entries stay and are sent again.
pub async fn send<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    view: &View,
    grants: &[GrantInFlight],
) -> Result<(), GatewayError> {
    let pods: HashMap<&str, &PodRecord> =
        view.scene.pods.iter().map(|pod| (pod.uid.as_str(), pod.as_ref())).collect();
    let mut calls = Vec::with_capacity(grants.len());
    for grant in grants {
        if let Some(pod) = pods.get(grant.uid.as_str()) {
            calls.push(send_one(context, key, pod, grant));
        }
    }
    let outcomes: Vec<Result<(), GatewayError>> =
        stream::iter(calls).buffer_unordered(PARALLEL).collect().await;
    outcomes.into_iter().collect()
}

async fn send_one<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    pod: &PodRecord,
    grant: &GrantInFlight,
) -> Result<(), GatewayError> {
    let sizes = Sizes {
        pool_size: grant.pool_size,
        max_overflow: grant.max_overflow,
        connections: grant.connections,
    };
    match context.gateway.grant(pod, sizes).await {
        Ok(granted) => {
            context.see_pod(&granted);
            let latency = context.arrivals.taken(&pod.uid);
            context.metrics.granted(key, latency);
            tracing::info!(
                budget = %key, pod = pod.name, workload = grant.workload,
                pool_size = grant.pool_size, max_overflow = grant.max_overflow, connections = grant.connections,
                "granted"
            );
            Ok(())
        }
        // The pod was granted before, is gone, or changed: look at it. If it is unchanged, the write itself was
        // refused, for example by an admission policy of the cluster, and somebody should know.
        Err(GatewayError::Outdated { what, why }) => match context.refresh_pod(pod).await? {
            Some(fresh) if fresh.version == pod.version => Err(GatewayError::Refused { what, why }),
            _ => Ok(()),
        },
        Err(error) => Err(error),
    }
}
