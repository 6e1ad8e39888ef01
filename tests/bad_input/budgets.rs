//! Budgets whose spec or status somebody spoiled.

use proptest::prelude::*;
use serde_json::json;

use crate::arbitrary::{anything, budget};
use crate::checks::{Given, a_look_is_sound};
use crate::objects;

fn given(budget: serde_json::Value) -> Given {
    Given {
        budget,
        pods: ["a", "b", "c"].map(objects::pod).into(),
        deployments: vec![objects::deployment()],
        sets: vec![objects::replica_set()],
        scalers: vec![objects::autoscaler()],
        ..Given::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spoiled_budget_grants_what_fits_or_nothing(budget in budget()) {
        a_look_is_sound(&given(budget));
    }

    #[test]
    fn a_spec_of_anything_is_answered(limit in anything(), reserved in anything(), sizing in anything()) {
        let mut budget = objects::budget();
        budget["spec"] = json!({"limit": limit, "reserved": reserved, "sizing": sizing});
        a_look_is_sound(&given(budget));
    }
}
