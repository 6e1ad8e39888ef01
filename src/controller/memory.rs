//! What the leader remembers of one budget between two looks at it. All of it can be lost: what must outlive the
//! process is in the status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::{DbConnectionBudget, DbConnectionBudgetStatus, Quarantined};
use crate::cluster::pod::PodRecord;
use crate::cluster::workload::WorkloadKey;

/// How long a pod counts that vanished without showing that its containers had ended, on top of the time that its
/// kubelet gives them to end.
const QUARANTINE_MARGIN: i64 = 10;

/// What the leader remembers of one budget.
#[derive(Debug, Default)]
pub struct Memory {
    /// The budget as this process last wrote or read it, once its epoch was taken over.
    pub held: Option<Arc<DbConnectionBudget>>,
    /// When its status was last written.
    pub written: Option<Timestamp>,
    /// Pods that vanished while they ran and still count. Kept here as well as in the status, because a status that
    /// names them may fail to be written, and because a budget that is made anew starts without a status.
    pub quarantine: Quarantine,
    /// What was said about each waiting pod, by uid.
    pub told: HashMap<String, &'static str>,
    /// What was said of the budget itself when it could not be read.
    pub complaint: Option<String>,
    /// The eviction that was refused last: by what, and until when none is tried.
    pub refused: Option<Refused>,
    /// When a pod from before its label was last ended, of each workload that needed it.
    pub retired: HashMap<WorkloadKey, Timestamp>,
    /// Why a template may not be written.
    pub forbidden: Option<String>,
}

/// An eviction that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What refused it.
    pub by: String,
    /// No eviction is tried before.
    pub until: Timestamp,
}

/// What stands in the way of what was decided.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hindrances<'a> {
    /// An eviction was refused.
    pub refused: Option<&'a Refused>,
    /// A template may not be written: the API server's answer.
    pub forbidden: Option<&'a str>,
}

impl Memory {
    /// What stands in the way of what was decided.
    #[must_use]
    pub fn hindrances(&self) -> Hindrances<'_> {
        Hindrances { refused: self.refused.as_ref(), forbidden: self.forbidden.as_deref() }
    }

    /// The status that is in force; none before it was taken over.
    #[must_use]
    pub fn status(&self) -> Option<&DbConnectionBudgetStatus> {
        self.held.as_ref().and_then(|budget| budget.status.as_ref())
    }

    /// Whether the epoch of this very object was taken over.
    #[must_use]
    pub fn holds(&self, budget: &DbConnectionBudget) -> bool {
        self.held.as_ref().is_some_and(|held| held.metadata.uid == budget.metadata.uid)
    }

    /// Puts pods that vanished while they ran into quarantine, together with those that the status names, and drops
    /// those whose time is over.
    pub fn keep(&mut self, vanished: &[Arc<PodRecord>], now: Moment) {
        let written = self.status().map_or_else(Vec::new, |status| status.quarantine.clone());
        for entry in written {
            self.quarantine.count(entry, now.steady);
        }
        for pod in vanished {
            let connections = i64::try_from(pod.hold().bill().get()).unwrap_or(i64::MAX);
            let entry = quarantined(pod.uid.clone(), pod.name.clone(), connections, pod.grace, now.wall);
            if self.quarantine.count(entry, now.steady) {
                tracing::warn!(
                    pod = pod.name,
                    namespace = pod.namespace,
                    "pod vanished while it ran; it still counts"
                );
            }
        }
        self.quarantine.expire(now.steady);
    }

    /// Gives up what is known of the budget.
    pub fn let_go(&mut self) {
        self.held = None;
        self.written = None;
        self.refused = None;
        self.forbidden = None;
    }
}

/// An instant, by both clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The date. It may jump, and differ from that of other processes.
    pub wall: Timestamp,
    /// The time since some fixed instant of this process. It never jumps.
    pub steady: Duration,
}

/// What vanished and still counts, each with the time from which on it does not, by the steady clock: a date that jumps
/// must not free what may be in use.
#[derive(Debug, Default)]
pub struct Quarantine(Vec<(Quarantined, Duration)>);

impl Quarantine {
    /// Counts an entry for its whole time from now on. True when it was not known.
    pub fn count(&mut self, entry: Quarantined, now: Duration) -> bool {
        let new = self.0.iter().all(|(known, _)| known.uid != entry.uid);
        if new {
            let time = Duration::from_secs(u64::try_from(entry.seconds).unwrap_or(0));
            self.0.push((entry, now.saturating_add(time)));
        }
        new
    }

    fn expire(&mut self, now: Duration) {
        self.0.retain(|(_, end)| *end > now);
    }

    /// Whether nothing is in quarantine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in quarantine.
    #[must_use]
    pub fn entries(&self) -> Vec<Quarantined> {
        self.0.iter().map(|(entry, _)| entry.clone()).collect()
    }
}

/// The entry for a pod with this grace period, in seconds, that vanished now.
#[must_use]
pub fn quarantined(uid: String, pod: String, connections: i64, grace: i64, now: Timestamp) -> Quarantined {
    let seconds = grace.saturating_add(QUARANTINE_MARGIN);
    let until = Time(now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now));
    Quarantined { uid, pod, connections, seconds, until }
}
