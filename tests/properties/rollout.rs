//! Rounding, splits and the ladder.

use poolbudget::budget::amount::{Connections, Pods};
use poolbudget::budget::basis::{Basis, Rung};
use poolbudget::budget::rollout::{Strategy as Rollout, Surge};
use poolbudget::budget::split::{Knobs, Split};
use proptest::prelude::*;

use crate::values::{large, number, rollout, surge};

proptest! {
    #[test]
    fn slots_never_fall_as_replicas_rise(strategy in rollout(), surge in surge(), n in number(200)) {
        let slots = |n| strategy.slots(Pods::new(n), surge);
        prop_assert!(slots(n.saturating_add(1)) >= slots(n));
        prop_assert!(slots(n) >= Pods::new(n));
        prop_assert!(strategy.unavailable(Pods::new(n)) <= Pods::new(n));
        prop_assert!(strategy.surge_reserve(Pods::new(n), Surge::Full) >= strategy.rho(Pods::new(n)));
    }

    #[test]
    fn every_rollout_can_move(strategy in rollout(), n in 1..=u32::MAX) {
        let n = Pods::new(n);
        if let Rollout::RollingUpdate { .. } = strategy {
            prop_assert!(strategy.unavailable(n).plus(strategy.surge(n)) > Pods::ZERO);
            prop_assert_eq!(strategy.rho(n) > Pods::ZERO, strategy.unavailable(n) == Pods::ZERO);
        }
    }

    #[test]
    fn a_split_adds_up_and_obeys_what_the_pool_can_be_told(
        size in large(100), ratio in number(5), both: bool, on_top in 0..3_u32, unsaid in 0..3_u32,
    ) {
        let knobs = if both { Knobs::Both { least_overflow: on_top, beside: unsaid } } else { Knobs::One { beside: on_top } };
        let split = Split::of(Connections::new(size), ratio, knobs);
        let [pool_size, max_overflow] = [split.pool_size, split.max_overflow].map(|n| u128::from(n.get()));
        let unsaid = if both { unsaid } else { 0 };
        let least = 1 + u64::from(on_top) + u64::from(unsaid);
        prop_assert_eq!(knobs.least().get(), least);
        prop_assert_eq!(pool_size + max_overflow + u128::from(unsaid), u128::from(size.max(least)));
        prop_assert!(pool_size >= 1);
        prop_assert!(max_overflow >= u128::from(on_top));
        let most = if both { pool_size * u128::from(ratio) } else { 0 };
        prop_assert!(max_overflow <= most.max(u128::from(on_top)));
    }

    #[test]
    fn the_ladder_is_never_below_the_replicas(
        steps in prop::collection::vec((number(40), 0..2_000_u64), 1..40),
    ) {
        let mut rung: Option<Rung> = None;
        let mut now = 0;
        for (replicas, wait) in steps {
            now += wait;
            let (pods, next) = Basis::Ladder.pods(Pods::new(replicas), None, rung, now);
            prop_assert!(pods >= Pods::new(replicas));
            prop_assert!(pods >= Rung::at(Pods::new(replicas)).level);
            if let Some(before) = rung.filter(|before| pods < before.level) {
                let since = before.lower_since;
                prop_assert!(since.is_some_and(|since| now - since >= 600), "it fell too early");
            }
            rung = next;
        }
    }
}
