//! Metrics. Labels come from closed sets, or name a budget or a workload ([`super::series`]).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::drops::Drops;
use super::requests::VERBS;
use super::series::{BudgetNumbers, Series};
use crate::api::BudgetKey;
use crate::database::Class;
use crate::evidence::Silence;

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

/// Which requests to the API server a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    code: &'static str,
}

/// How reconciles ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// All metrics of the process; clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    series: Series,
    grant_latency: Histogram,
    leader: Gauge,
    api_errors: Family<ErrorLabels, Counter>,
    api_requests: Family<RequestLabels, Counter>,
    list_bytes: Counter<u64, AtomicU64>,
    status_writes: Counter<u64, AtomicU64>,
    status_refusals: Counter<u64, AtomicU64>,
    reconciles: Family<OutcomeLabels, Counter>,
    reconcile_duration: Histogram,
    reviews: Family<ReviewLabels, Counter>,
    review_duration: Histogram,
    certificate: Gauge,
    drops: Drops,
    pool_status: Family<OutcomeLabels, Counter>,
    limit_readings: Family<OutcomeLabels, Counter>,
}

/// Registers a metric under its name, with its description.
pub fn named<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, says: &str) -> M {
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

/// Buckets for how long a grant may take, a reconcile, and an answer to an API server.
const GRANTS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];
const RECONCILES: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];
const ANSWERS: [f64; 11] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self::registered();
        ["http", "webhook"].into_iter().for_each(|port| metrics.port(port));
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
        for verb in VERBS {
            drop(metrics.api_requests.get_or_create(&RequestLabels { verb, code: "2xx" }));
        }
        for outcome in ["done", "again", "failed"] {
            drop(metrics.reconciles.get_or_create(&OutcomeLabels { outcome }));
        }
        for outcome in Silence::CLASSES.into_iter().chain(["understood"]) {
            drop(metrics.pool_status.get_or_create(&OutcomeLabels { outcome }));
        }
        for outcome in Class::ALL.map(Class::name).into_iter().chain(["read"]) {
            drop(metrics.limit_readings.get_or_create(&OutcomeLabels { outcome }));
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
            series: Series::registered(all),
            grant_latency: times(
                all,
                "grant_latency",
                "Time from seeing a pod at the gate to the gate being gone",
                GRANTS,
            ),
            leader: named(all, "leader", "1 while this process leads"),
            api_errors: named(all, "api_errors", "Requests that failed, by class"),
            list_bytes: named(all, "list_bytes", "Bytes of what the API server answered to lists"),
            api_requests: named(all, "api_requests", "Requests to the API server, by verb and answer"),
            status_writes: named(all, "status_writes", "Statuses written"),
            status_refusals: named(
                all,
                "status_writes_refused",
                "Statuses that the API server refused; nothing is granted meanwhile",
            ),
            reconciles: named(all, "reconciles", "Reconciles of budgets, by outcome"),
            reconcile_duration: times(all, "reconcile_duration", "Time that a reconcile takes", RECONCILES),
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
            drops: Drops::registered(all),
            pool_status: named(
                all,
                "pool_status_requests",
                "Pods that were asked how they use their pools, by outcome",
            ),
            limit_readings: named(
                all,
                "limit_readings",
                "Attempts to read the limit of a budget from its database or the vendor, by outcome",
            ),
            registry: Arc::new(registry),
        }
    }

    /// Sets the numbers of a budget.
    pub fn budget(&self, key: &BudgetKey, numbers: BudgetNumbers) {
        self.series.set(key, numbers);
    }

    /// The budgets that this process reports, by name.
    #[must_use]
    pub fn budgets(&self) -> Vec<(BudgetKey, BudgetNumbers)> {
        self.series.budgets()
    }

    /// Whether this process is the leader.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader.get() == 1
    }

    /// Drops the series of a budget that is gone.
    pub fn forget(&self, key: &BudgetKey) {
        self.series.forget(key);
    }

    /// Drops the series of all budgets: another process is the leader and reports them.
    pub fn forget_all(&self) {
        self.series.forget_all();
    }

    /// Counts a grant, and how long its pod waited since it was observed.
    pub fn granted(&self, key: &BudgetKey, latency: Option<Duration>) {
        self.series.granted(key);
        if let Some(latency) = latency {
            self.grant_latency.observe(latency.as_secs_f64());
        }
    }

    /// Counts a pod that was ended to make room, by one of a closed set of reasons.
    pub fn evicted(&self, key: &BudgetKey, reason: &'static str) {
        self.series.ended(key, reason);
    }

    /// Counts a reconcile and its duration.
    pub fn reconciled(&self, outcome: &'static str, duration: Duration) {
        self.reconciles.get_or_create(&OutcomeLabels { outcome }).inc();
        self.reconcile_duration.observe(duration.as_secs_f64());
    }

    /// Counts a status that the API server refused.
    pub fn status_refused(&self) {
        self.status_refusals.inc();
    }

    /// Sets whether this process is the leader.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Counts a failed request.
    pub fn api_error(&self, class: &'static str) {
        self.api_errors.get_or_create(&ErrorLabels { class }).inc();
    }

    /// Counts a pod that was asked how it uses its pools.
    pub fn pool_status_asked(&self, outcome: &'static str) {
        self.pool_status.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts an attempt to read the limit of a budget.
    pub fn limit_read(&self, outcome: &'static str) {
        self.limit_readings.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a part of the answer to a list.
    pub(super) fn listed(&self, bytes: usize) {
        self.list_bytes.inc_by(u64::try_from(bytes).unwrap_or(0));
    }

    /// Counts a request to the API server.
    pub fn requested(&self, verb: &'static str, code: &'static str) {
        self.api_requests.get_or_create(&RequestLabels { verb, code }).inc();
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

    /// Lets the counters of a port begin at zero; ports that not every process has call this.
    pub fn port(&self, port: &'static str) {
        self.drops.port(port);
    }

    /// Counts the connections that ports close or refuse.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.drops.clone()
    }

    /// Sets until when the webhook's certificate is valid.
    pub fn certificate(&self, until: Timestamp) {
        self.certificate.set(until.as_second());
    }

    /// The text for scrapers.
    #[must_use]
    pub fn render(&self) -> String {
        page(&self.registry)
    }
}

/// The text of all metrics of a registry.
#[must_use]
pub fn page(registry: &Registry) -> String {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => text,
        Err(error) => format!("# metrics cannot be written: {error}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_exist_at_zero_from_the_start() {
        let text = Metrics::default().render();
        assert!(text.contains("poolbudget_api_errors_total{class=\"watch\"} 0"), "{text}");
        assert!(text.contains("poolbudget_reconciles_total{outcome=\"failed\"} 0"), "{text}");
        assert!(text.contains("poolbudget_leader 0"), "{text}");
    }
}
