//! The ReplicaSet controller: which pods it creates, which it deletes, and what it reports.
//!
//! In: the pods as its cache has them. Out: one step of `syncReplicaSet` in Kubernetes 1.36
//! (`pkg/controller/replicaset`, `ActivePodsWithRanks`). It reports the pods that it saw, not those that it leaves.
//! Since 1.36 it waits until its cache shows its own last writes, so a pass over all existing pods is a pass that it
//! can make. Terminating pods are replaced at once: `podReplacementPolicy` is not in 1.36.
//! Forbidden here: chance. If the controller leaves the choice open, the order of the pods decides.

use std::collections::HashMap;
use std::time::Duration;

/// The most pods that it creates or deletes in one pass.
const BURST: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Pending,
    Unknown,
    Running,
    Succeeded,
    Failed,
}

/// A pod as the controller sees it. Times are since any fixed instant.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Decides between pods of about the same age.
    pub uid: u64,
    /// None before it is scheduled.
    pub node: Option<u32>,
    pub phase: Phase,
    pub terminating: bool,
    /// Since when it is ready, if it is.
    pub ready: Option<Duration>,
    pub created: Duration,
    /// Its annotation `pod-deletion-cost`.
    pub cost: i32,
    /// The most restarts of one of its containers, and of one of its sidecars.
    pub restarts: (u32, u32),
}

/// What it writes into the status of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    pub replicas: i64,
    pub ready: i64,
    pub available: i64,
    pub terminating: i64,
}

/// What it does to pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates this many.
    Create(usize),
    /// Deletes these, by their index in the list.
    Delete(Vec<usize>),
}

impl Pod {
    /// A pod that waits to be scheduled.
    pub fn new(uid: u64, created: Duration) -> Self {
        let (node, phase, cost, restarts) = (None, Phase::Pending, 0, (0, 0));
        Self { uid, node, phase, terminating: false, ready: None, created, cost, restarts }
    }

    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether it counts as one of the set's replicas.
    pub fn is_active(&self) -> bool {
        !self.terminating && !self.has_ended()
    }

    fn is_available(&self, min_ready: Duration, now: Duration) -> bool {
        self.ready.is_some_and(|since| min_ready.is_zero() || since + min_ready <= now)
    }
}

/// What it reports about the pods of a set.
pub fn report(pods: &[Pod], min_ready: Duration, now: Duration) -> Report {
    let active = || pods.iter().filter(|pod| pod.is_active());
    let number = |count: usize| i64::try_from(count).unwrap();
    Report {
        replicas: number(active().count()),
        ready: number(active().filter(|pod| pod.ready.is_some()).count()),
        available: number(active().filter(|pod| pod.is_available(min_ready, now)).count()),
        terminating: number(pods.iter().filter(|pod| pod.terminating && !pod.has_ended()).count()),
    }
}

/// What it does to give the set `wanted` pods. `related` are the pods of all sets of the same Deployment, including
/// this one's.
pub fn change(wanted: usize, pods: &[Pod], related: &[Pod], now: Duration) -> Change {
    let mut active: Vec<usize> = (0..pods.len()).filter(|i| pods[*i].is_active()).collect();
    if active.len() <= wanted {
        return Change::Create((wanted - active.len()).min(BURST));
    }
    let surplus = (active.len() - wanted).min(BURST);
    if surplus < active.len() {
        let neighbours = neighbours(related);
        let goes_before = |a: usize, b: usize| goes_before(&pods[a], &pods[b], &neighbours, now);
        sort(&mut active, goes_before);
    }
    active.truncate(surplus);
    Change::Delete(active)
}

/// The sizes of the batches in which it creates this many pods: a batch begins when the previous one was created
/// completely; after a failure there is no other batch.
pub fn batches(count: usize) -> Vec<usize> {
    let mut left = count;
    let mut sizes = Vec::new();
    let mut next = 1;
    while left > 0 {
        let size = next.min(left);
        sizes.push(size);
        left -= size;
        next = 2 * size;
    }
    sizes
}

/// How many active pods each node has; pods without a node count as neighbours too.
fn neighbours(related: &[Pod]) -> HashMap<Option<u32>, usize> {
    let mut count = HashMap::new();
    for pod in related.iter().filter(|pod| pod.is_active()) {
        *count.entry(pod.node).or_default() += 1;
    }
    count
}

/// Insertion sort, as Go sorts up to twelve elements: the relation is not transitive, so the algorithm matters.
fn sort(places: &mut [usize], goes_before: impl Fn(usize, usize) -> bool) {
    for end in 1..places.len() {
        let mut at = end;
        while at > 0 && goes_before(places[at], places[at - 1]) {
            places.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Whether pod `a` is deleted rather than pod `b`.
fn goes_before(a: &Pod, b: &Pod, neighbours: &HashMap<Option<u32>, usize>, now: Duration) -> bool {
    let crowd = |pod: &Pod| neighbours.get(&pod.node).copied().unwrap_or(0);
    if a.node.is_some() != b.node.is_some() {
        return a.node.is_none();
    }
    if a.phase != b.phase {
        return a.phase < b.phase;
    }
    if a.ready.is_some() != b.ready.is_some() {
        return a.ready.is_none();
    }
    if a.cost != b.cost {
        return a.cost < b.cost;
    }
    if crowd(a) != crowd(b) {
        return crowd(a) > crowd(b);
    }
    if let (Some(of_a), Some(of_b)) = (a.ready, b.ready)
        && of_a != of_b
    {
        return is_younger((of_a, a.uid), (of_b, b.uid), now);
    }
    if a.restarts != b.restarts {
        return a.restarts > b.restarts;
    }
    a.created != b.created && is_younger((a.created, a.uid), (b.created, b.uid), now)
}

/// Ages are compared by their power of two, in nanoseconds; within one the UID decides.
fn is_younger(a: (Duration, u64), b: (Duration, u64), now: Duration) -> bool {
    let magnitude = |since: Duration| now.saturating_sub(since).as_nanos().checked_ilog2();
    let (of_a, of_b) = (magnitude(a.0), magnitude(b.0));
    if of_a == of_b { a.1 < b.1 } else { of_a < of_b }
}
