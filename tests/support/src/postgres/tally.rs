//! The record of each pod's application, from its first line to its last.
//!
//! In: lines, with the pod that they come from. Out: figures per pod, and per namespace.

use std::collections::BTreeMap;

use super::lines::{Did, Line};

/// A refusal or failure, and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// Seconds since 1970.
    pub at: f64,
    /// The message of the server, or of whatever failed.
    pub said: String,
}

/// One pod.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `DB_POOL_SIZE` and `DB_MAX_OVERFLOW` as its first container got them.
    pub size: (String, String),
    /// When it became Ready, if it has.
    pub ready: Option<f64>,
    /// When its processes had ended, if they have.
    pub ended: Option<f64>,
    /// Whether they still ran at the end of the grace period, and were killed.
    pub killed: bool,
    /// Queries that were answered.
    pub queries: u64,
    /// Connections that the server refused.
    pub refused: Vec<Trouble>,
    /// What failed for other reasons.
    pub failed: Vec<Trouble>,
    /// How often its own pool had no free connection in time.
    pub waited: u64,
}

impl Life {
    /// Adds a line.
    pub fn take(&mut self, line: Line) {
        let at = line.at;
        match line.did {
            Did::Ready => {}
            Did::Queries { count } => self.queries += count,
            Did::Refused { said } => self.refused.push(Trouble { at, said }),
            Did::Failed { said } => self.failed.push(Trouble { at, said }),
            Did::Waited => self.waited += 1,
        }
    }

    /// Whether it serves and was not told to end.
    pub fn serves(&self) -> bool {
        self.ready.is_some() && self.ended.is_none()
    }
}

/// All pods that ever ran, by their uid.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The pods.
    pub lives: BTreeMap<String, Life>,
    /// What the kubelet could not do, and processes that ended by themselves.
    pub faults: Vec<String>,
}

impl Tally {
    /// The pods of a namespace.
    pub fn of(&self, namespace: &str) -> Vec<Life> {
        self.lives.values().filter(|life| life.namespace == namespace).cloned().collect()
    }
}
