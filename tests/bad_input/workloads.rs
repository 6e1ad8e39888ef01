//! Deployments, ReplicaSets and autoscalers with odd numbers and templates; Jobs of odd groups.

use proptest::prelude::*;

use crate::arbitrary::{grouped, spoiled, workload};
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
            ..Given::default()
        });
    }

    #[test]
    fn jobs_of_an_odd_group_neither_panic_nor_break_the_budget(
        first in prop_oneof![grouped(objects::job("import-1")), spoiled(objects::job("import-1"), 3)],
        second in grouped(objects::job("import-2")),
        pod in grouped(objects::pod_of_job("a", "import-1")),
    ) {
        a_look_is_sound(&Given {
            budget: objects::budget(),
            pods: vec![pod, objects::pod_of_job("b", "import-2"), objects::pod("c")],
            jobs: vec![first, second],
            ..Given::default()
        });
    }
}
