//! One budget: what its pods hold, and what they may.
//!
//! In: the budget as it was written, and pods. Out: [`Figures`]. Of what the operator writes, only the record of its
//! grants and the epoch are read, because a write of them is the moment at which it decides; its sums are not. What it
//! says was held when its limit fell is believed as far as so much was once allowed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testkit::bill::Standing;

use super::judge::{NOTICE, View};

/// One budget.
#[derive(Debug, Default)]
pub struct Book {
    limit: Option<u64>,
    /// The largest limit there ever was.
    most: u64,
    /// What lost pods may come back within while more is held than is usable.
    mark: u64,
    epoch: u64,
    grants: BTreeMap<String, u64>,
    vanished: Vec<Vanished>,
}

/// A pod that vanished while a container of it ran.
#[derive(Debug)]
struct Vanished {
    connections: u64,
    until: Duration,
    epoch: u64,
}

/// A budget at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// limit − reserved; `None` while the budget is not known.
    pub limit: Option<u64>,
    /// What granted pods may open, what is recorded as granted, and what vanished pods may still hold.
    pub held: u64,
    /// The first of these alone.
    pub granted: u64,
    /// What is left of the limit beside all pods that passed the gate.
    pub usable: u64,
    /// The same beside those of them that a leader must have seen; on the way down as much as was held when it began.
    pub noticed: u64,
    /// Pods with a grant that have neither ended nor gone.
    pub running: usize,
    /// Pods behind the gate.
    pub waiting: usize,
    /// Pods that passed it.
    pub escaped: usize,
}

/// What a write of a budget changed.
#[derive(Debug, Default)]
pub struct Turned {
    /// In words.
    pub words: Vec<String>,
    /// Whether its epoch rose or fell.
    pub epoch: Option<Ordering>,
}

impl Book {
    /// Takes the budget in as it was written.
    pub fn turn(&mut self, value: Option<&Value>) -> Turned {
        let mut turned = Turned::default();
        let null = Value::Null;
        let value = value.unwrap_or(&null);
        let limit = limit(value.get("spec"));
        if limit != self.limit {
            turned.words.push(format!("limit − reserved is {limit:?}, was {:?}", self.limit));
            self.limit = limit;
        }
        self.most = self.most.max(limit.unwrap_or(0));
        let status = value.get("status").unwrap_or(&null);
        let ledger = status.get("ledger").unwrap_or(&null);
        self.mark = number(ledger, "highWater").unwrap_or(0);
        let epoch = number(ledger, "epoch").unwrap_or(0);
        if epoch != self.epoch {
            turned.words.push(format!("epoch {epoch}"));
            turned.epoch = Some(epoch.cmp(&self.epoch));
            self.epoch = epoch;
        }
        let grants = grants(ledger);
        for (pod, uid, bill) in &grants {
            if self.grants.get(uid) != Some(bill) {
                turned.words.push(format!("{bill} granted to {pod}"));
            }
        }
        self.grants = grants.into_iter().map(|(_, uid, bill)| (uid, bill)).collect();
        turned
    }

    /// What the status records as granted to a pod.
    pub fn granted(&self, uid: &str) -> Option<u64> {
        self.grants.get(uid).copied()
    }

    /// A pod is gone. What it may still hold, if that counts.
    pub fn bury(&mut self, pod: &View, at: Duration) -> Option<u64> {
        let ran = pod.ran.is_some_and(|since| at.saturating_sub(since) >= NOTICE);
        if !ran || !matches!(pod.bill.standing, Standing::Granted { .. }) {
            return None;
        }
        let (connections, until) = (pod.bill.connections, at + Duration::from_secs(pod.grace));
        self.vanished.retain(|pod| pod.until > at);
        self.vanished.push(Vanished { connections, until, epoch: self.epoch });
        Some(connections)
    }

    /// How it stands, with its pods.
    pub fn figures<'a>(&self, pods: impl Iterator<Item = &'a View>, at: Duration) -> Figures {
        let mut figures = Figures { limit: self.limit, ..Figures::default() };
        let (mut escaped, mut noticed) = (0, 0);
        let mine = |vanished: &&Vanished| vanished.until > at && vanished.epoch == self.epoch;
        let mut pending: u64 = self.vanished.iter().filter(mine).map(|vanished| vanished.connections).sum();
        for pod in pods {
            match pod.bill.standing {
                Standing::Gated => {
                    figures.waiting += 1;
                    pending += self.granted(&pod.uid).unwrap_or(0);
                }
                Standing::Granted { .. } => {
                    figures.running += 1;
                    figures.granted += pod.bill.connections;
                }
                Standing::Foreign => {
                    figures.escaped += 1;
                    escaped += pod.bill.connections;
                    let seen = at.saturating_sub(pod.born) >= NOTICE;
                    noticed += if seen { pod.bill.connections } else { 0 };
                }
                Standing::Ended => {}
            }
        }
        let limit = self.limit.unwrap_or(0);
        figures.held = figures.granted + pending;
        figures.usable = limit.saturating_sub(escaped);
        figures.noticed = limit.max(self.mark.min(self.most + escaped)).saturating_sub(noticed);
        figures
    }
}

/// limit − reserved of a spec, in the forms that a run uses.
fn limit(spec: Option<&Value>) -> Option<u64> {
    let spec = spec?;
    let limit = spec.get("limit")?;
    let connections = match limit.get("postgres").filter(|it| !it.is_null()) {
        Some(server) => {
            let reserved = number(server, "superuserReserved").unwrap_or(3);
            number(server, "maxConnections")?.saturating_sub(reserved)
        }
        None => number(limit, "connections")?,
    };
    Some(connections.saturating_sub(number(spec, "reserved").unwrap_or(1)))
}

/// Pod, uid and bill of each grant in flight.
fn grants(ledger: &Value) -> Vec<(String, String, u64)> {
    let entries = ledger.get("grants").and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let read =
        |entry: &Value| (text(entry, "pod"), text(entry, "uid"), number(entry, "connections").unwrap_or(0));
    entries.iter().map(read).collect()
}

fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key)?.as_u64()
}
