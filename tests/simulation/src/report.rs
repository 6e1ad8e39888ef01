//! The results of many schedules, by basis and surge, without faults and with them.

use std::collections::BTreeMap;
use std::fmt;

use super::Outcome;
use super::judge::Fault;

/// Schedules of one kind.
#[derive(Default)]
struct Group {
    schedules: u64,
    faults: BTreeMap<Fault, u64>,
    settled: u64,
    scale_events: u64,
    restarts: u64,
    waits: Vec<u32>,
    utilisation: Vec<u32>,
    calm: Vec<u32>,
    peak: u64,
}

/// The results of many schedules.
#[derive(Default)]
pub struct Report {
    groups: BTreeMap<(bool, &'static str, &'static str), Group>,
    pub steps: u64,
    pub looks: u64,
    pub grants: u64,
}

impl Report {
    pub fn take(&mut self, outcome: &Outcome) {
        let tally = &outcome.tally;
        self.steps += tally.steps;
        self.looks += tally.looks;
        self.grants += tally.grants;
        let group = self.groups.entry((tally.faults, tally.group.0, tally.group.1)).or_default();
        group.schedules += 1;
        group.peak = group.peak.max(tally.peak);
        if let Some(violation) = &outcome.violation {
            *group.faults.entry(violation.fault).or_default() += 1;
        }
        if let Some(settled) = tally.settled {
            group.settled += 1;
            group.calm.push(u32::try_from(settled).unwrap_or(u32::MAX));
            group.scale_events += tally.scale_events;
            group.restarts += tally.restarts;
        }
        group.waits.extend(&tally.waits);
        group.utilisation.extend(&tally.utilisation);
    }

    pub fn schedules(&self) -> u64 {
        self.groups.values().map(|group| group.schedules).sum()
    }

    /// Schedules in which a promise was broken.
    pub fn violations(&self) -> u64 {
        self.groups.values().flat_map(|group| group.faults.values()).sum()
    }

    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.looks += other.looks;
        self.grants += other.grants;
        for (key, from) in other.groups {
            let group = self.groups.entry(key).or_default();
            group.schedules += from.schedules;
            group.settled += from.settled;
            group.scale_events += from.scale_events;
            group.restarts += from.restarts;
            group.peak = group.peak.max(from.peak);
            group.waits.extend(from.waits);
            group.utilisation.extend(from.utilisation);
            group.calm.extend(from.calm);
            for (fault, count) in from.faults {
                *group.faults.entry(fault).or_default() += count;
            }
        }
    }
}

/// The percentile: the value below which this many of a hundred values are.
fn percentile(values: &mut [u32], percent: usize) -> f64 {
    values.sort_unstable();
    let place = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    f64::from(values.get(place).copied().unwrap_or(0)) / 1000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<7} {:<8} {:<8} {:>9} {:>5} {:>10} {:>11} {:>5} {:>6} {:>8} {:>13} {:>11} {:>13}",
            "faults",
            "basis",
            "surge",
            "schedules",
            "over",
            "unrecorded",
            "understated",
            "stuck",
            "panics",
            "max Σ/U",
            "restarts/scale",
            "utilisation",
            "ready p50/p95"
        )?;
        for ((faults, basis, surge), group) in &self.groups {
            let count = |fault: Fault| group.faults.get(&fault).copied().unwrap_or(0);
            let (mut waits, utilisation) = (group.waits.clone(), &group.utilisation);
            let mean =
                utilisation.iter().map(|v| f64::from(*v)).sum::<f64>() / utilisation.len().max(1) as f64;
            writeln!(
                f,
                "{:<7} {basis:<8} {surge:<8} {:>9} {:>5} {:>10} {:>11} {:>5} {:>6} {:>8.2} {:>13.2} {:>11.2} {:>6.1} /{:>5.1} s",
                if *faults { "yes" } else { "no" },
                group.schedules,
                count(Fault::Over),
                count(Fault::Unrecorded),
                count(Fault::Understated),
                count(Fault::Stuck),
                count(Fault::Panic),
                group.peak as f64 / 1000.0,
                group.restarts as f64 / group.scale_events.max(1) as f64,
                mean / 1000.0,
                percentile(&mut waits, 50),
                percentile(&mut waits, 95),
            )?;
        }
        let mut calm: Vec<u32> = self.groups.values().flat_map(|group| group.calm.iter().copied()).collect();
        let settled: u64 = self.groups.values().map(|group| group.settled).sum();
        let (schedules, violations) = (self.schedules(), self.violations());
        writeln!(
            f,
            "{schedules} schedules, {violations} violations; {settled} settled, {:.1} s after the last change at p50 and {:.1} s at p95",
            percentile(&mut calm, 50),
            percentile(&mut calm, 95)
        )?;
        write!(f, "{} steps, {} looks, {} grants", self.steps, self.looks, self.grants)
    }
}
