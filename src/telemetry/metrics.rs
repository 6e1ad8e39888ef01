//! Metrics. Labels come from closed sets or name a budget; the series of a budget are dropped with it.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::api::BudgetKey;

/// Which budget a series is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetLabels {
    namespace: String,
    budget: String,
}

/// Which kind of failure a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    class: &'static str,
}

/// Which reviews a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    path: &'static str,
    outcome: &'static str,
}

/// Which connections a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    port: &'static str,
    reason: &'static str,
}

/// The most budgets with their own series, and the most of one namespace: a user who may create budgets in one
/// namespace must neither fill the memory of the system that stores the series nor leave other namespaces without any.
pub const BUDGETS: usize = 1_000;
/// See [`BUDGETS`].
pub const BUDGETS_OF_NAMESPACE: usize = 50;

/// The numbers of one budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetNumbers {
    /// The limit.
    pub limit: i64,
    /// What may be committed.
    pub usable: i64,
    /// What is committed.
    pub committed: i64,
    /// Pods that wait.
    pub waiting: i64,
}

/// All metrics of the process; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    limit: Family<BudgetLabels, Gauge>,
    usable: Family<BudgetLabels, Gauge>,
    committed: Family<BudgetLabels, Gauge>,
    waiting: Family<BudgetLabels, Gauge>,
    grants: Family<BudgetLabels, Counter>,
    evictions: Family<BudgetLabels, Counter>,
    grant_latency: Histogram,
    leader: Gauge,
    api_errors: Family<ErrorLabels, Counter>,
    status_writes: Counter<u64, AtomicU64>,
    reviews: Family<ReviewLabels, Counter>,
    review_duration: Histogram,
    certificate: Gauge,
    drops: Family<DropLabels, Counter>,
    counted: Arc<Mutex<Counted>>,
    uncounted: Gauge,
}

/// Which budgets have series.
#[derive(Default)]
struct Counted {
    with: HashSet<BudgetKey>,
    without: HashSet<BudgetKey>,
}

/// Registers a metric under its name, with its description.
fn named<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, says: &str) -> M {
    let metric = M::default();
    registry.register(name, says, metric.clone());
    metric
}

/// Registers times in seconds under their name, with their description.
fn times<const N: usize>(registry: &mut Registry, name: &str, says: &str, buckets: [f64; N]) -> Histogram {
    let times = Histogram::new(buckets);
    registry.register_with_unit(name, says, Unit::Seconds, times.clone());
    times
}

/// Buckets for how long a grant may take, and an answer to an API server.
const GRANTS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];
const ANSWERS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self::registered();
        for port in ["http", "webhook"] {
            for reason in ["full", "source", "no_request"] {
                drop(metrics.drops.get_or_create(&DropLabels { port, reason }));
            }
        }
        for class in [
            "outdated",
            "refused",
            "disruption",
            "forbidden",
            "not_leader",
            "timeout",
            "api",
            "watch",
            "unreadable",
        ] {
            drop(metrics.api_errors.get_or_create(&ErrorLabels { class }));
        }
        for path in ["/mutate", "/validate"] {
            for outcome in ["passed", "changed", "refused", "unanswered"] {
                drop(metrics.reviews.get_or_create(&ReviewLabels { path, outcome }));
            }
        }
        metrics
    }
}

impl Metrics {
    fn registered() -> Self {
        let mut registry = Registry::with_prefix("poolbudget");
        let all = &mut registry;
        Self {
            limit: named(all, "limit_connections", "Connections that the plan allows"),
            usable: named(all, "usable_connections", "Connections that may be granted"),
            committed: named(all, "committed_connections", "Connections granted to pods not yet gone"),
            waiting: named(all, "waiting_pods", "Pods that wait at the gate"),
            grants: named(all, "grants", "Pods that were granted"),
            evictions: named(all, "evictions", "Pods that were evicted or deleted to make room"),
            grant_latency: times(
                all,
                "grant_latency",
                "Time from seeing a pod at the gate to the gate being gone",
                GRANTS,
            ),
            leader: named(all, "leader", "1 while this process leads"),
            api_errors: named(all, "api_errors", "Requests that failed, by class"),
            status_writes: named(all, "status_writes", "Statuses written"),
            reviews: named(all, "admission_reviews", "Admission reviews, by path and outcome"),
            review_duration: times(
                all,
                "admission_duration",
                "Time from the head of an admission review to its answer",
                ANSWERS,
            ),
            certificate: named(
                all,
                "webhook_certificate_expiry_timestamp_seconds",
                "When the certificate that is shown expires; 0 without one",
            ),
            drops: named(
                all,
                "connections_dropped",
                "Connections that were closed or refused, because there were too many or no request came",
            ),
            uncounted: named(
                all,
                "budgets_without_series",
                "Budgets without series of their own, because there are too many",
            ),
            counted: Arc::default(),
            registry: Arc::new(registry),
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a budget has series; it gets them while there is room.
    fn counts(&self, key: &BudgetKey) -> bool {
        let mut counted = self.counted();
        if counted.with.contains(key) {
            return true;
        }
        let own = counted.with.iter().filter(|other| other.namespace == key.namespace).count();
        let room = counted.with.len() < BUDGETS && own < BUDGETS_OF_NAMESPACE;
        if room {
            counted.without.remove(key);
            counted.with.insert(key.clone());
        } else {
            counted.without.insert(key.clone());
        }
        self.uncounted.set(i64::try_from(counted.without.len()).unwrap_or(i64::MAX));
        room
    }

    /// Sets the numbers of a budget.
    pub fn budget(&self, key: &BudgetKey, numbers: BudgetNumbers) {
        if !self.counts(key) {
            return;
        }
        let labels = labels(key);
        self.limit.get_or_create(&labels).set(numbers.limit);
        self.usable.get_or_create(&labels).set(numbers.usable);
        self.committed.get_or_create(&labels).set(numbers.committed);
        self.waiting.get_or_create(&labels).set(numbers.waiting);
        drop(self.grants.get_or_create(&labels));
        drop(self.evictions.get_or_create(&labels));
    }

    /// Drops the series of a budget that is gone.
    pub fn forget(&self, key: &BudgetKey) {
        let mut counted = self.counted();
        counted.with.remove(key);
        counted.without.remove(key);
        self.uncounted.set(i64::try_from(counted.without.len()).unwrap_or(i64::MAX));
        drop(counted);
        let labels = labels(key);
        for family in [&self.limit, &self.usable, &self.committed, &self.waiting] {
            family.remove(&labels);
        }
        self.grants.remove(&labels);
        self.evictions.remove(&labels);
    }

    /// Drops the series of all budgets: another process is the leader and reports them.
    pub fn forget_all(&self) {
        *self.counted() = Counted::default();
        self.uncounted.set(0);
        for family in [&self.limit, &self.usable, &self.committed, &self.waiting] {
            family.clear();
        }
        self.grants.clear();
        self.evictions.clear();
    }

    /// Counts a grant, and how long its pod waited since it was observed.
    pub fn granted(&self, key: &BudgetKey, latency: Option<Duration>) {
        if self.counts(key) {
            self.grants.get_or_create(&labels(key)).inc();
        }
        if let Some(latency) = latency {
            self.grant_latency.observe(latency.as_secs_f64());
        }
    }

    /// Counts a pod that was ended to make room.
    pub fn evicted(&self, key: &BudgetKey) {
        if self.counts(key) {
            self.evictions.get_or_create(&labels(key)).inc();
        }
    }

    /// Sets whether this process is the leader.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Counts a failed request.
    pub fn api_error(&self, class: &'static str) {
        self.api_errors.get_or_create(&ErrorLabels { class }).inc();
    }

    /// Counts a status write.
    pub fn status_written(&self) {
        self.status_writes.inc();
    }

    /// Counts an admission review and its duration.
    pub fn reviewed(&self, path: &'static str, outcome: &'static str, duration: Duration) {
        self.reviews.get_or_create(&ReviewLabels { path, outcome }).inc();
        self.review_duration.observe(duration.as_secs_f64());
    }

    /// Counts a connection that was closed or refused.
    pub fn connection_dropped(&self, port: &'static str, reason: &'static str) {
        self.drops.get_or_create(&DropLabels { port, reason }).inc();
    }

    /// Sets until when the webhook's certificate is valid.
    pub fn certificate(&self, until: Timestamp) {
        self.certificate.set(until.as_second());
    }

    /// The text for scrapers.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# metrics cannot be written: {error}\n"),
        }
    }
}

fn labels(key: &BudgetKey) -> BudgetLabels {
    BudgetLabels { namespace: key.namespace.clone(), budget: key.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_exist_at_zero_from_the_start() {
        let text = Metrics::default().render();
        assert!(text.contains("poolbudget_api_errors_total{class=\"watch\"} 0"), "{text}");
        assert!(text.contains("poolbudget_leader 0"), "{text}");
    }

    #[test]
    fn neither_one_namespace_nor_all_together_make_series_without_end() {
        let metrics = Metrics::default();
        let series = || metrics.render().matches("poolbudget_limit_connections{").count();
        let keys = |namespace: &str, count: usize| -> Vec<BudgetKey> {
            (0..count).map(|n| BudgetKey::new(namespace, &format!("b{n}"))).collect()
        };
        let many = keys("greedy", 1_500);
        many.iter().for_each(|key| metrics.budget(key, BudgetNumbers::default()));
        many.iter().for_each(|key| metrics.evicted(key));
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
    fn the_series_of_a_budget_vanish_with_it() {
        let metrics = Metrics::default();
        let key = BudgetKey::new("shop", "main");
        metrics.budget(&key, BudgetNumbers { limit: 15, usable: 13, committed: 12, waiting: 1 });
        assert!(
            metrics
                .render()
                .contains("poolbudget_committed_connections{namespace=\"shop\",budget=\"main\"} 12")
        );
        metrics.forget(&key);
        assert!(!metrics.render().contains("budget=\"main\""));
    }
}
