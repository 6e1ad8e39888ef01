//! `/livez`, `/readyz`, `/metrics` over plain HTTP.
//!
//! In: metrics and what readiness depends on. Out: answers. Unready answers name what is missing.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listen::{Bounds, Port, listen, plain, respond};
use super::metrics::Metrics;

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
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz, /metrics");
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
        "/metrics" => respond(StatusCode::OK, OPEN_METRICS, metrics.render()),
        _ => plain(StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n"),
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
}
