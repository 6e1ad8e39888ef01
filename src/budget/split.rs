//! From the size of an instance to the two numbers that its pool is configured with.
//!
//! In: connections per process and the budget's overflow ratio. Out: `pool_size` and `max_overflow`.
//! Never 0 in the first: SQLAlchemy 2 reads a pool size of 0 as unlimited.

use super::amount::Connections;

/// The overflow ratio of a budget that states none: 5 → 2+3, 15 → 5+10.
pub const DEFAULT_RATIO: u32 = 2;

/// How a pool is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Connections that the pool keeps open once it has opened them, at least 1.
    pub pool_size: Connections,
    /// Connections that it opens on top under load and closes again, 0 or more.
    pub max_overflow: Connections,
}

impl Split {
    /// Splits `size` so that about `ratio` connections of overflow stand beside each one kept:
    /// `pool_size = ceil(size / (1 + ratio))`, the rest is overflow. Their sum is `size`; a size of 0,
    /// which no plan gives out, is read as 1.
    #[must_use]
    pub fn of(size: Connections, ratio: u32) -> Self {
        let size = size.max(Connections::ONE);
        let pool_size = Connections::new(size.get().div_ceil(1 + u64::from(ratio)));
        Self { pool_size, max_overflow: size.minus(pool_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(size: u64, ratio: u32) -> (u64, u64) {
        let Split { pool_size, max_overflow } = Split::of(Connections::new(size), ratio);
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
}
