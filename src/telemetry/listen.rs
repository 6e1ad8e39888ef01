//! Connections from anybody, within bounds: the only way in which this process listens.
//!
//! In: a listener, TLS or not, what answers a request. Out: answers. Bounded are the connections in all and from one
//! source, the time until a request has arrived, the time between two, and the bytes of a head. Holding connections
//! keeps nobody out: when there are too many, those that never asked anything go first, then the longest idle.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drops::Drops;

/// The most bytes of a request's head, and of what is read ahead of it.
const HEAD: usize = 16 << 10;
/// The most lines of a head.
const HEADERS: usize = 64;
/// How long requests in progress may take after `stop`.
const DRAIN: Duration = Duration::from_secs(5);
/// The wait after a connection that could not be accepted: most likely there are no file handles left, and an immediate
/// retry would find the same.
const PAUSE: Duration = Duration::from_millis(100);

/// The type of JSON.
pub const JSON: &str = "application/json";
/// The type of metrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time.
    pub connections: usize,
    /// Connections from one address at a time.
    pub from_one_source: usize,
    /// From the connection to the end of the first request's head, including a TLS handshake.
    pub first_request: Duration,
    /// Between two requests.
    pub idle: Duration,
}

/// How to listen on a port.
#[derive(Clone)]
pub struct Port {
    /// Its name in metrics and logs.
    pub name: &'static str,
    /// What its clients may take.
    pub bounds: Bounds,
    /// Set if the port uses TLS.
    pub tls: Option<TlsAcceptor>,
    /// Counts closed and refused connections.
    pub drops: Drops,
}

/// Listens until `stop`, and ends when the requests then in progress are answered.
pub async fn listen<A, F, B>(listener: TcpListener, port: Port, answer: A, stop: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let name = port.name;
    let hall = Arc::new(Hall { port, guests: Mutex::default() });
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => {
                if let Some((guest, leave)) = hall.admit(source.ip()) {
                    let (hall, answer, stop) = (Arc::clone(&hall), answer.clone(), stop.clone());
                    open.spawn(async move {
                        tokio::select! {
                            () = leave.cancelled() => {}
                            () = attend(&hall, guest, stream, answer, stop) => {}
                        }
                        hall.guests().open.remove(&guest);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, port = name, "connection not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    open.close();
    if tokio::time::timeout(DRAIN, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), port = name, "requests did not end in time");
    }
}

/// One connection, from its handshake to its end.
async fn attend<A, F, B>(hall: &Arc<Hall>, guest: u64, stream: TcpStream, answer: A, stop: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    // Answers are small, and clients wait for them.
    let _ = stream.set_nodelay(true);
    let conversation = async {
        match &hall.port.tls {
            None => converse(hall, guest, stream, answer, stop).await,
            Some(tls) => match tls.accept(stream).await {
                Ok(stream) => converse(hall, guest, stream, answer, stop).await,
                Err(error) => tracing::debug!(%error, port = hall.port.name, "no TLS with a client"),
            },
        }
    };
    let patience = async {
        tokio::time::sleep(hall.port.bounds.first_request).await;
        if hall.has_asked(guest) {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = conversation => {}
        () = patience => hall.port.drops.count(hall.port.name, "no_request"),
    }
}

async fn converse<A, F, B, S>(hall: &Arc<Hall>, guest: u64, stream: S, answer: A, stop: CancellationToken)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service = service_fn(move |request| {
        hall.asks(guest);
        let answer = answer(request);
        async move {
            let response = answer.await;
            hall.is_answered(guest);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(hall.port.bounds.idle)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
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
        tracing::debug!(%error, port = hall.port.name, "connection ended");
    }
}

/// A plain-text answer.
pub fn plain(code: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(code, "text/plain", text)
}

/// An answer with a body of this type.
pub fn respond(code: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// All connected clients.
struct Hall {
    port: Port,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    open: HashMap<u64, Guest>,
}

struct Guest {
    source: IpAddr,
    /// Whether it ever sent a request.
    asked: bool,
    /// None while a request of it is being answered.
    idle_since: Option<Instant>,
    leave: CancellationToken,
}

impl Hall {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection if there is room or another one can be closed for it.
    fn admit(&self, source: IpAddr) -> Option<(u64, CancellationToken)> {
        let (bounds, mut guests) = (self.port.bounds, self.guests());
        let dropped = |reason| self.port.drops.count(self.port.name, reason);
        let own = guests.open.values().filter(|guest| guest.source == source).count();
        if own >= bounds.from_one_source {
            dropped("source");
            guests.send_away(|guest| guest.source == source).then_some(())?;
        } else if guests.open.len() >= bounds.connections {
            dropped("full");
            guests.send_away(|_| true).then_some(())?;
        }
        let (id, leave) = (guests.next, CancellationToken::new());
        guests.next += 1;
        let idle_since = Some(Instant::now());
        guests.open.insert(id, Guest { source, asked: false, idle_since, leave: leave.clone() });
        Some((id, leave))
    }

    fn has_asked(&self, guest: u64) -> bool {
        self.guests().open.get(&guest).is_some_and(|guest| guest.asked)
    }

    fn asks(&self, guest: u64) {
        if let Some(guest) = self.guests().open.get_mut(&guest) {
            (guest.asked, guest.idle_since) = (true, None);
        }
    }

    fn is_answered(&self, guest: u64) {
        if let Some(guest) = self.guests().open.get_mut(&guest) {
            guest.idle_since = Some(Instant::now());
        }
    }
}

impl Guests {
    /// Closes one of these connections; false when all of them are being answered.
    fn send_away(&mut self, of: impl Fn(&Guest) -> bool) -> bool {
        let idle = self.open.iter().filter(|(_, guest)| of(guest));
        let idle = idle.filter_map(|(id, guest)| Some((guest.asked, guest.idle_since?, *id)));
        let Some(guest) = idle.min().and_then(|(_, _, id)| self.open.remove(&id)) else { return false };
        guest.leave.cancel();
        true
    }
}

#[cfg(test)]
mod tests;
