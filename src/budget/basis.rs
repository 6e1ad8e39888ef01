//! How many pods of a workload the sizes are made for: the current replicas, a rung above them, or the ceiling.
//!
//! In: replicas, ceiling, the rung carried over, the time in seconds. Out: the pods to plan for and the rung to carry
//! on. Forbidden here: reading a clock.

use super::amount::Pods;

/// What the sizes are made for. Planning for more pods means smaller sizes that change less often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// The most replicas that the workload may ever have: no scale event changes a size.
    #[default]
    Ceiling,
    /// The current replicas, rounded up to a power of two: a size changes when a rung is passed.
    Ladder,
    /// The current replicas: every scale event changes sizes.
    Current,
}

/// How long a workload must want a lower rung before it gets it, in seconds. On a lower rung sizes grow, and a later
/// climb shrinks them again by evictions, so a short dip must not change the rung.
pub const RUNG_HOLD: u64 = 600;

/// Where a workload stands on the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The pods that are planned for.
    pub level: Pods,
    /// Since when a lower rung would be enough, in seconds of the caller's clock.
    pub lower_since: Option<u64>,
}

impl Rung {
    /// The rung at `replicas`, with nothing carried from before.
    #[must_use]
    pub fn at(replicas: Pods) -> Self {
        let level = match replicas.get() {
            // A workload scaled to zero keeps no slot.
            0 => 0,
            n => n.checked_next_power_of_two().unwrap_or(u32::MAX),
        };
        Self { level: Pods::new(level), lower_since: None }
    }

    /// The rung at time `now`: up at once, down after [`RUNG_HOLD`]. If the clock jumped back, the wait starts again.
    #[must_use]
    pub fn step(self, replicas: Pods, now: u64) -> Self {
        let wanted = Self::at(replicas);
        if wanted.level >= self.level {
            return wanted;
        }
        let since = self.lower_since.map_or(now, |since| since.min(now));
        if now - since >= RUNG_HOLD { wanted } else { Self { level: self.level, lower_since: Some(since) } }
    }
}

impl Basis {
    /// N_w: the pods to plan for, never fewer than `replicas`, and the rung to carry on (on the ladder only).
    #[must_use]
    pub fn pods(
        self,
        replicas: Pods,
        ceiling: Option<Pods>,
        carried: Option<Rung>,
        now: u64,
    ) -> (Pods, Option<Rung>) {
        match self {
            Self::Ceiling => (ceiling.map_or(replicas, |most| most.max(replicas)), None),
            Self::Ladder => {
                let rung = carried.map_or_else(|| Rung::at(replicas), |rung| rung.step(replicas, now));
                (rung.level, Some(rung))
            }
            Self::Current => (replicas, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(level: u32, lower_since: Option<u64>) -> Rung {
        Rung { level: Pods::new(level), lower_since }
    }

    #[test]
    fn the_ceiling_is_planned_for_unless_more_replicas_stand() {
        let pods = |n, ceiling: Option<u32>| {
            Basis::Ceiling.pods(Pods::new(n), ceiling.map(Pods::new), None, 0).0.get()
        };
        assert_eq!(pods(2, Some(10)), 10);
        assert_eq!(pods(12, Some(10)), 12);
        assert_eq!(pods(2, None), 2);
    }

    #[test]
    fn current_replicas_are_planned_for_as_they_are() {
        assert_eq!(Basis::Current.pods(Pods::new(3), Some(Pods::new(10)), None, 0), (Pods::new(3), None));
    }

    #[test]
    fn a_rung_is_the_next_power_of_two() {
        let levels =
            [0, 1, 2, 3, 4, 5, 1 << 31, (1 << 31) + 1, u32::MAX].map(|n| Rung::at(Pods::new(n)).level.get());
        assert_eq!(levels, [0, 1, 2, 4, 4, 8, 1 << 31, u32::MAX, u32::MAX]);
    }

    #[test]
    fn the_ladder_is_climbed_at_once_and_descended_after_ten_minutes() {
        assert_eq!(rung(4, None).step(Pods::new(5), 100), rung(8, None));
        assert_eq!(rung(8, None).step(Pods::new(3), 100), rung(8, Some(100)));
        assert_eq!(rung(8, Some(100)).step(Pods::new(3), 699), rung(8, Some(100)));
        assert_eq!(rung(8, Some(100)).step(Pods::new(3), 700), rung(4, None));
    }

    #[test]
    fn wanting_the_rung_again_ends_the_wait() {
        assert_eq!(rung(8, Some(100)).step(Pods::new(5), 600), rung(8, None));
        assert_eq!(rung(8, Some(100)).step(Pods::new(9), 600), rung(16, None));
    }

    #[test]
    fn a_clock_that_jumps_back_starts_the_wait_again() {
        assert_eq!(rung(8, Some(5_000)).step(Pods::new(1), 100), rung(8, Some(100)));
        assert_eq!(rung(8, Some(100)).step(Pods::new(1), 700), rung(1, None));
    }

    #[test]
    fn the_ladder_hands_its_rung_on() {
        let first = Basis::Ladder.pods(Pods::new(3), Some(Pods::new(3)), None, 0);
        assert_eq!(first, (Pods::new(4), Some(rung(4, None))));
        let second = Basis::Ladder.pods(Pods::new(1), None, first.1, 50);
        assert_eq!(second, (Pods::new(4), Some(rung(4, Some(50)))));
    }
}
