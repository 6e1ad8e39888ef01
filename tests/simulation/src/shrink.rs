//! Shrinks a failing schedule: leaves out everything without which it still fails.

use super::mutation::Mutation;
use super::plan::Plan;
use super::run;

/// The smallest schedule found that fails in the same way, and how many were tried.
pub fn shrink(plan: &Plan, mutation: Mutation) -> (Plan, usize) {
    let mut tried = 0;
    let mut smallest = plan.clone();
    let Some(fault) = run(plan, mutation, false).violation.map(|violation| violation.fault) else {
        return (smallest, 1);
    };
    loop {
        let smaller = candidates(&smallest).into_iter().find(|candidate| {
            tried += 1;
            run(candidate, mutation, false).violation.is_some_and(|violation| violation.fault == fault)
        });
        match smaller {
            Some(found) => smallest = found,
            None => return (smallest, tried),
        }
    }
}

/// Schedules with one part less.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Plan)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        all.push(smaller);
    };
    for index in 0..plan.actions.len() {
        with(&|smaller| smaller.actions = without(&smaller.actions, index));
    }
    for index in 0..plan.actions.len() {
        if plan.actions[index].0 > 0 {
            with(&|smaller| smaller.actions[index].0 = 0);
        }
    }
    for index in 0..plan.workloads.len() {
        if plan.workloads[index].replicas > 0 {
            with(&|smaller| smaller.workloads[index].replicas -= 1);
        }
    }
    all
}

fn without<T: Clone>(all: &[T], index: usize) -> Vec<T> {
    all.iter().enumerate().filter(|(place, _)| *place != index).map(|(_, one)| one.clone()).collect()
}
