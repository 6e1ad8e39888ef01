//! What the leader remembers of one budget between two looks at it. All of it can be lost: what must outlive the
//! process is in the status.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::{DbConnectionBudget, DbConnectionBudgetStatus, Quarantined};
use crate::cluster::pod::PodRecord;

/// How long a pod counts that vanished while containers of it were last seen running, on top of the time that its
/// kubelet gives them to end.
const QUARANTINE_MARGIN: i64 = 10;

/// What the leader remembers of one budget.
#[derive(Debug, Default)]
pub struct Memory {
    /// The budget as this process last wrote or read it, once its epoch was taken over.
    pub held: Option<DbConnectionBudget>,
    /// When its status was last written.
    pub written: Option<Timestamp>,
    /// Pods that vanished while they ran and still count. Kept here as well as in the status, because a status that
    /// names them may fail to be written, and because a budget that is made anew starts without a status.
    pub quarantine: Vec<Quarantined>,
    /// What was said about each waiting pod, by uid.
    pub told: HashMap<String, &'static str>,
    /// What was said of the budget itself when it could not be read.
    pub complaint: Option<String>,
    /// The eviction that was refused last: by what, and until when none is tried.
    pub refused: Option<Refused>,
}

/// An eviction that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What refused it.
    pub by: String,
    /// No eviction is tried before.
    pub until: Timestamp,
}

impl Memory {
    /// The status that is in force; empty before it was taken over.
    #[must_use]
    pub fn status(&self) -> DbConnectionBudgetStatus {
        self.held.as_ref().and_then(|budget| budget.status.clone()).unwrap_or_default()
    }

    /// Whether the epoch of this very object was taken over.
    #[must_use]
    pub fn holds(&self, budget: &DbConnectionBudget) -> bool {
        self.held.as_ref().is_some_and(|held| held.metadata.uid == budget.metadata.uid)
    }

    /// Puts pods that vanished while they ran into quarantine, together with those that the status names, and drops
    /// those whose time is over.
    pub fn keep(&mut self, vanished: &[Arc<PodRecord>], now: Timestamp) {
        for entry in self.status().quarantine {
            self.count(entry);
        }
        for pod in vanished {
            if self.count(quarantined(pod, now)) {
                tracing::warn!(
                    pod = pod.name,
                    namespace = pod.namespace,
                    "pod vanished while it ran; it still counts"
                );
            }
        }
        self.quarantine.retain(|entry| entry.until.0 > now);
    }

    /// True when the entry is new.
    fn count(&mut self, entry: Quarantined) -> bool {
        let new = self.quarantine.iter().all(|known| known.uid != entry.uid);
        if new {
            self.quarantine.push(entry);
        }
        new
    }

    /// Gives up what is known of the budget.
    pub fn let_go(&mut self) {
        self.held = None;
        self.written = None;
        self.refused = None;
    }
}

fn quarantined(pod: &PodRecord, now: Timestamp) -> Quarantined {
    let time = SignedDuration::from_secs(pod.grace.saturating_add(QUARANTINE_MARGIN));
    Quarantined {
        uid: pod.uid.clone(),
        pod: pod.name.clone(),
        connections: i64::try_from(pod.hold().bill().get()).unwrap_or(i64::MAX),
        until: Time(now.saturating_add(time).unwrap_or(now)),
    }
}
