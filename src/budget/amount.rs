//! The quantities of the core, each its own type so that pods are never added to connections.
//!
//! Arithmetic saturates upwards: a sum that would overflow counts as the largest number there is,
//! which never fits into a limit. Nothing here wraps and nothing panics.

use std::fmt;
use std::iter::Sum;

/// A number of database connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connections(u64);

/// A number of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pods(u32);

/// A number of instances in one pod: processes × engines, each with a pool of its own; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instances(u32);

impl Connections {
    /// The number as the API writes it: the largest one that fits where it is larger.
    #[must_use]
    pub fn wide(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// No connection.
    pub const ZERO: Self = Self(0);
    /// One connection.
    pub const ONE: Self = Self(1);
    /// More than any limit.
    pub const MAX: Self = Self(u64::MAX);

    /// `n` connections.
    #[must_use]
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number as text; a pool without a bound has no number.
    #[must_use]
    pub fn in_words(self) -> String {
        if self.0 >= u64::from(u32::MAX) { "any number of".to_owned() } else { self.to_string() }
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// `self + other`, or the largest number there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self − other`, or zero when `other` is larger.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What `instances` pools of this size may open together.
    #[must_use]
    pub const fn per_pod(self, instances: Instances) -> Self {
        Self(self.0.saturating_mul(instances.0 as u64))
    }

    /// What `pods` pods of this bill may open together.
    #[must_use]
    pub const fn times(self, pods: Pods) -> Self {
        Self(self.0.saturating_mul(pods.0 as u64))
    }
}

impl Pods {
    /// No pod.
    pub const ZERO: Self = Self(0);
    /// One pod.
    pub const ONE: Self = Self(1);

    /// `n` pods.
    #[must_use]
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// `self + other`, or the largest number there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self − other`, or zero when `other` is larger.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Instances {
    /// A single process with a single engine.
    pub const ONE: Self = Self(1);

    /// `processes × engines`, each at least 1, or the largest number there is.
    #[must_use]
    pub fn of(processes: u32, engines: u32) -> Self {
        Self(processes.max(1).saturating_mul(engines.max(1)))
    }

    /// The plain number, at least 1.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Sum for Connections {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::plus)
    }
}

impl Sum for Pods {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::plus)
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
