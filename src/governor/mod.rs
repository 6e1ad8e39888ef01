//! The governor: a program beside the app, in its pod, through which the app's connections to the database go.
//!
//! In: connections of the app, and how many of them may be open. Out: the same bytes at the database, on no more
//! connections than that; the others wait in order. It has no password, ends no TLS, and changes no byte.
//! Forbidden here: Kubernetes. The number comes from a file, and what is known is told on a port.
//!
//! One connection goes through the files like this: [`client`] reads its [`first_bytes`], waits for a permit of the
//! [`cap`], connects to the [`upstream`], and leaves the rest to [`relay`]. What is refused is told by [`refusal`].
//! Whether a session is idle is known by its [`framing`]; [`idle`] has who is asked to close. [`allowed`] reads the
//! number, [`witness`] sees what did not come through here, [`state`] and [`http`] tell.

pub mod allowed;
pub mod cap;
pub mod client;
pub mod database;
pub mod first_bytes;
pub mod framing;
pub mod http;
pub mod idle;
pub mod refusal;
pub mod relay;
pub mod state;
pub mod upstream;
pub mod witness;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use cap::Standing;
use client::Desk;
use database::Database;
use state::State;
use upstream::Upstream;

/// The most clients at a time, whatever they do: those that wait and those whose connections are open have bounds of
/// their own, and this is above both for all but the largest pods.
const CLIENTS: usize = 20_000;
/// The wait after a client that could not be accepted: most likely there are no file handles left.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether too many are open.
const SHRINK: Duration = Duration::from_millis(200);
/// When the first client has waited for this long, an idle session is closed for it: a pool that keeps more connections
/// than are allowed would otherwise wait for itself.
const STARVING: Duration = Duration::from_secs(1);

/// What a governor is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The databases, in the order of their host aliases.
    pub databases: Vec<Database>,
    /// Where the number is.
    pub allowed_file: PathBuf,
    /// How long a client waits.
    pub queue_timeout: Duration,
    /// Where its state is told.
    pub port: u16,
    /// The uid of its pod.
    pub pod: String,
    /// Whether it only watches.
    pub watches: bool,
    /// A server of DNS in place of those of the pod.
    pub resolver: Option<SocketAddr>,
}

/// Why a governor cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum CannotServe {
    /// A port is taken.
    #[error("cannot listen on {0}: {1}")]
    Port(SocketAddr, io::Error),
    /// The port of its state is taken.
    #[error("cannot serve its state on port {0}: {1}")]
    State(u16, io::Error),
    /// There is no DNS.
    #[error("cannot use the DNS of this pod: {0}")]
    Dns(io::Error),
}

/// Serves until `stop`, and then on until no client is left.
///
/// # Errors
/// When it cannot begin.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), CannotServe> {
    let state = State::new(settings.pod.clone(), settings.watches);
    let port = settings.port;
    let told = http::bind(port).await.map_err(|error| CannotServe::State(port, error))?;
    let at = |(number, database): (usize, &Database)| database.listens_at(number);
    let addresses: Vec<SocketAddr> = settings.databases.iter().enumerate().map(at).collect();
    let resolver = upstream::resolver(settings.resolver).map_err(CannotServe::Dns)?;
    let upstream =
        |database: &Database| Arc::new(Upstream::new(database.clone(), resolver.clone(), addresses.clone()));
    let upstreams: Vec<Arc<Upstream>> = settings.databases.iter().map(upstream).collect();

    let (clients, tasks, end) = (TaskTracker::new(), TaskTracker::new(), CancellationToken::new());
    tasks.spawn(http::serve(told, Arc::clone(&state), end.clone()));
    tasks.spawn(until(end.clone(), allowed::follow(settings.allowed_file.clone(), Arc::clone(&state))));
    tasks.spawn(until(end.clone(), witness::watch(upstreams.clone(), Arc::clone(&state))));
    if settings.watches {
        tracing::info!(databases = ?names(&settings.databases), "watching");
        stop.cancelled().await;
    } else {
        let (cancels, wait) = (Desk::cancels(), settings.queue_timeout);
        for (upstream, address) in upstreams.iter().zip(&addresses) {
            let listener =
                TcpListener::bind(address).await.map_err(|error| CannotServe::Port(*address, error))?;
            tracing::info!(%address, database = %upstream.database, "listening");
            let desk = Desk::new(Arc::clone(&state), Arc::clone(upstream), wait, Arc::clone(&cancels));
            let accepts = accept(listener, Arc::new(desk), Arc::clone(&state), clients.clone());
            tasks.spawn(until(end.clone(), accepts));
        }
        state.is_bound();
        tasks.spawn(until(end.clone(), shrink(Arc::clone(&state))));
        stop.cancelled().await;
        drain(&clients).await;
    }
    end.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn names(databases: &[Database]) -> Vec<String> {
    databases.iter().map(ToString::to_string).collect()
}

/// The app still runs, or has left queries behind: both are served to their ends.
async fn drain(clients: &TaskTracker) {
    if !clients.is_empty() {
        tracing::info!(clients = clients.len(), "serving on until no connection is open");
    }
    clients.close();
    clients.wait().await;
}

async fn until(end: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = end.cancelled() => {}
        () = work => {}
    }
}

/// Takes the clients of one database.
async fn accept(listener: TcpListener, desk: Arc<Desk>, state: Arc<State>, clients: TaskTracker) {
    let mut fails = false;
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                fails = false;
                take(client, &desk, &state, &clients);
            }
            Err(error) => {
                state.counts.accept_errors.inc();
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(%error, "clients cannot be accepted");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

fn take(client: TcpStream, desk: &Arc<Desk>, state: &State, clients: &TaskTracker) {
    if clients.len() >= CLIENTS {
        state.counts.refused.inc();
        return;
    }
    let desk = Arc::clone(desk);
    clients.spawn(async move { desk.serve(client).await });
}

/// How many idle sessions should be closed: those above the number, or one for a client that waits and waits.
fn excess(standing: Standing) -> u32 {
    let Some(allowed) = standing.allowed else { return 0 };
    let over = standing.open.saturating_sub(allowed);
    over.max(u32::from(allowed > 0 && standing.longest_wait >= STARVING))
}

/// Asks idle sessions to close while they should.
async fn shrink(state: Arc<State>) {
    let mut ticks = interval(SHRINK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let excess = excess(state.cap.standing());
        if excess > 0 {
            state.seats.close(usize::try_from(excess).unwrap_or(usize::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_sessions_are_closed_above_the_number_and_one_for_a_client_that_starves() {
        let of = |allowed, open, waited| {
            let longest_wait = Duration::from_millis(waited);
            excess(Standing { allowed, open, waiting: usize::from(waited > 0), longest_wait, peak: open })
        };
        assert_eq!(
            [of(Some(2), 5, 0), of(Some(5), 5, 0), of(Some(5), 2, 0), of(None, 0, 5_000)],
            [3, 0, 0, 0]
        );
        assert_eq!([of(Some(2), 2, 999), of(Some(2), 2, 1_000), of(Some(2), 5, 1_000)], [0, 1, 3]);
        // Nobody could go in its place.
        assert_eq!(of(Some(0), 0, 5_000), 0);
    }
}
