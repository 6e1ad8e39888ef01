//! The series of budgets and their workloads: so many and no more, and they end with their objects.
//!
//! In: the numbers of a budget after each reconcile. Out: gauges and counters with labels that name the budget. A user
//! who may create budgets in one namespace must neither fill the memory of the system that stores the series nor leave
//! other namespaces without any. Forbidden here: what a number means.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::named;
use crate::api::BudgetKey;

/// The most budgets with their own series.
pub const BUDGETS: usize = 1_000;
/// The most budgets of one namespace with their own series.
pub const BUDGETS_OF_NAMESPACE: usize = 50;
/// The most workloads with their own series.
pub const WORKLOADS: usize = 2_000;
/// The most workloads of one budget with their own series.
pub const WORKLOADS_OF_BUDGET: usize = 50;

/// Which budget a series is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    namespace: String,
    budget: String,
}

/// Which condition of a budget a series is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    budget: String,
    r#type: &'static str,
}

/// Which reason for ending pods of a budget a series is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    namespace: String,
    budget: String,
    reason: &'static str,
}

/// Which workload a series is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkloadLabels {
    namespace: String,
    budget: String,
    kind: String,
    workload: String,
}

/// The numbers of one budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetNumbers {
    /// What the plan allows.
    pub limit: i64,
    /// What is kept for clients outside of the budget.
    pub reserved: i64,
    /// What may be committed.
    pub usable: i64,
    /// What is committed.
    pub committed: i64,
    /// The part of it that counts for pods that are gone.
    pub quarantined: i64,
    /// What all slots take at their smallest sizes.
    pub least: i64,
    /// Pods that wait.
    pub waiting: i64,
    /// For how many seconds the first of them has waited.
    pub oldest_wait: i64,
    /// Pods that hold connections without a grant.
    pub foreign_pods: i64,
    /// What those may hold.
    pub foreign: i64,
    /// What pods were seen to hold beyond their grants.
    pub excess: i64,
    /// Connections that are open on the server, if it was asked.
    pub open: Option<i64>,
    /// Those that must be of clients outside of the budget.
    pub outside: Option<i64>,
    /// When the limit was last read, in seconds since 1970; none if it is not read.
    pub read_at: Option<i64>,
    /// Each condition: 1 True, 0 False, -1 Unknown.
    pub conditions: Vec<(&'static str, i64)>,
    /// The workloads.
    pub workloads: Vec<WorkloadNumbers>,
}

/// The numbers of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadNumbers {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Pods that may hold a grant at the same time.
    pub slots: i64,
    /// What one pod gets.
    pub per_pod: i64,
    /// What its pods hold.
    pub committed: i64,
    /// Pods with a grant.
    pub granted: i64,
    /// Pods that wait.
    pub waiting: i64,
    /// Pods that hold connections without a grant.
    pub foreign: i64,
    /// The part of what its pods hold that their pools keep open.
    pub kept: i64,
    /// Pods that report their pools.
    pub reporting: i64,
    /// Those that hold or allow more than their grant.
    pub ignoring: i64,
    /// Connections that are open, if they say so.
    pub open: Option<i64>,
    /// Connections in use, if they say so.
    pub in_use: Option<i64>,
    /// Checkouts that wait, if they say so.
    pub waiting_checkouts: Option<i64>,
}

/// A gauge: its name, what it says, and where its number is.
type GaugeOf<N> = (&'static str, &'static str, fn(&N) -> i64);

/// The gauges of a budget.
const OF_BUDGET: [GaugeOf<BudgetNumbers>; 11] = [
    ("limit_connections", "Connections that the plan allows", |n| n.limit),
    ("reserved_connections", "Connections that are kept for clients outside of the budget", |n| n.reserved),
    ("usable_connections", "Connections that may be granted", |n| n.usable),
    ("committed_connections", "Connections granted to pods not yet gone", |n| n.committed),
    ("quarantined_connections", "Connections that count as committed although their pods are gone", |n| {
        n.quarantined
    }),
    ("least_connections", "Connections that all slots take at their smallest sizes", |n| n.least),
    ("waiting_pods", "Pods that wait at the gate", |n| n.waiting),
    ("oldest_wait_seconds", "How long the first of the waiting pods has waited", |n| n.oldest_wait),
    ("foreign_pods", "Pods that hold connections without a grant", |n| n.foreign_pods),
    ("foreign_connections", "Connections that pods without a grant may hold", |n| n.foreign),
    ("excess_connections", "Connections that pods report beyond their grants", |n| n.excess),
];

/// The gauges of a workload.
const OF_WORKLOAD: [GaugeOf<WorkloadNumbers>; 8] = [
    ("workload_slots", "Pods of the workload that may hold a grant at the same time", |n| n.slots),
    ("workload_connections_per_pod", "Connections that a pod of the workload gets now", |n| n.per_pod),
    ("workload_committed_connections", "Connections granted to pods of the workload", |n| n.committed),
    ("workload_granted_pods", "Pods of the workload with a grant", |n| n.granted),
    ("workload_waiting_pods", "Pods of the workload that wait at the gate", |n| n.waiting),
    ("workload_foreign_pods", "Pods of the workload that hold connections without a grant", |n| n.foreign),
    ("workload_reporting_pods", "Pods of the workload that report their pools", |n| n.reporting),
    ("workload_ignoring_pods", "Pods of the workload that hold or allow more than their grant", |n| {
        n.ignoring
    }),
];

/// A gauge that exists only where its number is known.
type GaugeIfKnown<N> = (&'static str, &'static str, fn(&N) -> Option<i64>);

/// What the database server of a budget says, and when.
const OF_DATABASE: [GaugeIfKnown<BudgetNumbers>; 3] = [
    ("open_connections", "Connections that are open, as the database server counts them", |n| n.open),
    ("outside_connections", "Connections that are open outside of the budget, at least", |n| n.outside),
    ("limit_read_timestamp_seconds", "When the limit was last read from the database or the vendor", |n| {
        n.read_at
    }),
];

/// What pods of a workload do with their pools.
const OF_USE: [GaugeIfKnown<WorkloadNumbers>; 3] = [
    (
        "workload_open_connections",
        "Connections that pods of the workload have open, by their own word",
        |n| n.open,
    ),
    ("workload_in_use_connections", "Connections that pods of the workload use, by their own word", |n| {
        n.in_use
    }),
    ("workload_waiting_checkouts", "Checkouts that wait for a connection of their pool", |n| {
        n.waiting_checkouts
    }),
];

/// The series of all budgets; clones share them.
#[derive(Clone)]
pub struct Series {
    budgets: [Family<BudgetLabels, Gauge>; OF_BUDGET.len()],
    databases: [Family<BudgetLabels, Gauge>; OF_DATABASE.len()],
    workloads: [Family<WorkloadLabels, Gauge>; OF_WORKLOAD.len()],
    uses: [Family<WorkloadLabels, Gauge>; OF_USE.len()],
    conditions: Family<ConditionLabels, Gauge>,
    grants: Family<BudgetLabels, Counter>,
    evictions: Family<EndLabels, Counter>,
    counted: Arc<Mutex<Counted>>,
    budgets_without: Gauge,
    workloads_without: Gauge,
}

/// What has series, and what has none because there are too many.
#[derive(Default)]
struct Counted {
    with: HashMap<BudgetKey, Own>,
    without: HashSet<BudgetKey>,
    /// Workloads with series.
    workloads: usize,
}

/// The series of one budget beside its gauges.
#[derive(Default)]
struct Own {
    reasons: HashSet<&'static str>,
    workloads: HashSet<WorkloadLabels>,
    /// Workloads of it that have none.
    without: usize,
    /// Its numbers, with those of its workloads that have series.
    numbers: BudgetNumbers,
}

impl Series {
    pub(super) fn registered(all: &mut Registry) -> Self {
        Self {
            budgets: OF_BUDGET.map(|(name, says, _)| named(all, name, says)),
            databases: OF_DATABASE.map(|(name, says, _)| named(all, name, says)),
            workloads: OF_WORKLOAD.map(|(name, says, _)| named(all, name, says)),
            uses: OF_USE.map(|(name, says, _)| named(all, name, says)),
            conditions: named(all, "condition", "A budget's conditions: 1 True, 0 False, -1 Unknown"),
            grants: named(all, "grants", "Pods that were granted"),
            evictions: named(all, "evictions", "Pods that were evicted or deleted to make room, by reason"),
            counted: Arc::default(),
            budgets_without: named(
                all,
                "budgets_without_series",
                "Budgets without series of their own, because there are too many",
            ),
            workloads_without: named(
                all,
                "workloads_without_series",
                "Workloads without series of their own, because there are too many",
            ),
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the numbers of a budget.
    pub(super) fn set(&self, key: &BudgetKey, mut numbers: BudgetNumbers) {
        let mut counted = self.counted();
        if !counted.counts(key) {
            return self.tell(&counted);
        }
        let labels = of(key);
        for (family, (.., number)) in self.budgets.iter().zip(OF_BUDGET) {
            family.get_or_create(&labels).set(number(&numbers));
        }
        set_known(&self.databases, &OF_DATABASE, &labels, &numbers);
        drop(self.grants.get_or_create(&labels));
        self.set_workloads(key, &numbers.workloads, &mut counted);
        numbers.workloads.truncate(counted.with.get(key).map_or(0, |own| own.workloads.len()));
        if let Some(own) = counted.with.get_mut(key) {
            self.set_conditions(key, &own.numbers.conditions, &numbers.conditions);
            own.numbers = numbers;
        }
        self.tell(&counted);
    }

    fn set_conditions(&self, key: &BudgetKey, before: &[(&'static str, i64)], now: &[(&'static str, i64)]) {
        let labels =
            |r#type| ConditionLabels { namespace: key.namespace.clone(), budget: key.name.clone(), r#type };
        for (gone, _) in before.iter().filter(|(kind, _)| now.iter().all(|(other, _)| other != kind)) {
            self.conditions.remove(&labels(*gone));
        }
        for (kind, status) in now {
            self.conditions.get_or_create(&labels(*kind)).set(*status);
        }
    }

    fn set_workloads(&self, key: &BudgetKey, workloads: &[WorkloadNumbers], counted: &mut Counted) {
        let others = counted.workloads;
        let Some(own) = counted.with.get_mut(key) else { return };
        let others = others.saturating_sub(own.workloads.len());
        let most = WORKLOADS_OF_BUDGET.min(WORKLOADS.saturating_sub(others));
        let labels = |workload: &WorkloadNumbers| WorkloadLabels {
            namespace: key.namespace.clone(),
            budget: key.name.clone(),
            kind: workload.kind.clone(),
            workload: workload.name.clone(),
        };
        let (named, unnamed) = workloads.split_at(workloads.len().min(most));
        let now: HashSet<WorkloadLabels> = named.iter().map(labels).collect();
        for gone in own.workloads.difference(&now) {
            remove(&self.workloads, gone);
            remove(&self.uses, gone);
        }
        for workload in named {
            let labels = labels(workload);
            for (family, (.., number)) in self.workloads.iter().zip(OF_WORKLOAD) {
                family.get_or_create(&labels).set(number(workload));
            }
            set_known(&self.uses, &OF_USE, &labels, workload);
        }
        own.without = unnamed.len();
        own.workloads = now;
        counted.workloads = others.saturating_add(own.workloads.len());
    }

    /// The budgets with series and their numbers, in the order of their names.
    pub(super) fn budgets(&self) -> Vec<(BudgetKey, BudgetNumbers)> {
        let counted = self.counted();
        let numbers = counted.with.iter().map(|(key, own)| (key.clone(), own.numbers.clone()));
        let mut all: Vec<_> = numbers.collect();
        drop(counted);
        all.sort_by(|(one, _), (other, _)| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        all
    }

    /// Drops the series of a budget that is gone.
    pub(super) fn forget(&self, key: &BudgetKey) {
        let mut counted = self.counted();
        counted.without.remove(key);
        if let Some(own) = counted.with.remove(key) {
            counted.workloads = counted.workloads.saturating_sub(own.workloads.len());
            self.remove(key, &own);
        }
        self.tell(&counted);
    }

    fn remove(&self, key: &BudgetKey, own: &Own) {
        let labels = of(key);
        remove(&self.budgets, &labels);
        remove(&self.databases, &labels);
        self.grants.remove(&labels);
        let BudgetLabels { namespace, budget } = labels;
        for (r#type, _) in own.numbers.conditions.iter().copied() {
            let (namespace, budget) = (namespace.clone(), budget.clone());
            self.conditions.remove(&ConditionLabels { namespace, budget, r#type });
        }
        for reason in own.reasons.iter().copied() {
            let (namespace, budget) = (namespace.clone(), budget.clone());
            self.evictions.remove(&EndLabels { namespace, budget, reason });
        }
        for workload in &own.workloads {
            remove(&self.workloads, workload);
            remove(&self.uses, workload);
        }
    }

    /// Drops the series of all budgets: another process is the leader and reports them.
    pub(super) fn forget_all(&self) {
        let mut counted = self.counted();
        *counted = Counted::default();
        self.tell(&counted);
        self.budgets.iter().for_each(Family::clear);
        self.databases.iter().for_each(Family::clear);
        self.workloads.iter().for_each(Family::clear);
        self.uses.iter().for_each(Family::clear);
        self.conditions.clear();
        self.grants.clear();
        self.evictions.clear();
    }

    /// Counts a grant.
    pub(super) fn granted(&self, key: &BudgetKey) {
        if self.counted().counts(key) {
            self.grants.get_or_create(&of(key)).inc();
        }
    }

    /// Counts a pod that was ended to make room. Reasons are a closed set.
    pub(super) fn ended(&self, key: &BudgetKey, reason: &'static str) {
        let mut counted = self.counted();
        if counted.counts(key)
            && let Some(own) = counted.with.get_mut(key)
        {
            own.reasons.insert(reason);
            let BudgetLabels { namespace, budget } = of(key);
            self.evictions.get_or_create(&EndLabels { namespace, budget, reason }).inc();
        }
    }

    fn tell(&self, counted: &Counted) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.budgets_without.set(count(counted.without.len()));
        self.workloads_without.set(count(counted.with.values().map(|own| own.without).sum()));
    }
}

impl Counted {
    /// Whether a budget has series; it gets them while there is room.
    fn counts(&mut self, key: &BudgetKey) -> bool {
        if self.with.contains_key(key) {
            return true;
        }
        let own = self.with.keys().filter(|other| other.namespace == key.namespace).count();
        let room = self.with.len() < BUDGETS && own < BUDGETS_OF_NAMESPACE;
        if room {
            self.without.remove(key);
            self.with.insert(key.clone(), Own::default());
        } else {
            self.without.insert(key.clone());
        }
        room
    }
}

fn remove<L: Clone + Eq + Hash>(families: &[Family<L, Gauge>], labels: &L) {
    for family in families {
        family.remove(labels);
    }
}

/// Sets the gauges whose numbers are known, and takes the others away.
fn set_known<L: Clone + Eq + Hash, N>(
    families: &[Family<L, Gauge>],
    gauges: &[GaugeIfKnown<N>],
    labels: &L,
    numbers: &N,
) {
    for (family, (.., number)) in families.iter().zip(gauges) {
        match number(numbers) {
            Some(number) => drop(family.get_or_create(labels).set(number)),
            None => drop(family.remove(labels)),
        }
    }
}

fn of(key: &BudgetKey) -> BudgetLabels {
    BudgetLabels { namespace: key.namespace.clone(), budget: key.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Metrics;
    use super::*;

    fn keys(namespace: &str, count: usize) -> Vec<BudgetKey> {
        (0..count).map(|n| BudgetKey::new(namespace, &format!("b{n}"))).collect()
    }

    fn workloads(count: usize) -> Vec<WorkloadNumbers> {
        let workload = |n| WorkloadNumbers {
            kind: "Deployment".into(),
            name: format!("w{n}"),
            ..WorkloadNumbers::default()
        };
        (0..count).map(workload).collect()
    }

    #[test]
    fn neither_one_namespace_nor_all_together_make_series_without_end() {
        let metrics = Metrics::default();
        let series = || metrics.render().matches("poolbudget_limit_connections{").count();
        let many = keys("greedy", 1_500);
        many.iter().for_each(|key| metrics.budget(key, BudgetNumbers::default()));
        many.iter().for_each(|key| metrics.evicted(key, "Oversize"));
        assert_eq!(series(), BUDGETS_OF_NAMESPACE);
        assert!(metrics.render().contains("poolbudget_budgets_without_series 1450"));
        for namespace in 0..100 {
            for key in keys(&format!("n{namespace}"), 20) {
                metrics.budget(&key, BudgetNumbers::default());
            }
        }
        assert_eq!(series(), BUDGETS);
        many.iter().for_each(|key| metrics.forget(key));
        assert_eq!(series(), BUDGETS - BUDGETS_OF_NAMESPACE);
    }

    #[test]
    fn neither_one_budget_nor_all_together_make_series_of_workloads_without_end() {
        let metrics = Metrics::default();
        let series = || metrics.render().matches("poolbudget_workload_slots{").count();
        let numbers = |count| BudgetNumbers { workloads: workloads(count), ..BudgetNumbers::default() };
        let key = BudgetKey::new("shop", "main");
        metrics.budget(&key, numbers(300));
        assert_eq!(series(), WORKLOADS_OF_BUDGET);
        assert!(metrics.render().contains("poolbudget_workloads_without_series 250"));
        metrics.budget(&key, numbers(2));
        assert_eq!(series(), 2);
        assert!(metrics.render().contains("poolbudget_workloads_without_series 0"));
        for namespace in 0..10 {
            for key in keys(&format!("n{namespace}"), 10) {
                metrics.budget(&key, numbers(40));
            }
        }
        assert_eq!(series(), WORKLOADS);
        metrics.forget(&key);
        assert_eq!(series(), WORKLOADS - 2);
        metrics.forget_all();
        assert_eq!(series(), 0);
    }

    #[test]
    fn no_series_of_a_budget_is_left_when_another_process_leads() {
        let metrics = Metrics::default();
        let key = BudgetKey::new("shop", "main");
        let (open, outside, read_at) = (Some(9), Some(1), Some(1_796_000_000));
        let (conditions, workloads) = (vec![("Ready", 1)], workloads(1));
        let numbers =
            BudgetNumbers { open, outside, read_at, conditions, workloads, ..BudgetNumbers::default() };
        metrics.budget(&key, numbers);
        metrics.granted(&key, None);
        metrics.evicted(&key, "Oversize");
        assert!(metrics.render().contains("budget=\"main\""));
        metrics.forget_all();
        assert!(!metrics.render().contains("budget=\"main\""), "{}", metrics.render());
    }

    #[test]
    fn what_was_never_read_has_no_series() {
        let metrics = Metrics::default();
        let key = BudgetKey::new("shop", "main");
        let line = "poolbudget_limit_read_timestamp_seconds{namespace=\"shop\",budget=\"main\"} 1796000000";
        for (read_at, is_there) in [(None, false), (Some(1_796_000_000), true), (None, false)] {
            metrics.budget(&key, BudgetNumbers { read_at, ..BudgetNumbers::default() });
            assert_eq!(metrics.render().contains(line), is_there, "{read_at:?}: {}", metrics.render());
        }
    }

    #[test]
    fn the_series_of_a_budget_vanish_with_it() {
        let metrics = Metrics::default();
        let key = BudgetKey::new("shop", "main");
        let conditions = vec![("Feasible", 0), ("Ready", -1)];
        let workloads = workloads(1);
        let numbers =
            BudgetNumbers { limit: 15, committed: 12, conditions, workloads, ..BudgetNumbers::default() };
        metrics.budget(&key, numbers);
        metrics.granted(&key, None);
        metrics.evicted(&key, "Oversize");
        for line in [
            "poolbudget_committed_connections{namespace=\"shop\",budget=\"main\"} 12",
            "poolbudget_condition{namespace=\"shop\",budget=\"main\",type=\"Feasible\"} 0",
            "poolbudget_condition{namespace=\"shop\",budget=\"main\",type=\"Ready\"} -1",
            "poolbudget_workload_slots{namespace=\"shop\",budget=\"main\",kind=\"Deployment\",workload=\"w0\"} 0",
            "poolbudget_grants_total{namespace=\"shop\",budget=\"main\"} 1",
            "poolbudget_evictions_total{namespace=\"shop\",budget=\"main\",reason=\"Oversize\"} 1",
        ] {
            assert!(metrics.render().contains(line), "{line} in {}", metrics.render());
        }
        let conditions = vec![("Ready", 1)];
        metrics.budget(&key, BudgetNumbers { conditions, ..BudgetNumbers::default() });
        assert!(!metrics.render().contains("Feasible"));
        metrics.forget(&key);
        assert!(!metrics.render().contains("budget=\"main\""), "{}", metrics.render());
    }
}
