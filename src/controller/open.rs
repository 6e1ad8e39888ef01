//! Gates where the mode holds nobody: in Observe a pod runs as if poolbudget were not there.
//!
//! In: a scene. Out: grants for all pods that wait, each at the size that its own env states. The gate policies know no
//! modes, so they gate every labelled pod; what they replaced in it is what it gets back. The grants go the way of all
//! grants, through the status: a patch that is still on its way when the mode becomes Gate is on the bill.

use crate::api::GrantInFlight;
use crate::budget::amount::Connections;
use crate::budget::grant::{Grant, Grants};
use crate::cluster::pod::PodRecord;
use crate::cluster::scene::Scene;

/// A grant for every pod that waits.
#[must_use]
pub fn all(scene: &Scene) -> Grants {
    let pods = scene.situation.pods.iter().zip(&scene.pods).enumerate();
    let granted = pods
        .filter(|(_, (pod, _))| pod.waits())
        .map(|(index, (_, record))| {
            let own = record.own_grant();
            let size = Connections::new(u64::from(own.pool_size).saturating_add(u64::from(own.max_overflow)));
            Grant { pod: index, size, bill: Connections::new(own.connections) }
        })
        .collect();
    Grants { granted, ..Grants::default() }
}

/// The entry in flight of such a grant.
#[must_use]
pub fn entry(record: &PodRecord, workload: String) -> GrantInFlight {
    let own = record.own_grant();
    GrantInFlight {
        uid: record.uid.clone(),
        pod: record.name.clone(),
        workload,
        pool_size: i32::try_from(own.pool_size).unwrap_or(i32::MAX),
        max_overflow: i32::try_from(own.max_overflow).unwrap_or(i32::MAX),
        connections: i64::try_from(own.connections).unwrap_or(i64::MAX),
    }
}
