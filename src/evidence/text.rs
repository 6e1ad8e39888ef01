//! Metrics in the text format of Prometheus, which `OpenMetrics` extends.
//!
//! In: a page. Out: what the first of the known stacks says of its pools, summed over them. A line that cannot be read
//! says nothing.

use super::table::{Family, STACKS, Says, Stack};
use super::{MAX_CONNECTIONS, Maximum, Reading};

/// The longest line that is read.
const LINE: usize = 4096;

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
    for sample in page.lines().filter(|line| line.len() <= LINE).filter_map(Sample::read) {
        for (stack, sums) in STACKS.iter().zip(&mut all) {
            stack.families.iter().filter(|family| sample.is_of(family)).for_each(|family| {
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

/// One line of a page.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (name, rest) = line.split_at_checked(line.find(['{', ' ', '\t'])?)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_at_checked(end_of_labels(rest)?)?,
            None => ("", rest),
        };
        let value = rest.trim_start_matches('}').split_whitespace().next()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    fn is_of(&self, family: &Family) -> bool {
        self.name == family.name
            && family
                .only
                .is_none_or(|(label, value)| self.labels().any(|(name, text)| name == label && text == value))
    }

    /// The labels by name and value. Only values without escapes are compared with anything.
    fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.labels;
        std::iter::from_fn(move || {
            let (name, after) = rest.split_once("=\"")?;
            let end = end_of_value(after)?;
            let (value, after) = after.split_at_checked(end)?;
            rest = after.trim_start_matches('"');
            Some((name.trim_start_matches([',', ' ']), value))
        })
    }
}

/// Where the closing brace of labels is: outside of quotes.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        let is_end = byte == b'}' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })
}

/// Where the closing quote of a value is.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })
}
