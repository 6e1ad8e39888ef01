//! The page: every budget, its workloads and its pods, in a browser, read-only.
//!
//! In: budgets and pods, asked of the API server while somebody looks. Out: HTML, JSON and server-sent events, from any
//! replica. Forbidden: a write, the leader's memory, anything that a browser would load from elsewhere, and text that is
//! put into HTML as HTML.
//!
//! | file | what it is |
//! |---|---|
//! | `seen` | a budget as far as it is shown |
//! | `row`, `detail` | the JSON of a budget in the list, and of one that is open: pure |
//! | `board` | all rows, the last hour, what changed since: pure |
//! | `source` | what is asked of the API server, and when |
//! | `access` | whose budgets a viewer is shown, if that is asked |
//! | `host` | the names by which the page may be asked for |
//! | `server`, `events` | answers, and what one viewer is told |
//! | `assets` | HTML, CSS and JavaScript, written by hand |

pub mod access;
pub mod board;
pub mod detail;
pub mod events;
pub mod host;
pub mod row;
pub mod seen;
pub mod server;
pub mod source;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::listen::{Bounds, Port, listen};
use crate::telemetry::metrics::Metrics;
use access::Access;
use host::Names;
use server::Desk;
use source::Hall;

/// All viewers of a port-forward have one address. A browser has at most six connections.
const BOUNDS: Bounds = Bounds {
    connections: 64,
    from_one_source: 64,
    first_request: Duration::from_secs(5),
    idle: Duration::from_secs(60),
};

/// How the page is served.
pub struct Settings {
    /// Where.
    pub address: SocketAddr,
    /// Names, beside loopback, by which it may be asked for.
    pub hosts: Vec<String>,
    /// Who is asked what a viewer may see; none if everybody may see everything.
    pub access: Option<Access>,
}

/// Serves the page until `stop`.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    hall: Arc<Hall>,
    settings: Settings,
    metrics: Metrics,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(settings.address).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving the page");
    let names = Names::new(address, &settings.hosts);
    let desk = Arc::new(Desk::new(Arc::clone(&hall), names, settings.access, stop.clone()));
    metrics.port("page");
    let port = Port { name: "page", bounds: BOUNDS, tls: None, drops: metrics.drops() };
    let answer = move |request: Request<Incoming>| Arc::clone(&desk).answer(request);
    tokio::join!(listen(listener, port, answer, stop.clone()), hall.attend(stop));
    Ok(())
}

#[cfg(test)]
mod tests;
