//! What holds for every seed.

use poolbudget_simulation::judge::Violation;
use poolbudget_simulation::mutation::Mutation;
use poolbudget_simulation::plan::Plan;
use poolbudget_simulation::shrink::shrink;
use poolbudget_simulation::{Outcome, run};

#[test]
fn five_hundred_schedules_keep_every_promise() {
    let broken = (0..500).find_map(|seed| {
        let Violation { fault, what } = run(&Plan::of(seed), Mutation::None, false).violation?;
        Some(format!("seed {seed}: {fault:?}: {what}"))
    });
    assert_eq!(broken, None);
}

#[test]
fn an_image_that_never_becomes_ready_holds_up_only_its_own() {
    for plan in (0..).map(Plan::of).filter(|plan| plan.stays_bad && plan.ends_feasible).take(200) {
        let Outcome { violation, tally, .. } = run(&plan, Mutation::None, false);
        assert!(violation.is_none(), "seed {}: {violation:?}", plan.seed);
        assert!(tally.settled.is_some());
    }
}

#[test]
fn a_seed_is_the_same_schedule_every_time() {
    for seed in 0..50 {
        let [first, second] = [(); 2].map(|()| run(&Plan::of(seed), Mutation::None, true));
        assert!(!first.trace.is_empty());
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.tally.steps, second.tally.steps, "seed {seed}");
    }
}

#[test]
fn a_failing_schedule_is_made_smaller_and_fails_in_the_same_way() {
    let mutation = Mutation::WithoutR1;
    let fails = |plan: &Plan| run(plan, mutation, false).violation.map(|violation| violation.fault);
    let (plan, fault) = (0..)
        .map(Plan::of)
        .filter(|plan| plan.actions.len() > 4)
        .find_map(|plan| fails(&plan).map(|fault| (plan, fault)))
        .unwrap();
    let (smaller, tried) = shrink(&plan, mutation);
    assert!(tried > 0);
    assert!(smaller.actions.len() < plan.actions.len(), "{smaller}");
    assert_eq!(fails(&smaller), Some(fault));
    // Nothing more can be left out.
    let (smallest, _) = shrink(&smaller, mutation);
    assert_eq!(smallest.to_string(), smaller.to_string());
}

#[test]
fn a_schedule_that_keeps_every_promise_is_not_made_smaller() {
    let plan = Plan::of(0);
    let (smaller, tried) = shrink(&plan, Mutation::None);
    assert_eq!((smaller.to_string(), tried), (plan.to_string(), 1));
    let Outcome { violation, .. } = run(&smaller, Mutation::None, false);
    assert!(violation.is_none());
}
