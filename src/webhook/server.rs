//! Connections from API servers: TLS, HTTP, limits; one answer for each review.
//!
//! In: a listener and a certificate. Out: what `admission::webhook` says to each body. Nothing that a client does
//! keeps others from being answered: handshakes, bodies and answers have deadlines, and the memory of all bodies
//! together has a bound.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::shown::Shown;
use crate::admission::webhook::configuration::{MUTATE, VALIDATE};
use crate::admission::webhook::review::{self, Malformed, Outcome};
use crate::admission::webhook::{mutate, validate};
use crate::telemetry::metrics::Metrics;

/// An object has at most 3 MiB when it is written, and an update brings the old one along.
const BODY: usize = 7 << 20;
/// All bodies together, in KiB.
const BODIES: usize = 3 * (BODY >> 10);
/// Connections at a time. An API server keeps some dozens.
const CONNECTIONS: usize = 512;
/// From the connection to the end of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Between two requests. API servers close what was idle for a minute and a half: they should be the first.
const IDLE: Duration = Duration::from_secs(120);
/// From the head of a request to its answer; the API server waits a second longer.
const ANSWER: Duration = Duration::from_secs(4);
/// After `stop`, requests under way may take so long.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `stop`, and ends when the requests that are under way then are answered.
pub async fn serve(listener: TcpListener, shown: &Shown, metrics: Metrics, stop: CancellationToken) {
    let acceptor = match acceptor(shown) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            tracing::error!(%error, "the TLS library refuses its own settings");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let desk = Arc::new(Desk { metrics, bodies: Semaphore::new(BODIES) });
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let connection = connection(stream, acceptor.clone(), Arc::clone(&desk), stop.clone());
                open.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "connection not accepted");
                // Out of file handles, most likely: asking again at once would find the same.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (Err(_), _) => return,
        }
    }
    open.close();
    if tokio::time::timeout(DRAIN, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "requests did not end in time");
    }
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

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, desk: Arc<Desk>, stop: CancellationToken) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "no TLS with a client"),
        Err(_) => return tracing::debug!("no TLS with a client in time"),
    };
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.serve(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Where requests are answered.
struct Desk {
    metrics: Metrics,
    bodies: Semaphore,
}

/// A request that gets no review in return: the API server then does what its failure policy says.
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
            Ok((outcome, body)) => (word(&outcome), json(body)),
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

fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    response(StatusCode::OK, "application/json", body)
}

fn plain(code: StatusCode, text: String) -> Response<Full<Bytes>> {
    response(code, "text/plain", text.into_bytes())
}

fn response(code: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
