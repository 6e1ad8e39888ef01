//! The Job controller: how many pods work at a time, what it counts, and when it finishes.
//!
//! In: the pods as its cache has them, the time. Out: what one pass of `syncJob` in Kubernetes 1.36
//! (`pkg/controller/job`) does to them. Not in it: indexed completion, failure and success policies, deadlines, and the
//! finalizer that keeps a pod until it is counted: here a pod that goes unseen is simply missing.
//! Forbidden here: the computations of poolbudget, which are checked against this model.

use std::collections::BTreeSet;
use std::time::Duration;

use super::deployment::Template;

/// The backoff after the first failure, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

#[derive(Clone, Debug)]
pub struct Job {
    pub parallelism: u32,
    /// If None, one pod that succeeds is enough.
    pub completions: Option<u32>,
    /// Whether a pod is replaced as soon as its deletion begins (`podReplacementPolicy: TerminatingOrFailed`), or when
    /// it has ended (`Failed`).
    pub replaces_terminating: bool,
    pub suspended: bool,
    /// The failures that it tolerates.
    pub backoff_limit: u32,
    pub template: Template,
    pub succeeded: u32,
    pub failed: u32,
    /// Waiting and running pods, as it reports them.
    pub active: u32,
    /// How it ended.
    pub finished: Option<End>,
    /// Whether it has failed and waits until its pods are gone.
    pub failing: bool,
    pub counted: BTreeSet<u32>,
    /// Failures since the last success, and when the last one was seen.
    pub in_a_row: u32,
    pub last_failure: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    Failed,
}

/// A pod as the controller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    pub uid: u32,
    pub bound: bool,
    pub ready: bool,
    pub terminating: bool,
    /// How it ended, if it has.
    pub ended: Option<End>,
}

/// What the controller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Creates this many pods.
    Create(u32),
    /// Deletes these, by their index in the list.
    Delete(Vec<usize>),
    /// Looks again after this time: a pod has just failed.
    Wait(Duration),
}

impl Pod {
    fn is_active(&self) -> bool {
        !self.terminating && self.ended.is_none()
    }
}

impl Job {
    pub fn new(parallelism: u32, completions: Option<u32>, template: Template) -> Self {
        Self {
            parallelism,
            completions,
            replaces_terminating: true,
            suspended: false,
            backoff_limit: 6,
            template,
            succeeded: 0,
            failed: 0,
            active: 0,
            finished: None,
            failing: false,
            counted: BTreeSet::new(),
            in_a_row: 0,
            last_failure: Duration::ZERO,
        }
    }

    /// One pass.
    pub fn sync(&mut self, pods: &[Pod], now: Duration) -> Change {
        if self.finished.is_some() {
            return Change::Nothing;
        }
        self.count(pods, now);
        self.failing |= self.failed > self.backoff_limit;
        let active: Vec<usize> = (0..pods.len()).filter(|i| pods[*i].is_active()).collect();
        let terminating = pods.iter().filter(|pod| pod.terminating && pod.ended.is_none()).count();
        let change = if self.failing { delete(active.clone()) } else { self.manage(&active, pods, now) };
        let left = match &change {
            Change::Create(count) => number(active.len()) + count,
            Change::Delete(gone) => number(active.len() - gone.len()),
            _ => number(active.len()),
        };
        self.active = left;
        let gone = left == 0 && change == Change::Nothing && terminating == 0;
        let enough = self.succeeded >= self.completions.unwrap_or(1);
        self.finished = match gone {
            true if self.failing => Some(End::Failed),
            true if enough => Some(End::Complete),
            _ => None,
        };
        change
    }

    fn count(&mut self, pods: &[Pod], now: Duration) {
        for pod in pods {
            let failed = pod.ended == Some(End::Failed)
                || (self.replaces_terminating && pod.terminating && pod.ended.is_none());
            let succeeded = pod.ended == Some(End::Complete);
            if (failed || succeeded) && self.counted.insert(pod.uid) {
                if succeeded {
                    (self.succeeded, self.in_a_row) = (self.succeeded + 1, 0);
                } else {
                    (self.failed, self.in_a_row) = (self.failed + 1, self.in_a_row + 1);
                    self.last_failure = now;
                }
            }
        }
    }

    /// The pods that should work now.
    pub fn wanted(&self) -> u32 {
        match self.completions {
            _ if self.suspended || self.finished.is_some() || self.failing => 0,
            Some(completions) => completions.saturating_sub(self.succeeded).min(self.parallelism),
            // The others finish their work.
            None if self.succeeded > 0 => self.active,
            None => self.parallelism,
        }
    }

    fn manage(&self, active: &[usize], pods: &[Pod], now: Duration) -> Change {
        let wanted = if self.completions.is_none() && self.succeeded > 0 && !self.suspended {
            number(active.len())
        } else {
            self.wanted()
        };
        let surplus = number(active.len()).saturating_sub(wanted);
        if surplus > 0 {
            let mut going = active.to_vec();
            going.sort_by_key(|i| (pods[*i].bound, pods[*i].ready));
            going.truncate(usize::try_from(surplus).unwrap());
            return Change::Delete(going);
        }
        let going = pods.iter().filter(|pod| pod.terminating && pod.ended.is_none()).count();
        let counts = if self.replaces_terminating { 0 } else { number(going) };
        let missing = wanted.saturating_sub(number(active.len()) + counts);
        let delay = BACKOFF.0 * 2_u32.saturating_pow(self.in_a_row.saturating_sub(1).min(10));
        let until = self.last_failure + delay.min(BACKOFF.1);
        match missing {
            0 => Change::Nothing,
            _ if self.in_a_row > 0 && until > now => Change::Wait(until - now),
            missing => Change::Create(missing),
        }
    }
}

fn delete(pods: Vec<usize>) -> Change {
    if pods.is_empty() { Change::Nothing } else { Change::Delete(pods) }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}
