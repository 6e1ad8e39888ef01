//! What a story shows, while it runs and afterwards.
//!
//! In: what the sides and the independent count report. Out: figures. Forbidden here: I/O.

use super::side::Outcome;
use super::way::{Step, Way};

/// How long a server may hold a connection after its pod is gone.
const CLOSING: f64 = 2.0;

/// What one moment shows: held and refused on each side.
#[derive(Debug, Clone, Copy)]
pub struct Glance {
    /// The time since the story began, in seconds.
    pub at: f64,
    /// Held and refused without poolbudget.
    pub without: (u64, usize),
    /// Held and refused with it.
    pub with: (u64, usize),
}

/// When a step began.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The step.
    pub step: &'static Step,
    /// Seconds since 1970.
    pub at: f64,
}

/// Everything that is known afterwards.
#[derive(Debug)]
pub struct Told {
    /// The way to the database.
    pub way: &'static Way,
    /// When it began and ended, in seconds since 1970.
    pub span: (f64, f64),
    /// Its steps.
    pub marks: Vec<Mark>,
    /// Without poolbudget.
    pub without: Outcome,
    /// With it.
    pub with: Outcome,
    /// The sum of the grants of pods that are not gone, at each change, from the independent count.
    pub granted: Vec<(f64, u64)>,
    /// What was wrong: a sum of grants above the budget, a pod that the kubelet could not run.
    pub faults: Vec<String>,
}

impl Told {
    /// The most that the server ever held above the sum of the grants at that moment, with poolbudget.
    pub fn above_grants(&self) -> u64 {
        let above = |at: f64, held: u64| held.saturating_sub(self.granted_since(at - CLOSING, at));
        self.with.samples.iter().map(|sample| above(sample.at, sample.held())).max().unwrap_or(0)
    }

    /// The highest sum of grants between two moments.
    fn granted_since(&self, from: f64, to: f64) -> u64 {
        let sums = self.granted.iter().filter(|(at, _)| *at <= to);
        // The last sum before that time is still current then.
        let before = self.granted.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        sums.skip(before).map(|(_, sum)| *sum).max().unwrap_or(0)
    }
}
