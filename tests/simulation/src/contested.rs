//! Schedules in which leaders change while grants are in flight, for faults that only two leaders can cause.
//!
//! In: a seed. Out: a few fail-overs; before, during and after each, pods want more than there is.

use testkit::random::Random;

use super::cluster::{Facts, Kind};
use super::plan::{Action, Plan};
use super::weather::{Call, Moment};

impl Plan {
    pub fn contested(seed: u64) -> Self {
        let mut plan = Self::of(seed);
        let mut random = Random::new(seed ^ 0xC0DE);
        (plan.faults, plan.ends_feasible, plan.calm) = (true, true, 30_000);
        (plan.stays_bad, plan.full) = (false, false);
        for workload in &mut plan.workloads {
            workload.replicas = random.pick(&[0, 0, 0, 1, 2]);
            workload.only_a_deployment();
            workload.facts = Facts { budget: Some(0), processes: 1, ..workload.facts };
        }
        plan.budgets.truncate(1);
        for terms in &mut plan.budgets {
            // The fewer pods there are, the larger they are, and the more room a lost grant takes.
            terms.basis = "Current";
            terms.observes = false;
            terms.limit = terms.reserved + random.between(8, 20);
            terms.eviction = random.percent(30);
            for entry in &mut terms.entries {
                (entry.min, entry.max, entry.most) = (1, None, None);
            }
        }
        plan.actions.clear();
        for _ in 0..random.pick(&[1, 1, 2, 3]) {
            plan.fail_over(&mut random);
        }
        plan
    }

    /// A user asks for pods, and the patch that grants them is slow. Meanwhile the leader dies, or another one takes
    /// over.
    fn fail_over(&mut self, random: &mut Random) {
        let apps = self.workloads.len();
        let scale = |random: &mut Random, most| Action::Scale(random.below(apps), random.between(1, most));
        let slow = random.pick(&[1_000, 4_000, 22_000]);
        let patches = Action::Delay(Call::PatchPod, random.pick(&[1, 1, 10, 40]), slow);
        self.then(random.pick(&[1, 5, 20]), patches);
        self.then(0, scale(random, 3));
        let wait = random.pick(&[0, 1]);
        match random.below(4) {
            0 => self.then(wait, Action::Crash(random.below(2))),
            1 => {
                let moment = random.pick(&[Moment::Before, Moment::After]);
                self.then(wait, Action::KillAtWrite(random.between(1, 4), moment));
            }
            _ => {
                self.then(wait, scale(random, 7));
                // The new leader reads slowly, and its watch stands still.
                self.then(random.pick(&[0, 1]), Action::Delay(Call::ReadBudget, 2, 6_000));
                self.then(0, Action::Split(random.pick(&[3, 5, 20])));
                for process in 0..2 {
                    let cut = Action::CutWatch(process, Kind::Pods as usize, random.pick(&[60, 120]));
                    self.then(1 - u32::from(process > 0), cut);
                }
            }
        }
        self.then(random.pick(&[0, 1, 12, 16]), scale(random, 7));
    }

    fn then(&mut self, wait: u32, action: Action) {
        self.actions.push((wait, action));
    }
}
