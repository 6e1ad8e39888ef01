//! Mode Rollout, played to its end: templates are written as decided, and each roll takes its time.

use poolbudget::budget::amount::{Connections, Instances, Pods};
use poolbudget::budget::rewrite::{Rewrites, Template, Terms, rewrites};
use proptest::prelude::*;

/// Seconds between two looks.
const STEP: u64 = 10;
/// Steps in which everything must come to rest.
const PATIENCE: usize = 2_000;

/// A workload that is played.
#[derive(Clone, Debug)]
struct Played {
    slots: u32,
    /// What its template says; none for no bound.
    stated: Option<u64>,
    planned: u64,
    /// Steps that a rollout of it takes, less than the patience of the decision.
    takes: u64,
    /// What its pods of before the last write hold each, while they are there.
    before: Option<u64>,
    rolls: u64,
    written: Option<u64>,
    writes: u32,
}

impl Played {
    fn template(&self, now: u64) -> Template {
        Template {
            slots: Pods::new(self.slots),
            instances: Instances::ONE,
            stated: self.stated.map(Connections::new),
            planned: Connections::new(self.planned),
            rolled_out: self.rolls == 0,
            since: self.written.map(|at| now - at),
            hands_off: false,
        }
    }

    /// The most that its pods can hold now: N of the larger size and S of the smaller are no more than this.
    fn holds(&self) -> u64 {
        let size = |stated: Option<u64>| stated.unwrap_or(1_000_000);
        let before = if self.rolls > 0 { self.before.unwrap_or(1_000_000) } else { 0 };
        u64::from(self.slots) * size(self.stated).max(before)
    }

    fn write(&mut self, now: u64) {
        self.before = self.stated;
        self.stated = Some(self.planned);
        self.rolls = self.takes;
        self.written = Some(now);
        self.writes += 1;
    }
}

fn played() -> impl Strategy<Value = Played> {
    let stated = prop_oneof![1 => Just(None), 9 => (0..20_u64).prop_map(Some)];
    // Some roll already, because of their users; some were written lately.
    let past = (prop_oneof![2 => Just(0), 1 => 1..40_u64], 0..20_u64, prop::option::of(Just(0)));
    (1..8_u32, stated, 1..10_u64, 1..50_u64, past).prop_map(
        |(slots, stated, planned, takes, (rolls, before, written))| Played {
            slots,
            stated,
            planned,
            takes,
            before: Some(before),
            rolls,
            written,
            writes: 0,
        },
    )
}

proptest! {
    #[test]
    fn every_template_is_written_once_one_at_a_time_and_the_sum_never_rises_above_the_limit(
        mut workloads in prop::collection::vec(played(), 0..6),
        spare in 0..4_u64,
        interval in 0..900_u64,
    ) {
        let planned: u64 = workloads.iter().map(|w| u64::from(w.slots) * w.planned).sum();
        let usable = planned + spare;
        let terms = Terms {
            usable: Connections::new(usable),
            others: Connections::ZERO,
            min_interval: interval,
            min_change: Connections::ONE,
        };
        let held = |workloads: &[Played]| workloads.iter().map(Played::holds).sum::<u64>();
        let mut least = held(&workloads);
        let mut now = 0;
        for _ in 0..PATIENCE {
            now += STEP;
            let templates: Vec<Template> = workloads.iter().map(|w| w.template(now)).collect();
            let outcome = rewrites(&terms, &templates);
            if let Some(index) = outcome.write {
                let rolls = workloads.iter().any(|w| w.writes > 0 && w.rolls > 0);
                prop_assert!(!rolls, "one at a time: {workloads:?}");
                workloads[index].write(now);
            }
            let sum = held(&workloads);
            prop_assert!(sum <= least.max(usable), "{sum} after {least}, usable {usable}: {workloads:?}");
            least = least.min(sum);
            workloads.iter_mut().for_each(|w| w.rolls = w.rolls.saturating_sub(1));
        }
        for workload in &workloads {
            prop_assert_eq!(workload.stated, Some(workload.planned));
            prop_assert!(workload.writes <= 1, "{:?}", workload);
        }
        let rest: Vec<Template> = workloads.iter().map(|w| w.template(now)).collect();
        prop_assert_eq!(rewrites(&terms, &rest), Rewrites::default());
    }
}
