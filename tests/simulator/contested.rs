//! Schedules in which leaders change while grants are on their way, for what goes wrong between two leaders and nowhere
//! else.
//!
//! In: a seed. Out: a few fail-overs, each with pods that want more than there is before it, during it and after it.

use super::cluster::{Facts, Kind};
use super::model::random::Random;
use super::plan::{Action, Plan};
use super::weather::{Call, Moment};

impl Plan {
    pub(crate) fn contested(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut random = Random::new(seed ^ 0xC0DE);
        (plan.faults, plan.ends_feasible, plan.calm) = (true, true, 30_000);
        for workload in &mut plan.workloads {
            workload.replicas = random.between(0, 2);
            workload.facts = Facts { budget: Some(0), ..workload.facts };
        }
        plan.budgets.truncate(1);
        for terms in &mut plan.budgets {
            // The fewer pods there are, the larger they are, and the more room a lost grant takes.
            terms.basis = "Current";
            terms.limit = terms.reserved + random.between(8, 20);
            terms.eviction = random.percent(50);
            for entry in &mut terms.entries {
                (entry.min, entry.max, entry.most) = (1, None, None);
            }
        }
        plan.actions.clear();
        for _ in 0..random.between(1, 3) {
            plan.fail_over(&mut random);
        }
        plan
    }

    fn fail_over(&mut self, random: &mut Random) {
        let mut then = |wait: u32, action: Action| self.actions.push((wait, action));
        let apps = self.workloads.len();
        let (slow, slower) = (random.pick(&[1_000, 4_000, 22_000]), random.pick(&[2_000, 6_000]));
        then(random.pick(&[1, 5, 20]), Action::Delay(Call::PatchPod, random.between(1, 40), slow));
        then(0, Action::Scale(random.below(apps), random.between(1, 3)));
        let wait = random.pick(&[0, 1]);
        match random.below(3) {
            0 => then(wait, Action::Crash(random.below(2))),
            1 => {
                let moment = random.pick(&[Moment::Before, Moment::After]);
                then(wait, Action::KillAtWrite(random.between(1, 4), moment));
            }
            _ => {
                then(wait, Action::Scale(random.below(apps), random.between(1, 7)));
                then(random.pick(&[0, 1]), Action::Delay(Call::ReadBudget, 2, slower));
                then(0, Action::Split(random.pick(&[3, 5, 20])));
                let watch = Action::CutWatch(random.below(2), Kind::Pods as usize, random.pick(&[60, 120]));
                then(1, watch);
            }
        }
        then(random.pick(&[0, 1, 12, 16]), Action::Scale(random.below(apps), random.between(1, 7)));
    }
}
