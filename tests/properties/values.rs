//! Random strategies and numbers, the largest ones among them.

use poolbudget::budget::rollout::{IntOrPercent, Strategy as Rollout, Surge};
use proptest::prelude::*;

fn int_or_percent() -> impl Strategy<Value = IntOrPercent> {
    prop_oneof![
        (0..=5_u32).prop_map(IntOrPercent::Int),
        (0..=120_u32).prop_map(IntOrPercent::Percent),
        any::<u32>().prop_map(IntOrPercent::Int),
        any::<u32>().prop_map(IntOrPercent::Percent),
    ]
}

pub(crate) fn rollout() -> impl Strategy<Value = Rollout> {
    let rolling = (int_or_percent(), int_or_percent())
        .prop_map(|(max_surge, max_unavailable)| Rollout::RollingUpdate { max_surge, max_unavailable });
    let daemons = (int_or_percent(), int_or_percent())
        .prop_map(|(max_surge, max_unavailable)| Rollout::DaemonSet { max_surge, max_unavailable });
    let ordinals = (proptest::option::of(int_or_percent()), any::<bool>())
        .prop_map(|(max_unavailable, ordered)| Rollout::StatefulSet { max_unavailable, ordered });
    let fixed = vec![Rollout::Recreate, Rollout::Twice, Rollout::OnDelete, Rollout::Loose];
    prop_oneof![
        4 => rolling,
        2 => Just(Rollout::default()),
        1 => daemons,
        2 => ordinals,
        1 => Just(Rollout::Task),
        1 => proptest::sample::select(fixed),
    ]
}

pub(crate) fn surge() -> impl Strategy<Value = Surge> {
    prop_oneof![Just(Surge::Minimal), Just(Surge::Full)]
}

/// Small numbers, and now and then the largest.
pub(crate) fn number(small: u32) -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..=small, 1 => prop_oneof![Just(u32::MAX), Just(u32::MAX - 1), any::<u32>()]]
}

pub(crate) fn large(small: u64) -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0..=small, 1 => prop_oneof![Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]]
}
