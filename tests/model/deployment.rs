//! The arithmetic of the Deployment controller: how many pods each revision shall have.
//!
//! In: what is wanted, what the ReplicaSets report. Out: what each of them is told to have. It follows
//! `syncDeployment` of Kubernetes' `pkg/controller/deployment` (sync.go, rolling.go, recreate.go); one call of
//! [`Deployment::sync`] is one pass of it.

use std::cmp::Reverse;

use poolbudget::budget::amount::Pods;
use poolbudget::budget::rollout::Strategy;

/// A pod template: what a pod is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Two templates of a Deployment are the same exactly when this is.
    pub(crate) id: u32,
    /// Whether its pods ever become ready.
    pub(crate) good: bool,
    pub(crate) processes: u32,
    /// Whether its pods are governed.
    pub(crate) labelled: bool,
}

/// A ReplicaSet: the pods of one revision.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaSet {
    pub(crate) template: Template,
    /// The place in the Deployment's history; the largest is the newest.
    pub(crate) revision: u32,
    /// The pods that it shall have.
    pub(crate) replicas: i64,
    /// The pods that it reports, terminating ones excluded.
    pub(crate) pods: i64,
    /// Those of them that it reports as available.
    pub(crate) available: i64,
    /// Order of creation.
    born: usize,
    /// The Deployment's replicas when the set was last resized.
    desired: i64,
    /// Those and the surge.
    most: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) replicas: u32,
    pub(crate) strategy: Strategy,
    pub(crate) template: Template,
    pub(crate) sets: Vec<ReplicaSet>,
    /// Whether the controller has acted on the newest spec.
    pub(crate) observed: bool,
}

impl Deployment {
    pub(crate) fn new(replicas: u32, strategy: Strategy, template: Template) -> Self {
        Self { replicas, strategy, template, sets: Vec::new(), observed: false }
    }

    fn wanted(&self) -> i64 {
        i64::from(self.replicas)
    }

    fn surge(&self) -> i64 {
        i64::from(self.strategy.surge(Pods::new(self.replicas)).get())
    }

    /// The pods that must stay available.
    fn least(&self) -> i64 {
        self.wanted() - i64::from(self.strategy.unavailable(Pods::new(self.replicas)).get())
    }

    fn total(&self) -> i64 {
        self.sets.iter().map(|set| set.replicas).sum()
    }

    /// The set of the template, if there is one already.
    pub(crate) fn newest(&self) -> Option<usize> {
        self.sets.iter().position(|set| set.template.id == self.template.id)
    }

    fn active(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|i| self.sets[*i].replicas > 0).collect()
    }

    /// Sets of other templates, the oldest first.
    fn old(&self) -> Vec<usize> {
        let newest = self.newest();
        let mut old: Vec<usize> = (0..self.sets.len()).filter(|i| Some(*i) != newest).collect();
        old.sort_by_key(|i| self.sets[*i].born);
        old
    }

    fn resize(&mut self, set: usize, replicas: i64) -> bool {
        let (desired, most) = (self.wanted(), self.wanted() + self.surge());
        let set = &mut self.sets[set];
        let changed = set.replicas != replicas;
        // The controller leaves the two notes alone when one active set has the right size already, and then takes
        // every pass for a scaling: a flaw of its own that is not ours to wait for.
        (set.replicas, set.desired, set.most) = (replicas, desired, most);
        changed
    }

    /// One pass. `runs` says whether a pod of that template exists, terminating ones included.
    pub(crate) fn sync(&mut self, runs: impl Fn(u32) -> bool) {
        self.observed = true;
        let latest = self.old().into_iter().map(|i| self.sets[i].revision).max().unwrap_or(0);
        if let Some(newest) = self.newest() {
            self.sets[newest].revision = self.sets[newest].revision.max(latest + 1);
        }
        let rescaled = |i: usize| self.sets[i].desired != self.wanted();
        if self.active().into_iter().any(rescaled) {
            self.scale();
        } else if self.strategy == Strategy::Recreate {
            self.recreate(runs);
        } else {
            self.roll();
        }
    }

    fn create(&mut self) -> usize {
        let revision = self.sets.iter().map(|set| set.revision).max().unwrap_or(0) + 1;
        let born = self.sets.len();
        let template = self.template;
        self.sets.push(ReplicaSet {
            template,
            revision,
            replicas: 0,
            pods: 0,
            available: 0,
            born,
            desired: 0,
            most: 0,
        });
        let count = self.grown(born);
        self.resize(born, count);
        born
    }

    /// The size that the newest set may grow to now.
    fn grown(&self, newest: usize) -> i64 {
        let has = self.sets[newest].replicas;
        if self.strategy == Strategy::Recreate {
            return self.wanted();
        }
        let room = self.wanted() + self.surge() - self.total();
        if room <= 0 { has } else { has + room.min(self.wanted() - has) }
    }

    fn scale(&mut self) {
        let active = self.active();
        if let [single] = active[..] {
            self.resize(single, self.wanted());
            return;
        }
        let saturated = self.newest().filter(|i| {
            let set = &self.sets[*i];
            [set.replicas, set.desired, set.available] == [self.wanted(); 3]
        });
        if saturated.is_some() {
            for i in self.old() {
                self.resize(i, 0);
            }
        } else if self.strategy != Strategy::Recreate {
            self.scale_in_proportion(active);
        }
    }

    fn scale_in_proportion(&mut self, mut active: Vec<usize>) {
        let allowed = if self.replicas == 0 { 0 } else { self.wanted() + self.surge() };
        let change = allowed - self.total();
        let newer_first = change > 0;
        active.sort_by_key(|i| {
            let born = i64::try_from(self.sets[*i].born).unwrap();
            (Reverse(self.sets[*i].replicas), if newer_first { -born } else { born })
        });
        let mut done = 0;
        let mut sizes = Vec::new();
        for i in &active {
            let left = change - done;
            let part = self.proportion(*i);
            let part = if change > 0 { part.min(left) } else { part.max(left) };
            let part = if left == 0 { 0 } else { part };
            done += part;
            sizes.push(self.sets[*i].replicas + part);
        }
        sizes[0] = (sizes[0] + change - done).max(0);
        for (i, size) in active.into_iter().zip(sizes) {
            self.resize(i, size);
        }
    }

    /// By how much a set changes so that its part of all pods stays the same, rounded to the nearest.
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
        let scaled = set.replicas * (self.wanted() + self.surge());
        (2 * scaled + before) / (2 * before) - set.replicas
    }

    fn recreate(&mut self, runs: impl Fn(u32) -> bool) {
        let old = self.old();
        let mut shrunk = false;
        for i in &old {
            shrunk |= self.resize(*i, 0);
        }
        let lingers = |i: &usize| self.sets[*i].pods > 0 || runs(self.sets[*i].template.id);
        if !shrunk && !old.iter().any(lingers) {
            let newest = self.newest().unwrap_or_else(|| self.create());
            self.resize(newest, self.wanted());
        }
    }

    fn roll(&mut self) {
        let newest = self.newest().unwrap_or_else(|| self.create());
        let has = self.sets[newest].replicas;
        let target = if has > self.wanted() { self.wanted() } else { self.grown(newest) };
        if target != has {
            self.resize(newest, target);
        } else {
            self.shrink_old(newest);
        }
    }

    fn shrink_old(&mut self, newest: usize) {
        let unavailable = self.sets[newest].replicas - self.sets[newest].available;
        let mut cleanable = self.total() - self.least() - unavailable;
        if cleanable <= 0 {
            return;
        }
        let old = self.old();
        // First the pods that are not available: they can go without harm.
        for i in &old {
            let sick = self.sets[*i].replicas - self.sets[*i].available;
            if cleanable <= 0 || self.sets[*i].replicas == 0 || sick == 0 {
                continue;
            }
            if sick < 0 {
                // The report is behind: the controller gives this pass up.
                return;
            }
            let count = sick.min(cleanable);
            self.resize(*i, self.sets[*i].replicas - count);
            cleanable -= count;
        }
        let available: i64 = self.sets.iter().map(|set| set.available).sum();
        let mut spare = available - self.least();
        for i in old {
            let count = spare.min(self.sets[i].replicas);
            if count > 0 {
                self.resize(i, self.sets[i].replicas - count);
                spare -= count;
            }
        }
    }
}
