//! The CronJob controller: when a run begins, and what becomes of the one before.
//!
//! In: which of its Jobs are finished, the time. Out: what one pass of `syncCronJob` in Kubernetes 1.36
//! (`pkg/controller/cronjob`) does. The schedule is a period. Not in it: starting deadlines, time zones, history limits.

use std::time::Duration;

/// What becomes of runs that are not done when the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// They run side by side.
    Allow,
    /// The next one is left out.
    Forbid,
    /// They are deleted.
    Replace,
}

#[derive(Clone, Debug)]
pub struct CronJob {
    pub period: Duration,
    pub concurrency: Concurrency,
    pub suspended: bool,
    /// Its Jobs that it takes for unfinished, by number.
    pub active: Vec<u32>,
    /// For when the last run was scheduled.
    pub last: Duration,
}

/// What one pass does, deletions first, and when the next run is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Jobs that are deleted, together with their pods.
    pub replaced: Vec<u32>,
    /// Whether a Job is made.
    pub begins: bool,
    /// After how long to look again.
    pub next: Duration,
}

impl CronJob {
    pub fn new(period: Duration, concurrency: Concurrency, created: Duration) -> Self {
        Self { period, concurrency, suspended: false, active: Vec::new(), last: created }
    }

    /// One pass. Jobs for which `runs` is false are finished or gone. Who calls adds the Job that begins to `active`.
    pub fn sync(&mut self, runs: impl Fn(u32) -> bool, now: Duration) -> Pass {
        self.active.retain(|job| runs(*job));
        let period = self.period.as_millis();
        // The latest time that is due: those that were missed before it are left out.
        let missed = (now.saturating_sub(self.last).as_millis() / period).try_into().unwrap_or(u32::MAX);
        let due = self.last + self.period * missed;
        let mut pass = Pass { next: due + self.period - now.min(due + self.period), ..Pass::default() };
        let held_up = self.concurrency == Concurrency::Forbid && !self.active.is_empty();
        if self.suspended || missed == 0 || held_up {
            return pass;
        }
        if self.concurrency == Concurrency::Replace {
            pass.replaced = std::mem::take(&mut self.active);
        }
        (pass.begins, self.last) = (true, due);
        pass
    }
}
