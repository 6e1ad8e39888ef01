//! A schedule written by hand, and what must come of it under many seeds.
//!
//! In: a limit, Deployments, what happens when. Everything that is not said (how long a pod takes to start, in which order
//! controllers and watches act) is drawn from the seed.

use std::collections::BTreeSet;

use kube::runtime::watcher::Event;
use poolbudget_simulation::cluster::{Cluster, Facts};
use poolbudget_simulation::judge::Fault;
use poolbudget_simulation::mutation::Mutation;
use poolbudget_simulation::plan::{Action, Entry, Plan, Terms, Workload};
use poolbudget_simulation::workload::Form;
use poolbudget_simulation::{Outcome, run};
use testkit::model::IntOrPercent;
use testkit::model::deployment::Strategy;

/// Seeds under which each story is told.
const SEEDS: u64 = 50;

/// What a good revision of a governed Deployment says.
pub(crate) const GOOD: Facts = Facts { good: true, processes: 1, budget: Some(0) };
/// One that never becomes ready.
pub(crate) const BAD: Facts = Facts { good: false, ..GOOD };

pub(crate) const fn processes(processes: u32) -> Facts {
    Facts { processes, ..GOOD }
}

pub(crate) const fn rolling(surge: u32, unavailable: u32) -> Strategy {
    Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(surge),
        max_unavailable: IntOrPercent::Int(unavailable),
    }
}

#[derive(Clone)]
pub(crate) struct Story(Plan);

impl Story {
    /// One budget, whose sizes are made for the replicas of now.
    pub(crate) fn new(usable: u32) -> Self {
        let terms = Terms {
            limit: usable,
            reserved: 0,
            basis: "Current",
            surge: "Minimal",
            eviction: true,
            linger: 0,
            observes: false,
            entries: Vec::new(),
        };
        Self(Plan {
            seed: 0,
            budgets: vec![terms],
            workloads: Vec::new(),
            calm: 60_000,
            actions: Vec::new(),
            ends_feasible: true,
            stays_bad: false,
            full: false,
            faults: true,
        })
    }

    /// At first nobody is held.
    pub(crate) fn observed(mut self) -> Self {
        self.0.budgets[0].observes = true;
        self
    }

    /// Pods become ready only when they find a connection.
    pub(crate) fn full(mut self) -> Self {
        self.0.full = true;
        self
    }

    /// Connections may outlive their processes for so many seconds.
    pub(crate) fn lingering(mut self, seconds: u32) -> Self {
        self.0.budgets[0].linger = seconds;
        self
    }

    /// A governed Deployment.
    pub(crate) fn deployment(self, replicas: u32, strategy: Strategy) -> Self {
        self.with(replicas, strategy, GOOD, None)
    }

    /// A Deployment whose template says that, and for whose processes a size of at most that is made.
    pub(crate) fn with(self, replicas: u32, strategy: Strategy, facts: Facts, max: Option<u32>) -> Self {
        self.workload(replicas, Form::Deployment(strategy), facts, max)
    }

    /// The same of any kind.
    pub(crate) fn workload(mut self, replicas: u32, form: Form, facts: Facts, max: Option<u32>) -> Self {
        self.0.workloads.push(Workload { replicas, form, facts });
        self.0.budgets[0].entries.push(Entry { weight: 1, min: 1, max, most: None });
        self
    }

    /// So many seconds after what was said last, this happens.
    pub(crate) fn then(mut self, wait: u32, action: Action) -> Self {
        self.0.actions.push((wait, action));
        self
    }

    /// Images that never become ready stay so.
    pub(crate) fn nobody_mends_images(mut self) -> Self {
        self.0.stays_bad = true;
        self
    }

    fn under(&self, seed: u64) -> Plan {
        Plan { seed, ..self.0.clone() }
    }

    /// Whatever the seed, nothing goes over and all comes to rest.
    pub(crate) fn holds(&self) {
        self.holds_and(|_| true);
    }

    /// The same, and `also` holds.
    pub(crate) fn holds_and(&self, also: impl Fn(&Outcome) -> bool) {
        for seed in 0..SEEDS {
            let outcome = run(&self.under(seed), Mutation::None, false);
            let holds = outcome.violation.is_none() && also(&outcome);
            assert!(holds, "{}", self.told(seed, Mutation::None));
        }
    }

    /// Whatever the seed, it waits for ever without that rule.
    pub(crate) fn hangs_without(&self, mutation: Mutation) {
        self.breaks_without(mutation, Fault::Stuck, SEEDS);
    }

    /// Without that rule it breaks that promise and no other, under so many of the seeds at least.
    pub(crate) fn breaks_without(&self, mutation: Mutation, fault: Fault, least: u64) {
        let breaks = |seed: &u64| {
            let found = run(&self.under(*seed), mutation, false).violation.map(|violation| violation.fault);
            assert!(found.is_none_or(|found| found == fault), "{}", self.told(*seed, mutation));
            found.is_some()
        };
        let (broken, whole): (Vec<u64>, Vec<u64>) = (0..SEEDS).partition(breaks);
        let count = u64::try_from(broken.len()).unwrap();
        let example = || whole.first().map(|seed| self.told(*seed, mutation)).unwrap_or_default();
        assert!(count >= least, "it breaks under {count} of {SEEDS} seeds, but not here:\n{}", example());
    }

    /// Whatever the seed, this comes of it without that rule.
    pub(crate) fn leads_to(&self, mutation: Mutation, what: impl Fn(&Outcome) -> bool) {
        for seed in 0..SEEDS {
            assert!(what(&run(&self.under(seed), mutation, false)), "{}", self.told(seed, mutation));
        }
    }

    fn told(&self, seed: u64, mutation: Mutation) -> String {
        let plan = self.under(seed);
        let Outcome { violation, trace, .. } = run(&plan, mutation, true);
        format!("{plan}\n{}\nseed {seed}, {mutation:?}: {violation:?}", trace.join("\n"))
    }
}

/// The fewest ready pods that a governed Deployment had after it had had so many.
pub(crate) fn least_ready(cluster: &Cluster, app: usize, after: usize) -> usize {
    let mut ready = BTreeSet::new();
    let mut counts = Vec::new();
    let own = format!("w{app}-");
    for (_, event) in &cluster.log.pods {
        let (Event::Apply(pod) | Event::Delete(pod)) = event else { continue };
        let name = pod.metadata.name.as_deref().unwrap();
        let says_so = pod.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let stays = matches!(event, Event::Apply(_)) && pod.metadata.deletion_timestamp.is_none();
        if name.starts_with(&own) {
            if says_so && stays {
                ready.insert(name)
            } else {
                ready.remove(name)
            };
            counts.push(ready.len());
        }
    }
    counts.into_iter().skip_while(|count| *count < after).min().unwrap_or(0)
}

/// The most replicas that the ReplicaSet of a template ever was to have.
pub(crate) fn most_replicas(cluster: &Cluster, app: usize, template: u32) -> i32 {
    let own = format!("w{app}-{template}");
    let sets = cluster.log.sets.iter().filter_map(|(_, event)| match event {
        Event::Apply(set) => Some(set),
        _ => None,
    });
    let sets = sets.filter(|set| set.metadata.name.as_ref() == Some(&own));
    sets.filter_map(|set| set.spec.replicas).max().unwrap_or(0)
}
