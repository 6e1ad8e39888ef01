//! Deployments, ReplicaSets and autoscalers with odd numbers and templates.

use proptest::prelude::*;

use crate::arbitrary::{spoiled, workload};
use crate::checks::{Given, a_look_is_sound};
use crate::objects;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_workloads_neither_panic_nor_break_the_budget(
        deployment in workload(objects::deployment()),
        set in workload(objects::replica_set()),
        scaler in spoiled(objects::autoscaler(), 3),
    ) {
        a_look_is_sound(&Given {
            budget: objects::budget(),
            pods: ["a", "b", "c"].map(objects::pod).into(),
            deployments: vec![deployment],
            sets: vec![set],
            scalers: vec![scaler],
        });
    }
}
