//! Pods with any env, any annotation and any state.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary::{anything, pod};
use crate::checks::{Given, a_look_is_sound, a_pod_counts_in_full};
use crate::objects;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pod_never_counts_for_less_than_it_may_hold(pod in pod("a")) {
        a_pod_counts_in_full(&pod);
    }

    #[test]
    fn what_is_no_pod_at_all_stops_nothing(value in anything()) {
        a_pod_counts_in_full(&value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_pods_are_counted_and_answered_together_with_sound_ones(odd in vec(pod("b"), 0..2), other in pod("c")) {
        let pods = odd.into_iter().chain([other, objects::pod("a"), objects::pod("d")]).collect();
        a_look_is_sound(&Given {
            budget: objects::budget(),
            pods,
            deployments: vec![objects::deployment()],
            sets: vec![objects::replica_set()],
            scalers: vec![objects::autoscaler()],
            ..Given::default()
        });
    }
}
