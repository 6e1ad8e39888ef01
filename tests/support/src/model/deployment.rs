//! The Deployment controller: how many pods each revision should have.
//!
//! In: what is wanted, what the ReplicaSets report. Out: what the controller writes into each of them, write by write.
//! One call of [`Deployment::sync`] is one pass of `syncDeployment` in Kubernetes 1.36 (`pkg/controller/deployment`),
//! with its rounding, its orders and its flaws. Not in it: the clean-up of old revisions, progress deadlines, and
//! writes that fail because somebody else wrote before.
//! Forbidden here: the computations of poolbudget, which are checked against this model.

use std::cmp::Reverse;

use super::IntOrPercent;

/// How a Deployment replaces its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A few at a time.
    RollingUpdate {
        /// Pods that may exist on top of the replicas, rounded up.
        max_surge: IntOrPercent,
        /// Pods that may be missing from the replicas, rounded down.
        max_unavailable: IntOrPercent,
    },
    /// All old ones first, then the new ones.
    Recreate,
}

impl Default for Strategy {
    /// The default of a Deployment: 25 % and 25 %.
    fn default() -> Self {
        let quarter = IntOrPercent::Percent(25);
        Self::RollingUpdate { max_surge: quarter, max_unavailable: quarter }
    }
}

/// A pod template: what a pod is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// Two templates of a Deployment are the same exactly if this is.
    pub id: u32,
    /// Whether its pods ever become ready.
    pub good: bool,
    pub processes: u32,
    /// Whether its pods are governed.
    pub labelled: bool,
}

/// A ReplicaSet: the pods of one revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaSet {
    pub template: Template,
    /// Its place in the Deployment's history; the largest is the newest.
    pub revision: u32,
    /// The pods that it should have.
    pub replicas: i64,
    /// The pods that it reports, terminating ones excluded.
    pub pods: i64,
    /// How many of them it reports as available.
    pub available: i64,
    /// Its place in the order of creation. The controller knows whole seconds, and compares names within one.
    pub born: usize,
    /// Its annotation `desired-replicas`: the Deployment's replicas when the set was last resized.
    pub desired: i64,
    /// Its annotation `max-replicas`: those and the surge.
    pub most: i64,
}

/// What the controller writes into one ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Its index among the sets.
    pub set: usize,
    pub replicas: i64,
    pub desired: i64,
    pub most: i64,
    pub revision: u32,
}

#[derive(Clone, Debug)]
pub struct Deployment {
    pub replicas: u32,
    pub strategy: Strategy,
    pub template: Template,
    pub sets: Vec<ReplicaSet>,
    pub paused: bool,
    /// Whether the controller has acted on the latest spec.
    pub observed: bool,
}

impl Deployment {
    pub fn new(replicas: u32, strategy: Strategy, template: Template) -> Self {
        Self { replicas, strategy, template, sets: Vec::new(), paused: false, observed: false }
    }

    /// The set of the template, if it exists already.
    pub fn newest(&self) -> Option<usize> {
        self.sets.iter().position(|set| set.template.id == self.template.id)
    }

    /// One pass, and what it wrote, in order. `runs` says whether a pod of that template exists that has not ended,
    /// terminating ones included.
    pub fn sync(&mut self, runs: impl Fn(u32) -> bool) -> Vec<Write> {
        let count = self.sets.len();
        let mut writes = Vec::new();
        let revised = self.revise(&mut writes);
        if self.paused {
            self.scale(&mut writes);
        } else if revised {
            // The controller continues with the set as it was before, and the API server refuses its next write.
            return writes;
        } else if self.is_rescaled() {
            self.scale(&mut writes);
        } else if self.strategy == Strategy::Recreate {
            self.recreate(runs, &mut writes);
        } else {
            self.roll(&mut writes);
        }
        // After it created a set, its status write is refused too: the status was written once already.
        self.observed = self.sets.len() == count;
        writes
    }

    fn wanted(&self) -> i64 {
        i64::from(self.replicas)
    }

    /// Surge and unavailable as `ResolveFenceposts` computes them.
    fn fenceposts(&self) -> (i64, i64) {
        let Strategy::RollingUpdate { max_surge, max_unavailable } = self.strategy else { return (0, 0) };
        let surge = i64::from(max_surge.rounded_up(self.replicas));
        let unavailable = i64::from(max_unavailable.rounded_down(self.replicas));
        (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
    }

    /// The most pods. With an absolute surge it is not 0 when no replicas are wanted.
    fn most(&self) -> i64 {
        self.wanted() + self.fenceposts().0
    }

    /// The pods that must stay available.
    fn least(&self) -> i64 {
        self.wanted() - self.fenceposts().1.min(self.wanted())
    }

    fn total(&self) -> i64 {
        self.sets.iter().map(|set| set.replicas).sum()
    }

    fn is_active(&self, set: usize) -> bool {
        self.sets[set].replicas > 0
    }

    /// Sets of other templates, the oldest first.
    fn old(&self) -> Vec<usize> {
        let newest = self.newest();
        let mut old: Vec<usize> = (0..self.sets.len()).filter(|i| Some(*i) != newest).collect();
        old.sort_by_key(|i| self.sets[*i].born);
        old
    }

    /// Those of them that should have pods.
    fn active_old(&self) -> Vec<usize> {
        self.old().into_iter().filter(|i| self.is_active(*i)).collect()
    }

    fn write(&mut self, set: usize, replicas: i64, writes: &mut Vec<Write>) {
        let (desired, most) = (self.wanted(), self.most());
        let changed = &mut self.sets[set];
        (changed.replicas, changed.desired, changed.most) = (replicas, desired, most);
        writes.push(Write { set, replicas, desired, most, revision: changed.revision });
    }

    /// A set that has this size already stays untouched, and so do its notes about the Deployment. The notes may then
    /// stay outdated for ever; see [`Self::is_stuck`].
    fn resize(&mut self, set: usize, replicas: i64, writes: &mut Vec<Write>) -> bool {
        let changes = self.sets[set].replicas != replicas;
        if changes {
            self.write(set, replicas, writes);
        }
        changes
    }

    fn resize_and_note(&mut self, set: usize, replicas: i64, writes: &mut Vec<Write>) {
        let ReplicaSet { replicas: has, desired, most, .. } = self.sets[set];
        if (has, desired, most) != (replicas, self.wanted(), self.most()) {
            self.write(set, replicas, writes);
        }
    }

    fn last_old_revision(&self) -> u32 {
        self.old().into_iter().map(|i| self.sets[i].revision).max().unwrap_or(0)
    }

    /// Makes the set of the template the latest in the history.
    fn revise(&mut self, writes: &mut Vec<Write>) -> bool {
        let revision = self.last_old_revision() + 1;
        let Some(newest) = self.newest().filter(|i| self.sets[*i].revision < revision) else { return false };
        let set = &mut self.sets[newest];
        set.revision = revision;
        let ReplicaSet { replicas, desired, most, .. } = *set;
        writes.push(Write { set: newest, replicas, desired, most, revision });
        true
    }

    fn create(&mut self, writes: &mut Vec<Write>) -> usize {
        let set = self.sets.len();
        self.sets.push(ReplicaSet {
            template: self.template,
            revision: self.last_old_revision() + 1,
            replicas: 0,
            pods: 0,
            available: 0,
            born: set,
            desired: 0,
            most: 0,
        });
        self.write(set, self.grown(set), writes);
        set
    }

    /// The size that the newest set may grow to now.
    fn grown(&self, newest: usize) -> i64 {
        let has = self.sets[newest].replicas;
        let room = self.most() - self.total();
        match self.strategy {
            Strategy::Recreate => self.wanted(),
            _ if room <= 0 => has,
            _ => has + room.min(self.wanted() - has),
        }
    }

    /// Whether the controller takes every pass for a scaling and finds nothing to do: a flaw of its own, which lasts
    /// until a user changes the replicas. One way into it: with maxSurge 0 a rollout has just taken a pod from the old
    /// set, and the Deployment is scaled to what is left before the new set gets its first pod.
    pub fn is_stuck(&self) -> bool {
        let mut writes = Vec::new();
        if !self.paused && self.is_rescaled() {
            self.clone().scale(&mut writes);
            return writes.is_empty();
        }
        false
    }

    fn is_rescaled(&self) -> bool {
        self.sets.iter().any(|set| set.replicas > 0 && set.desired != self.wanted())
    }

    fn scale(&mut self, writes: &mut Vec<Write>) {
        let newest = self.newest();
        let newer_first: Vec<usize> = self.old().into_iter().rev().chain(newest).collect();
        let active: Vec<usize> = newer_first.iter().copied().filter(|i| self.is_active(*i)).collect();
        match active[..] {
            [] => {
                // Only in a paused Deployment: without a set for its template, the newest set has the pods.
                if let Some(latest) = newest.or(newer_first.first().copied()) {
                    self.resize(latest, self.wanted(), writes);
                }
            }
            [single] => {
                self.resize(single, self.wanted(), writes);
            }
            _ if newest.is_some_and(|i| self.is_saturated(i)) => {
                for i in active.into_iter().filter(|i| Some(*i) != newest) {
                    self.resize(i, 0, writes);
                }
            }
            // The controller does not scale several sets of a Recreate Deployment.
            _ if self.strategy == Strategy::Recreate => {}
            _ => self.scale_in_proportion(active, writes),
        }
    }

    fn is_saturated(&self, set: usize) -> bool {
        let ReplicaSet { replicas, desired, available, .. } = self.sets[set];
        [replicas, desired, available] == [self.wanted(); 3]
    }

    fn scale_in_proportion(&mut self, mut active: Vec<usize>, writes: &mut Vec<Write>) {
        let allowed = if self.replicas == 0 { 0 } else { self.most() };
        let change = allowed - self.total();
        let largest = |i: &usize| Reverse(self.sets[*i].replicas);
        if change > 0 {
            active.sort_by_key(|i| (largest(i), Reverse(self.sets[*i].born)));
        } else if change < 0 {
            active.sort_by_key(|i| (largest(i), self.sets[*i].born));
        }
        let mut left = change;
        let mut sizes = Vec::new();
        for i in &active {
            let part = match change.signum() {
                _ if left == 0 => 0,
                1 => self.proportion(*i).min(left),
                _ => self.proportion(*i).max(left),
            };
            left -= part;
            sizes.push(self.sets[*i].replicas + part);
        }
        if change != 0 {
            sizes[0] = (sizes[0] + left).max(0);
        }
        for (i, size) in active.into_iter().zip(sizes) {
            self.resize_and_note(i, size, writes);
        }
    }

    /// By how much a set changes to keep its proportion of all pods, rounded to the nearest.
    fn proportion(&self, set: usize) -> i64 {
        let set = &self.sets[set];
        if self.replicas == 0 {
            return -set.replicas;
        }
        let reported = self.sets.iter().map(|set| set.pods).sum();
        let before: i64 = if set.most > 0 { set.most } else { reported };
        if before == 0 {
            return 0;
        }
        (2 * set.replicas * self.most() + before) / (2 * before) - set.replicas
    }

    fn recreate(&mut self, runs: impl Fn(u32) -> bool, writes: &mut Vec<Write>) {
        let mut shrunk = false;
        for i in self.active_old() {
            shrunk |= self.resize(i, 0, writes);
        }
        let lingers = |i: &usize| self.sets[*i].pods > 0 || runs(self.sets[*i].template.id);
        if !shrunk && !self.old().iter().any(lingers) {
            let newest = self.newest().unwrap_or_else(|| self.create(writes));
            self.resize(newest, self.wanted(), writes);
        }
    }

    fn roll(&mut self, writes: &mut Vec<Write>) {
        let newest = self.newest().unwrap_or_else(|| self.create(writes));
        let has = self.sets[newest].replicas;
        let target = if has >= self.wanted() { self.wanted() } else { self.grown(newest) };
        if !self.resize(newest, target, writes) {
            self.shrink_old(newest, writes);
        }
    }

    fn shrink_old(&mut self, newest: usize, writes: &mut Vec<Write>) {
        let unavailable = self.sets[newest].replicas - self.sets[newest].available;
        let mut cleanable = self.total() - self.least() - unavailable;
        if cleanable <= 0 {
            return;
        }
        let old = self.active_old();
        // Unavailable pods first: removing them does no harm.
        for i in &old {
            let sick = self.sets[*i].replicas - self.sets[*i].available;
            if cleanable <= 0 {
                break;
            }
            if sick < 0 {
                // The report is outdated: the controller gives this pass up.
                return;
            }
            let count = sick.min(cleanable);
            self.resize(*i, self.sets[*i].replicas - count, writes);
            cleanable -= count;
        }
        // What a set without replicas still reports does not count.
        let available: i64 = old.iter().chain([&newest]).map(|i| self.sets[*i].available).sum();
        let mut spare = available - self.least();
        for i in old {
            let count = spare.min(self.sets[i].replicas);
            if count > 0 {
                self.resize(i, self.sets[i].replicas - count, writes);
                spare -= count;
            }
        }
    }
}
