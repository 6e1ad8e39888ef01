//! A number of pods, as users write it.

use serde_json::{Value, json};

/// Absolute, or a percentage of the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    /// This many pods.
    Int(u32),
    /// This percentage of the replicas; a surge may be more than 100.
    Percent(u32),
}

impl IntOrPercent {
    /// `3` or `25%`.
    pub fn written(self) -> Value {
        match self {
            Self::Int(pods) => json!(pods),
            Self::Percent(percent) => json!(format!("{percent}%")),
        }
    }

    /// Applied to this many replicas, rounded up.
    pub fn rounded_up(self, replicas: u32) -> u32 {
        match self {
            Self::Int(pods) => pods,
            Self::Percent(percent) => (percent * replicas).div_ceil(100),
        }
    }

    /// Applied to this many replicas, rounded down.
    pub fn rounded_down(self, replicas: u32) -> u32 {
        match self {
            Self::Int(pods) => pods,
            Self::Percent(percent) => percent * replicas / 100,
        }
    }
}
