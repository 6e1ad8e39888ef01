//! The setting of a random schedule: how long connections linger, whether the database is full, in which mode budgets
//! begin.
//!
//! In: a drawn schedule. Out: the same with its setting. It has its own random numbers, so that the actions of users
//! and faults stay the same for each seed.

use testkit::random::Random;

use super::plan::{Action, Plan, Workload};

impl Plan {
    /// Draws the setting.
    pub(super) fn set(&mut self, random: &mut Random) {
        for terms in &mut self.budgets {
            terms.linger = random.pick(&[0, 0, 0, 0, 0, 0, 5, 30]);
        }
        if self.budgets.len() == 1 && random.percent(12) {
            self.fill();
        } else if random.percent(12) {
            self.look_first(random);
        }
    }

    /// Lets a budget limit no pods at first, or for a while.
    fn look_first(&mut self, random: &mut Random) {
        let budget = random.below(self.budgets.len());
        let mut place = random.below(self.actions.len() + 1);
        self.budgets[budget].observes = random.percent(70);
        if !self.budgets[budget].observes {
            self.actions.insert(place, (random.pick(&[0, 10, 45]), Action::Observe(budget, true)));
            place += 1 + random.below(self.actions.len() - place);
        }
        // Some stay in that mode.
        if random.percent(90) {
            self.actions.insert(place, (random.pick(&[0, 10, 45]), Action::Observe(budget, false)));
        }
    }

    /// Lets pods from before the label take all connections. Only Deployments can recover from that, so all workloads
    /// become Deployments; images that never become ready are left to other schedules.
    fn fill(&mut self) {
        (self.full, self.stays_bad) = (true, false);
        self.workloads.iter_mut().for_each(Workload::only_a_deployment);
    }
}
