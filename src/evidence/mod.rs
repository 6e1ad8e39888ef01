//! What a pod says of its pools: which answers are understood, and what they say.
//!
//! In: the body of an answer, which a tenant wrote. Out: a [`Reading`]. Forbidden here: asking a pod, knowing what it was
//! granted.

mod json;
mod table;
mod text;

pub use table::{STACKS, Stack};

/// The most bytes of an answer that are read.
pub const MAX_BYTES: usize = 512 << 10;

/// The largest number of connections that an answer may state; what is larger counts as this.
pub const MAX_CONNECTIONS: u64 = 1_000_000;

/// Which pools the numbers of an answer cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// One pool of one process.
    Pool,
    /// All pools of one process.
    Process,
    /// All pools of the pod.
    Pod,
}

/// The most connections that pools open by their own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maximum {
    /// So many.
    Of(u64),
    /// Any number: each checkout opens one.
    Unbounded,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which pools these numbers cover.
    pub covers: Covers,
    /// The most connections that they open.
    pub maximum: Option<Maximum>,
    /// What they open at least when there is enough to do: a part of a maximum that is not said.
    pub least: Option<u64>,
    /// Connections that are open.
    pub open: Option<u64>,
    /// Those that the app uses at this moment.
    pub in_use: Option<u64>,
    /// Checkouts that wait for one.
    pub waiting: Option<u64>,
}

impl Reading {
    /// A reading that says nothing yet.
    const fn of(covers: Covers) -> Self {
        Self { covers, maximum: None, least: None, open: None, in_use: None, waiting: None }
    }

    /// Whether it says anything by which a grant can be judged.
    const fn says_something(&self) -> bool {
        self.maximum.is_some() || self.open.is_some() || self.in_use.is_some()
    }
}

/// Why a pod has given no answer that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// It accepts no connection.
    #[error("it accepts no connection at that port")]
    Unreachable,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// It answered with another status than 200.
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    /// Its answer is larger than is read.
    #[error("its answer is larger than {} KiB", MAX_BYTES >> 10)]
    TooLarge,
    /// It ended before its answer did, or speaks no HTTP.
    #[error("its answer was cut off, or is not HTTP")]
    Broken,
    /// Its answer has no pool that is known here.
    #[error("its answer has no pool status that poolbudget understands")]
    NotUnderstood,
}

impl Silence {
    /// Its class, for metrics.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Status(_) => "status",
            Self::TooLarge => "too_large",
            Self::Broken => "broken",
            Self::NotUnderstood => "not_understood",
        }
    }

    /// All classes.
    pub const CLASSES: [&'static str; 6] =
        ["unreachable", "timed_out", "status", "too_large", "broken", "not_understood"];
}

/// Reads an answer: JSON of a pool's status, or metrics in the text format of Prometheus. None when it has no pool that
/// is known here.
#[must_use]
pub fn read(body: &[u8]) -> Option<Reading> {
    let body = body.get(..MAX_BYTES).unwrap_or(body);
    let reading = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => json::read(body),
        _ => text::read(&String::from_utf8_lossy(body)),
    };
    reading.filter(Reading::says_something)
}

#[cfg(test)]
mod tests;
