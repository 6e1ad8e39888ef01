//! One client, from its first byte to its end.
//!
//! In: a connection of the app. Out: the same at the database, when it is its turn. Forbidden here: whose turn it is,
//! and where the database is.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::cap::{Full, Permit};
use super::first_bytes::{self, First, LONGEST_CANCEL};
use super::refusal;
use super::relay::{self, End};
use super::state::{OwnSocket, State};
use super::upstream::Upstream;

/// A client that has said nothing by now waits for the server to speak first.
const FIRST_BYTES: Duration = Duration::from_millis(100);
/// The most bytes that are read of a client that waits. A packet that begins a session is shorter as a rule; if one is
/// longer, the client is no longer seen to go away while it waits.
const EARLY: usize = 1 << 10;
/// The most cancel requests at a time. They take no connection, so they need a bound of their own.
const CANCELS: usize = 16;
/// How long a cancel request may take in all.
const CANCEL: Duration = Duration::from_secs(10);

/// What serves the clients of one database.
pub struct Desk {
    state: Arc<State>,
    upstream: Arc<Upstream>,
    queue_timeout: Duration,
    cancels: Arc<Semaphore>,
    /// Whether the last attempt to reach the database failed.
    is_away: AtomicBool,
}

/// What the client has sent so far.
struct Early {
    bytes: [u8; EARLY],
    have: usize,
}

/// What became of a client while it waited.
enum Turn {
    Goes(Permit),
    Refused,
    Cancels(u32),
    Left,
}

impl Desk {
    /// A desk for one database. `cancels` are shared by all desks of a pod.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        upstream: Arc<Upstream>,
        queue_timeout: Duration,
        cancels: Arc<Semaphore>,
    ) -> Self {
        Self { state, upstream, queue_timeout, cancels, is_away: AtomicBool::new(false) }
    }

    /// As many cancel requests as may be passed on at a time.
    #[must_use]
    pub fn cancels() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(CANCELS))
    }

    /// Serves one client to its end.
    pub async fn serve(&self, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let (mut early, come) = (Early { bytes: [0; EARLY], have: 0 }, Instant::now());
        // Silence is no fault: then its bytes tell what it is while it waits.
        if timeout(FIRST_BYTES, early.first(&mut client)).await == Ok(None) {
            return;
        }
        let turn = match early.is() {
            Some(First::Cancel(length)) => Turn::Cancels(length),
            _ => self.turn(&mut client, &mut early).await,
        };
        match turn {
            Turn::Goes(permit) => self.pass(client, early.bytes(), permit).await,
            Turn::Refused => self.refuse(client, &early, come.elapsed()).await,
            Turn::Cancels(length) => {
                if timeout(CANCEL, self.cancel(&mut client, &mut early, length)).await.is_err() {
                    tracing::debug!(database = %self.upstream.database, "a cancel request took too long");
                }
            }
            Turn::Left => {
                tracing::debug!(database = %self.upstream.database, "a client left while it waited");
            }
        }
    }

    /// Waits until it is its turn, and looks meanwhile whether the client is still there.
    async fn turn(&self, client: &mut TcpStream, early: &mut Early) -> Turn {
        let permit = timeout(self.queue_timeout, self.state.cap.permit());
        tokio::select! {
            biased;
            permit = permit => match permit {
                Ok(Ok(permit)) => Turn::Goes(permit),
                Ok(Err(Full)) | Err(_) => Turn::Refused,
            },
            turn = early.watch(client) => turn,
        }
    }

    /// Says why there is no connection, to a client that understands it.
    async fn refuse(&self, mut client: TcpStream, early: &Early, waited: Duration) {
        self.state.counts.refused.inc();
        tracing::debug!(database = %self.upstream.database, "a client is refused");
        if early.is().is_some_and(First::is_postgres) {
            let allowed = self.state.cap.standing().allowed;
            let _ = client.write_all(&refusal::full(allowed, waited)).await;
            relay::farewell(client).await;
        }
    }

    /// Connects, and copies until the server has closed.
    async fn pass(&self, mut client: TcpStream, early: &[u8], permit: Permit) {
        let Some((mut server, own)) = self.connect().await else {
            drop(permit);
            relay::reset(client);
            return;
        };
        self.state.counts.opened.inc();
        let seat = self.state.seats.take();
        let end = relay::relay(&mut client, &mut server, early, &seat).await;
        drop((server, own, seat, permit));
        match end {
            End::Closed => relay::farewell(client).await,
            End::Idle => {
                self.state.counts.closed.inc();
                relay::farewell(client).await;
            }
            End::Dead => relay::reset(client),
        }
    }

    /// A connection to the database. Whether it can be reached is logged when that changes.
    async fn connect(&self) -> Option<(TcpStream, OwnSocket)> {
        let connected = self.upstream.connect().await;
        let was_away = self.is_away.swap(connected.is_err(), Ordering::Relaxed);
        match connected {
            Ok(server) => {
                if was_away {
                    tracing::info!(database = %self.upstream.database, "the database can be reached again");
                }
                let ends = (server.local_addr().ok()?, server.peer_addr().ok()?);
                Some((server, self.state.own.add(ends)))
            }
            Err(why) => {
                self.state.counts.unreachable.inc();
                if !was_away {
                    tracing::warn!(database = %self.upstream.database, %why, "the database cannot be reached");
                }
                None
            }
        }
    }

    /// Passes a cancel request on, without a permit: the server takes it beside its connections.
    async fn cancel(&self, client: &mut TcpStream, early: &mut Early, length: u32) {
        let Ok(_one) = self.cancels.acquire().await else { return };
        let Some(request) = early.whole(client, length).await else { return };
        let Some((mut server, _own)) = self.connect().await else { return };
        self.state.counts.cancels.inc();
        if server.write_all(&request).await.is_ok() {
            // It says nothing, and closes when it has told the other connection: that is what the client waits for.
            let _ = tokio::io::copy(&mut server, client).await;
        }
    }
}

impl Early {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.have).unwrap_or_default()
    }

    /// What the client is, as far as its bytes tell.
    fn is(&self) -> Option<First> {
        first_bytes::read(self.bytes())
    }

    /// Reads more; none if nothing more will come.
    async fn read(&mut self, client: &mut TcpStream) -> Option<()> {
        let free = self.bytes.get_mut(self.have..).unwrap_or_default();
        let count = client.read(free).await.ok().filter(|count| *count > 0)?;
        self.have = self.have.saturating_add(count);
        Some(())
    }

    /// Reads until the bytes tell what the client is; none if it left before.
    async fn first(&mut self, client: &mut TcpStream) -> Option<()> {
        while self.is().is_none() {
            self.read(client).await?;
        }
        Some(())
    }

    /// Reads on while the client waits. Ends when it leaves, or turns out to need no turn.
    async fn watch(&mut self, client: &mut TcpStream) -> Turn {
        loop {
            if let Some(First::Cancel(length)) = self.is() {
                return Turn::Cancels(length);
            }
            if self.have >= EARLY {
                return pending().await;
            }
            if self.read(client).await.is_none() {
                return Turn::Left;
            }
        }
    }

    /// A request of so many bytes, and nothing that follows it.
    async fn whole(&mut self, client: &mut TcpStream, length: u32) -> Option<Vec<u8>> {
        let length = usize::try_from(length.min(LONGEST_CANCEL)).ok()?;
        while self.have < length {
            self.read(client).await?;
        }
        self.bytes().get(..length).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests;
