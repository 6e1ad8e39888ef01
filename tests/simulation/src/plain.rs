//! Schedules of a normal day: scaling up to the ceiling, good rollouts, deleted pods. No edits of budgets, no faults.
//!
//! In: a seed. Out: a schedule whose figures show what the protocol costs when nothing goes wrong.

use testkit::random::Random;

use super::cluster::Facts;
use super::plan::{Action, Plan};

/// The ceiling of every workload.
const CEILING: u32 = 6;

impl Plan {
    pub fn plain(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut random = Random::new(seed ^ 0x5EED);
        plan.faults = false;
        plan.ends_feasible = true;
        (plan.stays_bad, plan.full) = (false, false);
        for workload in &mut plan.workloads {
            let budget = workload.facts.budget.unwrap_or(0);
            workload.facts = Facts { budget: Some(budget), ..workload.facts };
            workload.only_a_deployment();
        }
        for budget in 0..plan.budgets.len() {
            let own = plan.workloads.iter().zip(&plan.budgets[budget].entries);
            let own = own.filter(|(workload, _)| workload.facts.budget == Some(budget));
            // A surge pod for each, or a third more if the budget keeps room for all of them.
            let least: u32 = own.map(|(w, entry)| (CEILING + 2) * entry.min * w.facts.processes).sum();
            let terms = &mut plan.budgets[budget];
            terms.limit = terms.reserved + least.max(3) * random.pick(&[100, 130, 200]) / 100;
            (terms.eviction, terms.linger, terms.observes) = (true, 0, false);
            for entry in &mut terms.entries {
                entry.most = Some(CEILING);
            }
        }
        plan.actions.clear();
        for _ in 0..random.between(2, 10) {
            let app = random.below(plan.workloads.len());
            let facts = plan.workloads[app].facts;
            let action = match random.below(10) {
                0..=4 => Action::Scale(app, random.between(0, CEILING)),
                5 => Action::Ramp(app, random.between(1, CEILING), random.pick(&[5, 15])),
                6 | 7 => Action::RollOut(app, facts),
                8 => Action::Undo(app, random.below(3)),
                _ => Action::DeletePod(random.below(20)),
            };
            plan.actions.push((random.pick(&[0, 1, 10, 30, 60]), action));
        }
        plan
    }
}
