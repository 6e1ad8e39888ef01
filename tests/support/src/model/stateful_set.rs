//! The StatefulSet controller: which pods it creates and deletes, by their ordinals.
//!
//! In: the pods as its cache has them. Out: what one pass of `updateStatefulSet` in Kubernetes 1.36
//! (`pkg/controller/statefulset`) does to them. A pod's successor has the same name, so it appears only in a pass that
//! no longer sees the old object. Not in it: volumes, `minReadySeconds`, ordinals that do not begin at 0.
//! Forbidden here: the computations of poolbudget, which are checked against this model.

use std::cmp::Reverse;

use super::IntOrPercent;
use super::deployment::Template;

/// How pods of an older template are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only when somebody deletes them.
    OnDelete,
    /// From the highest ordinal down.
    Rolling {
        /// Pods with lower ordinals stay as they are.
        partition: u32,
        /// None if the API server drops it, which is the default (feature gate `MaxUnavailableStatefulSet`).
        max_unavailable: Option<IntOrPercent>,
    },
}

#[derive(Clone, Debug)]
pub struct StatefulSet {
    pub replicas: u32,
    /// `podManagementPolicy: Parallel`; otherwise OrderedReady.
    pub parallel: bool,
    pub update: Update,
    pub template: Template,
    /// The template of the last complete rollout, which pods below the partition are created from.
    pub current: Template,
    /// Whether the controller has acted on the latest spec.
    pub observed: bool,
}

/// A pod as the controller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    pub ordinal: u32,
    /// The template that it was created from.
    pub template: u32,
    pub ready: bool,
    pub terminating: bool,
    /// Whether its phase is Succeeded or Failed.
    pub ended: bool,
}

/// What the controller does to pods, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates the pod of an ordinal from a template.
    Create(u32, Template),
    /// Deletes a pod, by its index in the list.
    Delete(usize),
}

impl Pod {
    fn is_healthy(&self) -> bool {
        self.ready && !self.terminating
    }
}

impl StatefulSet {
    pub fn new(replicas: u32, parallel: bool, update: Update, template: Template) -> Self {
        Self { replicas, parallel, update, template, current: template, observed: false }
    }

    /// One pass.
    pub fn sync(&mut self, pods: &[Pod]) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.fill(pods, &mut changes) && self.shrink(pods, &mut changes) {
            self.roll(pods, &mut changes);
        }
        self.complete(pods);
        self.observed = true;
        changes
    }

    /// The template that a new pod of this ordinal is created from.
    fn template_of(&self, ordinal: u32) -> Template {
        match self.update {
            Update::Rolling { partition, .. } if ordinal < partition => self.current,
            _ => self.template,
        }
    }

    /// Whether a pod of this ordinal stays as it is when the template changes.
    pub fn keeps(&self, ordinal: Option<u32>) -> bool {
        match self.update {
            Update::OnDelete => true,
            Update::Rolling { partition, .. } => ordinal.is_some_and(|ordinal| ordinal < partition),
        }
    }

    fn place(pods: &[Pod], ordinal: u32) -> Option<usize> {
        pods.iter().position(|pod| pod.ordinal == ordinal)
    }

    /// Creates missing pods. False if the pass ends with that: with ordered pods, a missing or unready one stops
    /// everything, including what would be done about later ones.
    fn fill(&self, pods: &[Pod], changes: &mut Vec<Change>) -> bool {
        for ordinal in 0..self.replicas {
            let healthy = match Self::place(pods, ordinal) {
                None => {
                    changes.push(Change::Create(ordinal, self.template_of(ordinal)));
                    false
                }
                Some(place) => {
                    if pods[place].ended && !pods[place].terminating {
                        changes.push(Change::Delete(place));
                    }
                    !pods[place].ended && pods[place].is_healthy()
                }
            };
            if !healthy && !self.parallel {
                return false;
            }
        }
        true
    }

    /// Deletes pods beyond the replicas: all at once, or the highest, if it is healthy or the only unhealthy one.
    fn shrink(&self, pods: &[Pod], changes: &mut Vec<Change>) -> bool {
        let mut beyond: Vec<usize> = (0..pods.len()).filter(|i| pods[*i].ordinal >= self.replicas).collect();
        beyond.sort_by_key(|i| Reverse(pods[*i].ordinal));
        if self.parallel {
            let stays = |i: &usize| !pods[*i].terminating;
            changes.extend(beyond.into_iter().filter(stays).map(Change::Delete));
            return true;
        }
        let Some(highest) = beyond.first().copied() else { return true };
        let lowest_sick = beyond.iter().rev().find(|i| !pods[**i].is_healthy()).copied();
        if !pods[highest].terminating && (pods[highest].ready || lowest_sick == Some(highest)) {
            changes.push(Change::Delete(highest));
        }
        false
    }

    /// Deletes pods of older templates.
    fn roll(&self, pods: &[Pod], changes: &mut Vec<Change>) {
        let Update::Rolling { partition, max_unavailable } = self.update else { return };
        let wanted = |ordinal: &u32| Self::place(pods, *ordinal);
        let healthy = |ordinal: &u32| wanted(ordinal).is_some_and(|place| pods[place].is_healthy());
        let outdated = |ordinal: &u32| {
            wanted(ordinal)
                .filter(|place| pods[*place].template != self.template.id && !pods[*place].terminating)
        };
        let from_the_highest = (partition..self.replicas).rev();
        let Some(most) = max_unavailable else {
            // One at a time: the first outdated pod, unless a pod above it is unhealthy.
            for ordinal in from_the_highest {
                if let Some(place) = outdated(&ordinal) {
                    changes.push(Change::Delete(place));
                    return;
                }
                if !healthy(&ordinal) {
                    return;
                }
            }
            return;
        };
        let most = most.rounded_down(self.replicas);
        let missing = (0..self.replicas).filter(|ordinal| !healthy(ordinal)).count();
        let spare = usize::try_from(most.max(1)).unwrap().saturating_sub(missing);
        changes.extend(from_the_highest.filter_map(|it| outdated(&it)).take(spare).map(Change::Delete));
    }

    /// A rollout is complete when every pod has the newest template and is ready.
    fn complete(&mut self, pods: &[Pod]) {
        let wanted = usize::try_from(self.replicas).unwrap();
        let updated = pods.iter().filter(|pod| pod.template == self.template.id && !pod.terminating).count();
        let ready = pods.iter().filter(|pod| pod.ready).count();
        if matches!(self.update, Update::Rolling { .. }) && [updated, ready, pods.len()] == [wanted; 3] {
            self.current = self.template;
        }
    }
}
