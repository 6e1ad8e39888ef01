//! The CronJob controller: when a run begins, and what happens to the previous one.
//!
//! In: which of its Jobs are finished, the time. Out: what one pass of `syncCronJob` in Kubernetes 1.36
//! (`pkg/controller/cronjob`) does. The schedule is a period. Not in it: starting deadlines, time zones, history
//! limits.

use std::time::Duration;

/// What happens to unfinished runs when the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// They run side by side.
    Allow,
    /// The next one is skipped.
    Forbid,
    /// They are deleted.
    Replace,
}

#[derive(Clone, Debug)]
pub struct CronJob {
    pub period: Duration,
    pub concurrency: Concurrency,
    pub suspended: bool,
    /// The Jobs that it considers unfinished, by number.
    pub active: Vec<u32>,
    /// The time for which the last run was scheduled.
    pub last: Duration,
}

/// What one pass does, deletions first, and when the next run is due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Jobs that are deleted, together with their pods.
    pub replaced: Vec<u32>,
    /// Whether it creates a Job.
    pub begins: bool,
    /// After how long to look again.
    pub next: Duration,
}

impl CronJob {
    pub fn new(period: Duration, concurrency: Concurrency, created: Duration) -> Self {
        Self { period, concurrency, suspended: false, active: Vec::new(), last: created }
    }

    /// One pass. Jobs for which `runs` is false are finished or gone. The caller adds the new Job to `active`.
    pub fn sync(&mut self, runs: impl Fn(u32) -> bool, now: Duration) -> Pass {
        self.active.retain(|job| runs(*job));
        let period = self.period.as_millis();
        // The latest due time: earlier missed ones are skipped.
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
