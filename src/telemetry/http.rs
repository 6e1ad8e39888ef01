//! `/livez`, `/readyz`, `/health`, `/metrics` over plain HTTP.
//!
//! In: metrics and what readiness depends on. Out: answers. Unready answers name what is missing; `/health` says the same and
//! the state of each budget, as JSON.

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

use super::listen::{Bounds, Port, listen, plain, respond};
use super::metrics::Metrics;
use super::series::BudgetNumbers;
use crate::api::BudgetKey;

/// Kubelets open a new connection for each probe, and there are few scrapers.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    from_one_source: 32,
    first_request: Duration::from_secs(5),
    idle: Duration::from_secs(120),
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

const JSON: &str = "application/json";

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
        let ready = numbers.conditions.iter().find(|(kind, _)| *kind == "Ready").map(|(_, status)| *status);
        Self {
            namespace: key.namespace,
            budget: key.name,
            ready: match ready {
                Some(1) => "True",
                Some(0) => "False",
                _ => "Unknown",
            },
            limit: numbers.limit,
            reserved: numbers.reserved,
            usable: numbers.usable,
            committed: numbers.committed,
            waiting_pods: numbers.waiting,
            oldest_wait_seconds: numbers.oldest_wait,
            foreign_pods: numbers.foreign_pods,
        }
    }
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
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz, /health, /metrics");
    let port = Port { name: "http", bounds: BOUNDS, tls: None, metrics: metrics.clone() };
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
        "/metrics" => respond(StatusCode::OK, OPEN_METRICS, metrics.render()),
        _ => plain(StatusCode::NOT_FOUND, "try /livez, /readyz, /health or /metrics\n"),
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
