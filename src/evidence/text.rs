//! Metrics in the text format of Prometheus, which `OpenMetrics` extends.
//!
//! In: a page. Out: what the first of the known stacks says of its pools, summed over them. A line that cannot be read
//! says nothing.

use super::table::{Family, STACKS, Says, Stack};
use super::{MAX_CONNECTIONS, Maximum, Reading};
use crate::exposition::{Sample, samples};

/// The sums of one stack.
#[derive(Clone, Copy, Default)]
struct Sums {
    maximum: Option<u64>,
    unbounded: bool,
    open: Option<u64>,
    in_use: Option<u64>,
    idle: Option<u64>,
    waiting: Option<u64>,
}

pub(super) fn read(page: &str) -> Option<Reading> {
    let mut all = [Sums::default(); STACKS.len()];
    for sample in samples(page) {
        for (stack, sums) in STACKS.iter().zip(&mut all) {
            stack.families.iter().filter(|family| is_of(&sample, family)).for_each(|family| {
                sums.add(family.says, sample.value, stack);
            });
        }
    }
    let readings =
        STACKS.iter().zip(all).map(|(stack, sums)| sums.reading(stack)).filter(Reading::says_something);
    // Two libraries may describe the same pools: the one that says more of them counts.
    readings.max_by_key(|reading| {
        let most = match reading.maximum {
            None => 0,
            Some(Maximum::Of(most)) => most,
            Some(Maximum::Unbounded) => u64::MAX,
        };
        (reading.maximum.is_some(), most.max(reading.open.unwrap_or(0)))
    })
}

impl Sums {
    fn add(&mut self, says: Says, value: f64, stack: &Stack) {
        let number = count(value);
        if says == Says::Maximum && stack.zero_is_unbounded && number == 0 {
            self.unbounded = true;
            return;
        }
        let sum = match says {
            Says::Maximum => &mut self.maximum,
            Says::Open => &mut self.open,
            Says::InUse => &mut self.in_use,
            Says::Idle => &mut self.idle,
            Says::Waiting => &mut self.waiting,
        };
        *sum = Some(sum.unwrap_or(0).saturating_add(number).min(MAX_CONNECTIONS));
    }

    fn reading(self, stack: &Stack) -> Reading {
        let parts = self.in_use.map(|used| used.saturating_add(self.idle.unwrap_or(0)));
        let maximum = if self.unbounded { Some(Maximum::Unbounded) } else { self.maximum.map(Maximum::Of) };
        Reading {
            covers: stack.covers,
            maximum,
            least: None,
            open: self.open.or(parts),
            in_use: self.in_use,
            waiting: self.waiting,
        }
    }
}

/// A value as a number of connections: a fraction rounds up, and what is no number is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is between 0 and a million"
)]
fn count(value: f64) -> u64 {
    let most = MAX_CONNECTIONS as f64;
    if value.is_nan() { 0 } else { value.ceil().clamp(0.0, most) as u64 }
}

fn is_of(sample: &Sample<'_>, family: &Family) -> bool {
    let has =
        |(label, value): (&str, &str)| sample.labels().any(|(name, text)| name == label && text == value);
    sample.name == family.name && family.only.is_none_or(has)
}
