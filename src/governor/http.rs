//! `/state`, `/metrics`, `/livez` and `/readyz` over plain HTTP, on all addresses of the pod.
//!
//! In: the state. Out: answers. An unready answer names what is missing. Forbidden here: changing anything.

use std::future::ready;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::state::{PORT, State};
use crate::telemetry::listen::{Bounds, JSON, OPEN_METRICS, Port, listen, plain, respond};

/// The kubelet opens a connection for each probe; beside it there are a scraper and the leader.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    from_one_source: 32,
    first_request: Duration::from_secs(5),
    idle: Duration::from_secs(120),
};

/// Binds a port of all addresses, of both families where the pod has both.
///
/// # Errors
/// When the port is taken.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let port = Port { name: PORT, bounds: BOUNDS, tls: None, drops: state.drops() };
    let answer = move |request: Request<Incoming>| ready(answer(request.uri().path(), &state));
    listen(listener, port, answer, stop).await;
}

fn answer(path: &str, state: &State) -> Response<Full<Bytes>> {
    let missing = state.missing();
    match path {
        "/readyz" if !missing.is_empty() => {
            plain(StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", ")))
        }
        "/livez" | "/readyz" => plain(StatusCode::OK, "ok\n"),
        "/state" => respond(StatusCode::OK, JSON, serde_json::to_string(&state.look()).unwrap_or_default()),
        "/metrics" => respond(StatusCode::OK, OPEN_METRICS, state.render()),
        _ => plain(StatusCode::NOT_FOUND, "try /state, /metrics, /livez or /readyz\n"),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn said(path: &str, state: &State) -> (StatusCode, String) {
        let answer = answer(path, state);
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn an_unready_answer_names_what_is_missing() {
        let state = State::new("uid-1".to_owned(), false);
        let expected = "waiting for: the number of connections, the ports of the databases\n";
        assert_eq!(said("/readyz", &state).await, (StatusCode::SERVICE_UNAVAILABLE, expected.to_owned()));
        assert_eq!(said("/livez", &state).await.0, StatusCode::OK);
        state.cap.set_allowed(3);
        state.is_bound();
        assert_eq!(said("/readyz", &state).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_state_and_the_series_say_the_same() {
        let state = State::new("uid-1".to_owned(), false);
        state.cap.set_allowed(3);
        assert!(said("/state", &state).await.1.starts_with(r#"{"pod":"uid-1","allowed":3,"open":0,"#));
        assert!(said("/metrics", &state).await.1.contains("poolbudget_governor_allowed_connections 3"));
        assert_eq!(said("/", &state).await.0, StatusCode::NOT_FOUND);
    }
}
