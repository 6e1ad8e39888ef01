//! From the size of an instance to the two numbers that its pool is configured with.
//!
//! In: connections per process, the budget's overflow ratio, which numbers the pool takes. Out: `pool_size` and
//! `max_overflow`. The first is never 0: SQLAlchemy 2 reads a pool size of 0 as unlimited.

use super::amount::Connections;

/// The overflow ratio of a budget that states none: 5 → 2+3, 15 → 5+10.
pub const DEFAULT_RATIO: u32 = 2;

/// Which numbers a pool takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knobs {
    /// A size and an overflow.
    Both {
        /// The smallest overflow that it obeys.
        least_overflow: u32,
        /// Connections that the process opens beside the pool, whatever its settings.
        beside: u32,
    },
    /// Only a bound.
    One {
        /// Connections that the process opens beside the pool, whatever its settings.
        beside: u32,
    },
}

impl Knobs {
    /// A pool that obeys every size and every overflow.
    pub const BOTH: Self = Self::Both { least_overflow: 0, beside: 0 };
    /// A pool with one bound, in a process that opens nothing else.
    pub const ONE: Self = Self::One { beside: 0 };

    /// The same pool, in a process that opens `beside` connections beside it.
    #[must_use]
    pub const fn with_beside(self, beside: u32) -> Self {
        match self {
            Self::Both { least_overflow, .. } => Self::Both { least_overflow, beside },
            Self::One { .. } => Self::One { beside },
        }
    }

    /// The connections that the process opens beside the pool.
    #[must_use]
    pub const fn beside(self) -> Connections {
        let (Self::Both { beside, .. } | Self::One { beside }) = self;
        Connections::new(beside as u64)
    }

    /// The smallest size that an instance can be given: one connection in the pool, plus what is always added to it.
    #[must_use]
    pub const fn least(self) -> Connections {
        Connections::ONE.plus(self.on_top()).plus(self.unsaid())
    }

    /// The connections on top of the pool that the overflow of a grant always includes: for a pool that takes no
    /// overflow, those beside the pool.
    #[must_use]
    pub const fn on_top(self) -> Connections {
        let (Self::Both { least_overflow: connections, .. } | Self::One { beside: connections }) = self;
        Connections::new(connections as u64)
    }

    /// The connections beside the pool that neither number of a grant includes, because the app reads both.
    #[must_use]
    pub const fn unsaid(self) -> Connections {
        match self {
            Self::Both { beside, .. } => Connections::new(beside as u64),
            Self::One { .. } => Connections::ZERO,
        }
    }
}

/// How a pool is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Connections that the pool keeps open once it has opened them, at least 1.
    pub pool_size: Connections,
    /// Connections that it opens on top under load and closes again, 0 or more.
    pub max_overflow: Connections,
}

impl Split {
    /// Splits `size` into about `ratio` connections of overflow for each one kept:
    /// `pool_size = ceil(size / (1 + ratio))`, the rest is overflow. A pool that takes only a bound gets everything
    /// except the connections beside it. Their sum is `size`, less what is [unsaid](Knobs::unsaid); a size below the
    /// least is read as the least.
    #[must_use]
    pub fn of(size: Connections, ratio: u32, knobs: Knobs) -> Self {
        let size = size.max(knobs.least()).minus(knobs.unsaid());
        let most = size.minus(knobs.on_top());
        let pool_size = match knobs {
            Knobs::Both { .. } => Connections::new(size.get().div_ceil(1 + u64::from(ratio))).min(most),
            Knobs::One { .. } => most,
        };
        Self { pool_size, max_overflow: size.minus(pool_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(size: u64, ratio: u32) -> (u64, u64) {
        let Split { pool_size, max_overflow } = Split::of(Connections::new(size), ratio, Knobs::BOTH);
        (pool_size.get(), max_overflow.get())
    }

    #[test]
    fn the_default_ratio_gives_the_documented_pairs() {
        let sizes = [1, 2, 3, 4, 5, 8, 15, 30];
        let pairs = [(1, 0), (1, 1), (1, 2), (2, 2), (2, 3), (3, 5), (5, 10), (10, 20)];
        assert_eq!(sizes.map(|size| split(size, DEFAULT_RATIO)), pairs);
    }

    #[test]
    fn ratio_zero_keeps_everything_in_the_pool() {
        assert_eq!([1, 7, u64::MAX].map(|size| split(size, 0)), [(1, 0), (7, 0), (u64::MAX, 0)]);
    }

    #[test]
    fn a_pool_size_is_never_zero() {
        assert_eq!(split(0, DEFAULT_RATIO), (1, 0));
        assert_eq!(split(1, u32::MAX), (1, 0));
        assert_eq!(split(9, u32::MAX), (1, 8));
    }

    #[test]
    fn a_pool_that_reads_an_overflow_of_zero_as_ten_is_told_one_at_least() {
        let knobs = Knobs::Both { least_overflow: 1, beside: 0 };
        let split = |size, ratio| {
            let Split { pool_size, max_overflow } = Split::of(Connections::new(size), ratio, knobs);
            (pool_size.get(), max_overflow.get())
        };
        assert_eq!([1, 2, 3, 15].map(|size| split(size, 2)), [(1, 1), (1, 1), (1, 2), (5, 10)]);
        assert_eq!([1, 2, 9].map(|size| split(size, 0)), [(1, 1), (1, 1), (8, 1)]);
        assert_eq!(knobs.least(), Connections::new(2));
    }

    #[test]
    fn what_comes_beside_a_pool_with_an_overflow_is_in_neither_number() {
        let knobs = Knobs::BOTH.with_beside(2);
        let split = |size| {
            let Split { pool_size, max_overflow } = Split::of(Connections::new(size), 2, knobs);
            (pool_size.get(), max_overflow.get())
        };
        assert_eq!([0, 3, 4, 7, 17].map(split), [(1, 0), (1, 0), (1, 1), (2, 3), (5, 10)]);
        assert_eq!((knobs.least(), knobs.unsaid()), (Connections::new(3), Connections::new(2)));
    }

    #[test]
    fn where_the_bound_is_all_that_can_be_told_there_is_no_overflow() {
        for ratio in [0, 2, u32::MAX] {
            let split = Split::of(Connections::new(7), ratio, Knobs::ONE);
            assert_eq!((split.pool_size.get(), split.max_overflow.get()), (7, 0));
        }
    }

    #[test]
    fn what_comes_beside_the_pool_is_taken_off_it() {
        let knobs = Knobs::One { beside: 1 };
        let split = Split::of(Connections::new(7), 2, knobs);
        assert_eq!((split.pool_size.get(), split.max_overflow.get()), (6, 1));
        let least = Split::of(Connections::ZERO, 2, knobs);
        assert_eq!((least.pool_size.get(), least.max_overflow.get()), (1, 1));
    }
}
