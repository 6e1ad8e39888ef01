//! The DaemonSet controller: which nodes get a pod, and which pods are deleted.
//!
//! In: the nodes that it should run on, the pods as its cache has them. Out: one pass of `manage` and `rollingUpdate`
//! in Kubernetes 1.36 (`pkg/controller/daemon`). Not in it: `minReadySeconds`, taints, the backoff for failed pods.
//! Forbidden here: chance (the controller visits nodes in any order, this one in the given order), and the computations
//! of poolbudget.

use std::collections::BTreeSet;

use super::IntOrPercent;
use super::deployment::Template;

/// How pods of an older template are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only when somebody deletes them.
    OnDelete,
    /// On this many nodes at a time; both numbers are rounded up.
    Rolling { max_surge: IntOrPercent, max_unavailable: IntOrPercent },
}

#[derive(Clone, Debug)]
pub struct DaemonSet {
    pub update: Update,
    pub template: Template,
    /// Whether the controller has acted on the latest spec.
    pub observed: bool,
}

/// A pod as the controller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its node, also while it waits to be bound.
    pub node: usize,
    pub template: u32,
    pub ready: bool,
    pub terminating: bool,
    /// Whether its phase is Succeeded or Failed.
    pub ended: bool,
    /// A lower number is older.
    pub age: u64,
}

/// What the controller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates a pod for a node.
    Create(usize),
    /// Deletes a pod, by its index in the list.
    Delete(usize),
}

/// The pods of a node, by their index in the list, without those that are being deleted.
#[derive(Clone, Copy)]
enum OnNode {
    None,
    Old(usize),
    New(usize),
    Both {
        old: usize,
        new: usize,
    },
    /// More than one old or new pod.
    Crowd,
}

impl DaemonSet {
    pub fn new(update: Update, template: Template) -> Self {
        Self { update, template, observed: false }
    }

    /// Surge and unavailable on this many nodes.
    fn fenceposts(&self, nodes: usize) -> (usize, usize) {
        let Update::Rolling { max_surge, max_unavailable } = self.update else { return (0, 0) };
        let nodes = u32::try_from(nodes).unwrap();
        let rounded_up = |of: IntOrPercent| usize::try_from(of.rounded_up(nodes)).unwrap();
        let (surge, unavailable) = (rounded_up(max_surge), rounded_up(max_unavailable));
        (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
    }

    /// Whether a new pod may ever run beside an old one. With a surge in percent this does not depend on the nodes.
    fn allows_surge(&self) -> bool {
        let zero = [IntOrPercent::Int(0), IntOrPercent::Percent(0)];
        matches!(self.update, Update::Rolling { max_surge, .. } if !zero.contains(&max_surge))
    }

    /// One pass over the nodes in this order. Repairs of nodes come before the rollout, which then waits for the next
    /// pass.
    pub fn sync(&mut self, nodes: &[usize], pods: &[Pod]) -> Vec<Change> {
        self.observed = true;
        let mut changes = self.manage(nodes, pods);
        if changes.is_empty() && self.update != Update::OnDelete {
            let known: BTreeSet<usize> = nodes.iter().copied().collect();
            let others: BTreeSet<usize> = pods.iter().map(|pod| pod.node).collect();
            let all: Vec<usize> = nodes.iter().chain(others.difference(&known)).copied().collect();
            let (surge, unavailable) = self.fenceposts(nodes.len());
            changes = if surge > 0 {
                self.roll_beside(&all, pods, surge)
            } else {
                self.roll_in_place(&all, pods, unavailable)
            };
        }
        changes
    }

    fn manage(&self, nodes: &[usize], pods: &[Pod]) -> Vec<Change> {
        let mut changes = Vec::new();
        let elsewhere = |i: &usize| !nodes.contains(&pods[*i].node) && !pods[*i].terminating;
        for node in nodes {
            let there: Vec<usize> = (0..pods.len()).filter(|i| pods[*i].node == *node).collect();
            let stays = |i: &usize| !pods[*i].terminating;
            changes.extend(there.iter().filter(|i| stays(i) && pods[**i].ended).map(|i| Change::Delete(*i)));
            let mut runs: Vec<usize> =
                there.iter().copied().filter(|i| stays(i) && !pods[*i].ended).collect();
            runs.sort_by_key(|i| pods[*i].age);
            // A pod that has ended and is being deleted does not keep its place; without surge, one that still runs
            // does.
            let taken = there.iter().any(|i| !(pods[*i].terminating && pods[*i].ended));
            if !taken || (self.allows_surge() && runs.is_empty()) {
                changes.push(Change::Create(*node));
            } else if self.allows_surge() {
                self.prune(&runs, pods, &mut changes);
            } else {
                changes.extend(runs.iter().skip(1).map(|i| Change::Delete(*i)));
            }
        }
        changes.extend((0..pods.len()).filter(elsewhere).map(Change::Delete));
        changes
    }

    /// Of a node's pods, the oldest new one and the oldest old one stay; the old one only while it is ready and the new
    /// one is not.
    fn prune(&self, runs: &[usize], pods: &[Pod], changes: &mut Vec<Change>) {
        let (new, old): (Vec<usize>, Vec<usize>) =
            runs.iter().partition(|i| pods[**i].template == self.template.id);
        let surplus = new.iter().skip(1).chain(old.iter().skip(1));
        changes.extend(surplus.map(|i| Change::Delete(*i)));
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!pods[*old].ready || pods[*new].ready)
        {
            changes.push(Change::Delete(*old));
        }
    }

    fn on(&self, node: usize, pods: &[Pod]) -> OnNode {
        let stays = |i: &usize| pods[*i].node == node && !pods[*i].terminating;
        let (new, old): (Vec<usize>, Vec<usize>) =
            (0..pods.len()).filter(stays).partition(|i| pods[*i].template == self.template.id);
        match (&new[..], &old[..]) {
            ([], []) => OnNode::None,
            ([], [old]) => OnNode::Old(*old),
            ([new], []) => OnNode::New(*new),
            ([new], [old]) => OnNode::Both { old: *old, new: *new },
            _ => OnNode::Crowd,
        }
    }

    /// Deletes old pods; their successors are created when they are gone.
    fn roll_in_place(&self, nodes: &[usize], pods: &[Pod], most: usize) -> Vec<Change> {
        let (mut missing, mut sick, mut candidates) = (0, Vec::new(), Vec::new());
        for node in nodes {
            match self.on(*node, pods) {
                OnNode::None | OnNode::Both { .. } | OnNode::Crowd => missing += 1,
                OnNode::New(new) => missing += usize::from(!pods[new].ready),
                OnNode::Old(old) if !pods[old].ready => {
                    sick.push(old);
                    missing += 1;
                }
                OnNode::Old(_) if missing >= most => {}
                OnNode::Old(old) => candidates.push(old),
            }
        }
        let ready = candidates.into_iter().take(most.saturating_sub(missing));
        sick.into_iter().chain(ready).map(Change::Delete).collect()
    }

    /// Creates new pods beside old ones, and deletes the old ones when the new ones are ready.
    fn roll_beside(&self, nodes: &[usize], pods: &[Pod], most: usize) -> Vec<Change> {
        let (mut surging, mut replaced, mut allowed, mut candidates) = (0, vec![], vec![], vec![]);
        for node in nodes {
            match self.on(*node, pods) {
                OnNode::None | OnNode::New(_) => {}
                OnNode::Crowd => surging += 1,
                OnNode::Old(old) if !pods[old].ready => allowed.push(*node),
                OnNode::Old(_) if surging >= most => {}
                OnNode::Old(_) => candidates.push(*node),
                OnNode::Both { new, .. } if !pods[new].ready => surging += 1,
                OnNode::Both { old, .. } => replaced.push(Change::Delete(old)),
            }
        }
        let beside = candidates.into_iter().take(most.saturating_sub(surging));
        replaced.into_iter().chain(allowed.into_iter().chain(beside).map(Change::Create)).collect()
    }
}
