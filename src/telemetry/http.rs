//! `/livez`, `/readyz`, `/health`, `/debug/db-pool`, `/metrics` over plain HTTP.
//!
//! In: metrics and what readiness depends on. Out: answers. Unready answers name what is missing; `/health` says the same and
//! the state of each budget, `/debug/db-pool` what pods do with their pools, both as JSON.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listen::{Bounds, JSON, OPEN_METRICS, Port, listen, plain, respond};
use super::metrics::Metrics;
use super::series::{BudgetNumbers, WorkloadNumbers};
use crate::api::BudgetKey;

/// Kubelets open a new connection for each probe, and there are few scrapers.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    from_one_source: 32,
    first_request: Duration::from_secs(5),
    idle: Duration::from_secs(120),
};

/// What this process needs before it is ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    missing: Arc<Mutex<Vec<&'static str>>>,
}

impl Readiness {
    /// Not ready until each of `parts` was reported.
    #[must_use]
    pub fn awaiting(parts: &[&'static str]) -> Self {
        Self { missing: Arc::new(Mutex::new(parts.to_vec())) }
    }

    /// Reports whether a part is there.
    pub fn set(&self, part: &'static str, there: bool) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.retain(|other| *other != part);
        if !there {
            missing.push(part);
        }
    }

    /// The parts that are missing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How this process and the budgets that it leads are.
#[derive(Serialize)]
struct Health {
    /// healthy, or starting while something is missing.
    status: &'static str,
    version: &'static str,
    missing: Vec<&'static str>,
    /// Whether this replica leads. The others know nothing about budgets.
    leader: bool,
    budgets: Vec<BudgetHealth>,
}

/// How a budget is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BudgetHealth {
    namespace: String,
    budget: String,
    /// Ready: True, False or Unknown.
    ready: &'static str,
    limit: i64,
    reserved: i64,
    usable: i64,
    committed: i64,
    waiting_pods: i64,
    oldest_wait_seconds: i64,
    foreign_pods: i64,
    /// LimitConfirmed: True, False or Unknown.
    limit_confirmed: &'static str,
    /// What is open on the database server; null if it was not asked.
    database: Option<DatabaseHealth>,
}

/// What is open on the database server.
#[derive(Serialize)]
struct DatabaseHealth {
    open: i64,
    outside: Option<i64>,
}

impl Health {
    fn of(metrics: &Metrics, missing: Vec<&'static str>) -> Self {
        let status = if missing.is_empty() { "healthy" } else { "starting" };
        let budgets = metrics.budgets().into_iter().map(BudgetHealth::of).collect();
        let version = env!("CARGO_PKG_VERSION");
        Self { status, version, missing, leader: metrics.is_leader(), budgets }
    }
}

impl BudgetHealth {
    fn of((key, numbers): (BudgetKey, BudgetNumbers)) -> Self {
        let condition = |name: &str| {
            let found = numbers.conditions.iter().find(|(kind, _)| *kind == name);
            match found.map(|(_, status)| *status) {
                Some(1) => "True",
                Some(0) => "False",
                _ => "Unknown",
            }
        };
        let (ready, limit_confirmed) = (condition("Ready"), condition("LimitConfirmed"));
        Self {
            namespace: key.namespace,
            budget: key.name,
            ready,
            limit: numbers.limit,
            reserved: numbers.reserved,
            usable: numbers.usable,
            committed: numbers.committed,
            waiting_pods: numbers.waiting,
            oldest_wait_seconds: numbers.oldest_wait,
            foreign_pods: numbers.foreign_pods,
            limit_confirmed,
            database: numbers.open.map(|open| DatabaseHealth { open, outside: numbers.outside }),
        }
    }
}

/// What pods do with their pools.
#[derive(Serialize)]
struct Pools {
    /// ok, or warning if a workload has one.
    status: &'static str,
    /// Whether this replica leads. The others ask no pod.
    leader: bool,
    pools: Vec<WorkloadPools>,
}

/// The pools of the pods of one workload.
#[derive(Serialize)]
struct WorkloadPools {
    namespace: String,
    budget: String,
    kind: String,
    workload: String,
    /// Pods with a grant.
    pods: i64,
    /// Those of its pods that report their pools.
    reporting: i64,
    pool: PoolStatus,
}

/// All pools of a workload, in the words of `SQLAlchemy`. What no pod reports is null.
#[derive(Serialize)]
struct PoolStatus {
    /// Connections that the pools keep.
    size: i64,
    checked_out: Option<i64>,
    /// Connections that are open beyond those.
    overflow: Option<i64>,
    checked_in: Option<i64>,
    /// What is granted.
    max_connections: i64,
    warning: Option<String>,
}

/// From this part of what is granted on, in percent, use is worth a warning.
const MUCH: i64 = 80;

impl Pools {
    fn of(metrics: &Metrics) -> Self {
        let mut pools = Vec::new();
        for (key, numbers) in metrics.budgets() {
            pools.extend(numbers.workloads.into_iter().map(|workload| WorkloadPools::of(&key, workload)));
        }
        let warns = pools.iter().any(|workload| workload.pool.warning.is_some());
        Self { status: if warns { "warning" } else { "ok" }, leader: metrics.is_leader(), pools }
    }
}

impl WorkloadPools {
    fn of(key: &BudgetKey, numbers: WorkloadNumbers) -> Self {
        let pool = PoolStatus {
            size: numbers.kept,
            checked_out: numbers.in_use,
            overflow: numbers.open.map(|open| open.saturating_sub(numbers.kept).max(0)),
            checked_in: numbers.open.zip(numbers.in_use).map(|(open, used)| open.saturating_sub(used).max(0)),
            max_connections: numbers.committed,
            warning: warning(&numbers),
        };
        Self {
            namespace: key.namespace.clone(),
            budget: key.name.clone(),
            kind: numbers.kind,
            workload: numbers.name,
            pods: numbers.granted,
            reporting: numbers.reporting,
            pool,
        }
    }
}

fn warning(numbers: &WorkloadNumbers) -> Option<String> {
    if numbers.ignoring > 0 {
        let pods = if numbers.ignoring == 1 { "pod holds or allows" } else { "pods hold or allow" };
        return Some(format!("{} {pods} more than granted", numbers.ignoring));
    }
    if let Some(waiting) = numbers.waiting_checkouts.filter(|waiting| *waiting > 0) {
        return Some(format!("{waiting} checkouts wait for a connection"));
    }
    let used = numbers.in_use?.saturating_mul(100) / numbers.committed.max(1);
    (used > MUCH).then(|| format!("{used} % of {} connections are in use", numbers.committed))
}

/// Serves until `stop`.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz, /health, /debug/db-pool, /metrics");
    let port = Port { name: "http", bounds: BOUNDS, tls: None, drops: metrics.drops() };
    let answer = move |request: Request<Incoming>| ready(answer(request.uri().path(), &metrics, &readiness));
    listen(listener, port, answer, stop).await;
    Ok(())
}

fn answer(path: &str, metrics: &Metrics, readiness: &Readiness) -> Response<Full<Bytes>> {
    let missing = readiness.missing();
    match path {
        "/readyz" if !missing.is_empty() => {
            plain(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", ")))
        }
        "/livez" | "/readyz" => plain(StatusCode::OK, "ok\n"),
        "/health" => {
            let health = Health::of(metrics, missing);
            let status =
                if health.missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            respond(status, JSON, serde_json::to_string(&health).unwrap_or_default())
        }
        "/debug/db-pool" | "/health/db-pool" => {
            respond(StatusCode::OK, JSON, serde_json::to_string(&Pools::of(metrics)).unwrap_or_default())
        }
        "/metrics" => respond(StatusCode::OK, OPEN_METRICS, metrics.render()),
        _ => plain(StatusCode::NOT_FOUND, "try /livez, /readyz, /health, /debug/db-pool or /metrics\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unready_answer_names_what_is_missing() {
        let readiness = Readiness::awaiting(&["API server", "watches"]);
        readiness.set("API server", true);
        let response = answer("/readyz", &Metrics::default(), &readiness);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        readiness.set("watches", true);
        assert_eq!(answer("/readyz", &Metrics::default(), &readiness).status(), StatusCode::OK);
    }

    #[test]
    fn pools_are_told_in_the_words_of_sqlalchemy_and_with_a_warning_from_80_percent_on() {
        let metrics = Metrics::default();
        let of = |name: &str, in_use: Option<i64>, open: Option<i64>| WorkloadNumbers {
            kind: "Deployment".into(),
            name: name.into(),
            committed: 10,
            granted: 2,
            kept: 4,
            reporting: i64::from(open.is_some()),
            open,
            in_use,
            ..WorkloadNumbers::default()
        };
        let ignoring = WorkloadNumbers { ignoring: 1, ..of("ignoring", Some(1), Some(1)) };
        let workloads = vec![
            of("calm", Some(8), Some(9)),
            of("busy", Some(9), Some(9)),
            of("silent", None, None),
            ignoring,
        ];
        metrics
            .budget(&BudgetKey::new("shop", "main"), BudgetNumbers { workloads, ..BudgetNumbers::default() });
        let told = serde_json::to_value(Pools::of(&metrics)).expect("JSON");
        assert_eq!(told["status"], "warning");
        let pool = |n: usize| &told["pools"][n]["pool"];
        assert_eq!(
            *pool(0),
            serde_json::json!({"size": 4, "checked_out": 8, "overflow": 5, "checked_in": 1, "max_connections": 10, "warning": null})
        );
        assert_eq!(pool(1)["warning"], "90 % of 10 connections are in use");
        assert_eq!(
            (&pool(2)["checked_out"], &pool(2)["warning"]),
            (&serde_json::Value::Null, &serde_json::Value::Null)
        );
        assert_eq!(pool(3)["warning"], "1 pod holds or allows more than granted");
        for path in ["/debug/db-pool", "/health/db-pool"] {
            assert_eq!(answer(path, &metrics, &Readiness::default()).status(), StatusCode::OK);
        }
    }

    #[test]
    fn health_says_how_each_budget_is() {
        let (metrics, readiness) = (Metrics::default(), Readiness::awaiting(&["watches"]));
        let health = || {
            let health = Health::of(&metrics, readiness.missing());
            serde_json::to_value(health).expect("JSON")
        };
        assert_eq!(answer("/health", &metrics, &readiness).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health()["status"], "starting");
        assert_eq!(health()["missing"], serde_json::json!(["watches"]));
        readiness.set("watches", true);
        metrics.leads(true);
        for (name, ready) in [("zoo", 1), ("main", 0)] {
            let conditions = vec![("Feasible", 1), ("Ready", ready)];
            let numbers = BudgetNumbers { usable: 13, waiting: 2, conditions, ..BudgetNumbers::default() };
            metrics.budget(&BudgetKey::new("shop", name), numbers);
        }
        assert_eq!(answer("/health", &metrics, &readiness).status(), StatusCode::OK);
        let health = health();
        assert_eq!((&health["status"], &health["leader"]), (&"healthy".into(), &true.into()));
        let budgets = health["budgets"].as_array().expect("budgets");
        let seen: Vec<_> = budgets.iter().map(|budget| (&budget["budget"], &budget["ready"])).collect();
        assert_eq!(seen, [(&"main".into(), &"False".into()), (&"zoo".into(), &"True".into())]);
        assert_eq!((&budgets[0]["usable"], &budgets[0]["waitingPods"]), (&13.into(), &2.into()));
    }
}
