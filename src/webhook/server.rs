//! Connections from API servers: TLS, HTTP, limits; one answer for each review.
//!
//! In: a listener and a certificate. Out: the answer of `admission::request` to each body. No client can keep others
//! from being answered: handshakes, bodies and answers have deadlines, and the memory of all bodies together is
//! bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::configuration::{MUTATE, VALIDATE};
use super::review::{self, Malformed};
use super::shown::Shown;
use crate::admission::request::{Outcome, mutate, validate};
use crate::telemetry::listen::{Bounds, Port, listen, plain, respond};
use crate::telemetry::metrics::Metrics;

/// An object has at most 3 MiB when it is written, and an update carries the old object too.
const BODY: usize = 7 << 20;
/// All bodies together, in KiB.
const BODIES: usize = 3 * (BODY >> 10);
/// An API server keeps a few dozen connections, and behind a proxy all come from one address. API servers close
/// connections that were idle for a minute and a half, and should be the first to do so.
const BOUNDS: Bounds = Bounds {
    connections: 512,
    from_one_source: 256,
    first_request: Duration::from_secs(10),
    idle: Duration::from_secs(120),
};
/// From the head of a request to its answer; the API server waits a second longer.
const ANSWER: Duration = Duration::from_secs(4);
/// Serves until `stop`, and ends when the requests then in progress are answered.
pub async fn serve(listener: TcpListener, shown: &Shown, metrics: Metrics, stop: CancellationToken) {
    let acceptor = match acceptor(shown) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            tracing::error!(%error, "the TLS library refuses its own settings");
            return;
        }
    };
    let port = Port { name: "webhook", bounds: BOUNDS, tls: Some(acceptor), drops: metrics.drops() };
    let desk = Arc::new(Desk { metrics, bodies: Semaphore::new(BODIES) });
    let answer = move |request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { desk.serve(request).await }
    };
    listen(listener, port, answer, stop).await;
}

/// TLS 1.2 and 1.3, and HTTP/1.1 over it.
fn acceptor(shown: &Shown) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(shown.resolver());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Answers requests.
struct Desk {
    metrics: Metrics,
    bodies: Semaphore,
}

/// A request that gets no review in return: the API server then applies its failure policy.
type NoReview = (StatusCode, String);

impl Desk {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let path = match request.uri().path() {
            MUTATE => MUTATE,
            VALIDATE => VALIDATE,
            _ => return plain(StatusCode::NOT_FOUND, format!("try {MUTATE} or {VALIDATE}\n")),
        };
        if request.method() != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "POST an AdmissionReview\n".to_owned());
        }
        let answered = tokio::time::timeout(ANSWER, self.answer(path, request)).await;
        let late = || Err((StatusCode::REQUEST_TIMEOUT, format!("no whole review within {ANSWER:?}")));
        let (outcome, response) = match answered.unwrap_or_else(|_| late()) {
            Ok((outcome, body)) => (word(&outcome), respond(StatusCode::OK, "application/json", body)),
            Err((code, why)) => {
                tracing::warn!(path, %code, why, "a review was not answered");
                ("unanswered", plain(code, format!("{why}\n")))
            }
        };
        self.metrics.reviewed(path, outcome, began.elapsed());
        response
    }

    async fn answer(&self, path: &str, request: Request<Incoming>) -> Result<(Outcome, Vec<u8>), NoReview> {
        let body = request.into_body();
        let most = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(BODY);
        if most > BODY {
            return Err(too_large());
        }
        let kib = u32::try_from(most.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let _room =
            self.bodies.acquire_many(kib).await.map_err(|error| {
                (StatusCode::SERVICE_UNAVAILABLE, format!("no room for the body: {error}"))
            })?;
        let body = Limited::new(body, BODY).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                return too_large();
            }
            (StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
        })?;
        let malformed = |error: Malformed| (StatusCode::BAD_REQUEST, error.to_string());
        let request = review::read(&body.to_bytes()).map_err(malformed)?;
        let outcome = if path == MUTATE { mutate(&request) } else { validate(&request) };
        if let Outcome::Refuse(refusal) = &outcome {
            let (namespace, name) = (&request.namespace, &request.name);
            tracing::info!(
                resource = request.resource.resource,
                namespace,
                name,
                refusal.sentence,
                "refused"
            );
        }
        let body = review::answer(&request.uid, &outcome).map_err(|error| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the answer: {error}"))
        })?;
        Ok((outcome, body))
    }
}

fn too_large() -> NoReview {
    (StatusCode::PAYLOAD_TOO_LARGE, format!("a review has at most {} MiB", BODY >> 20))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "passed",
        Outcome::Patch(_) => "changed",
        Outcome::Refuse(_) => "refused",
    }
}

#[cfg(test)]
mod tests;
