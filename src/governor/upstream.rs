//! The database itself: where it is, and a connection to it.
//!
//! In: its name. Out: a connection, or why there is none. The name is resolved by DNS alone: in the hosts file of the
//! pod it points at the governor. Answers are kept for their time to live within bounds, and the last good one for as
//! long as there is no other. Forbidden here: a connection to the governor itself, and how many there may be.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as Held, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Resolver, TokioResolver};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::database::Database;

/// How long it may take in all until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one address may take.
const ONE_ADDRESS: Duration = Duration::from_secs(3);
/// How long DNS may take.
const LOOKUP: Duration = Duration::from_secs(4);
/// How long one question to one server of DNS may take; it is repeated once.
const QUESTION: Duration = Duration::from_millis(1500);
/// The longest that an answer of DNS is kept, whatever it says.
const LONGEST_KEPT: Duration = Duration::from_secs(30);
/// The shortest: an answer without a time to live must not cost a question for each connection.
const SHORTEST_KEPT: Duration = Duration::from_secs(1);
/// After a failure, DNS is asked again only after this long, and the last answer serves until then.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The most addresses of one answer that are used.
const ADDRESSES: usize = 16;
/// The most addresses that are remembered to have been the database's.
const REMEMBERED: usize = 64;

/// When nothing came from the server for this long, it is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// After so many without an answer the connection is dead.
const KEEPALIVE_PROBES: u32 = 3;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// DNS knows no address, or does not answer.
    #[error("DNS has no address for it: {0}")]
    Unknown(String),
    /// All addresses that DNS has are the governor's own.
    #[error("DNS has no address for it but those of the governor itself")]
    Loop,
    /// No address accepts a connection.
    #[error("it accepts no connection: {0}")]
    Refused(io::Error),
    /// Nothing came of it in time.
    #[error("no connection within {} s", CONNECT.as_secs())]
    Late,
}

/// A database.
pub struct Upstream {
    /// What it is called.
    pub database: Database,
    resolver: TokioResolver,
    /// Where the governor itself listens.
    own: Vec<SocketAddr>,
    /// Held while DNS is asked, so that it is asked once.
    known: Mutex<Known>,
    /// The addresses that it has or had.
    seen: Held<VecDeque<IpAddr>>,
    prefers_v6: AtomicBool,
}

/// The last answer of DNS.
#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    until: Option<Instant>,
}

/// The resolver of this pod; or one that asks this server alone.
///
/// # Errors
/// When the pod has no `resolv.conf` that can be used.
pub fn resolver(server: Option<SocketAddr>) -> io::Result<TokioResolver> {
    let (config, options) = match server {
        Some(server) => {
            (ResolverConfig::from_parts(None, Vec::new(), vec![at(server)]), ResolverOpts::default())
        }
        None => read_system_conf().map_err(io::Error::other)?,
    };
    resolver_of(config, options)
}

/// A server of DNS at this address.
fn at(server: SocketAddr) -> NameServerConfig {
    let ports = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, ports.into())
}

fn resolver_of(config: ResolverConfig, options: ResolverOpts) -> io::Result<TokioResolver> {
    // The C library appends no domain of the host where resolv.conf has a search list.
    let config = ResolverConfig::from_parts(None, config.search, config.name_servers);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = settings(options);
    builder.build().map_err(io::Error::other)
}

fn settings(mut options: ResolverOpts) -> ResolverOpts {
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = QUESTION;
    options.attempts = 1;
    // Answers are kept here.
    options.cache_size = 0;
    options
}

impl Upstream {
    /// The database of this name, found by this resolver. `own` is where the governor listens.
    #[must_use]
    pub fn new(database: Database, resolver: TokioResolver, own: Vec<SocketAddr>) -> Self {
        Self {
            database,
            resolver,
            own,
            known: Mutex::default(),
            seen: Held::default(),
            prefers_v6: AtomicBool::new(false),
        }
    }

    /// Connects to the first address that accepts.
    ///
    /// # Errors
    /// When none does, or DNS knows none.
    pub async fn connect(&self) -> Result<TcpStream, Unreachable> {
        let end = Instant::now() + CONNECT;
        let connected = timeout_at(end, async {
            let mut last = Unreachable::Loop;
            for address in self.addresses().await? {
                let address = SocketAddr::new(address, self.database.port);
                if self.is_own(address) {
                    continue;
                }
                match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => {
                        self.prefers_v6.store(address.is_ipv6(), Ordering::Relaxed);
                        return Ok(stream);
                    }
                    Ok(Err(error)) => last = Unreachable::Refused(error),
                    Err(_) => last = Unreachable::Refused(io::ErrorKind::TimedOut.into()),
                }
            }
            Err(last)
        });
        let stream = connected.await.unwrap_or(Err(Unreachable::Late))?;
        prepare(&stream);
        Ok(stream)
    }

    /// Its addresses, both families in turn.
    ///
    /// # Errors
    /// When DNS knows none, and never did.
    pub async fn addresses(&self) -> Result<Vec<IpAddr>, Unreachable> {
        let mut known = self.known.lock().await;
        let is_fresh = known.until.is_some_and(|until| Instant::now() < until);
        let mut why = "it was asked a moment ago".to_owned();
        if !is_fresh {
            match self.look_up().await {
                Ok((addresses, lasts)) => {
                    self.remember(&addresses);
                    *known = Known { addresses, until: Some(Instant::now() + lasts) };
                }
                Err(error) => {
                    tracing::debug!(database = %self.database, error, "DNS does not answer");
                    why = error;
                    known.until = Some(Instant::now() + AFTER_FAILURE);
                }
            }
        }
        if known.addresses.is_empty() {
            // Nothing serves meanwhile, so the next connection asks again.
            known.until = None;
            return Err(Unreachable::Unknown(why));
        }
        Ok(in_turn(&known.addresses, self.prefers_v6.load(Ordering::Relaxed)))
    }

    /// Whether the database has or had this address.
    #[must_use]
    pub fn has(&self, address: SocketAddr) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        address.port() == self.database.port && seen.contains(&address.ip())
    }

    async fn look_up(&self) -> Result<(Vec<IpAddr>, Duration), String> {
        let asked = timeout(LOOKUP, self.resolver.lookup_ip(self.database.host.as_str())).await;
        let answer = asked.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
        let addresses: Vec<IpAddr> = answer.iter().map(|ip| ip.to_canonical()).take(ADDRESSES).collect();
        if addresses.is_empty() {
            return Err("an answer without an address".to_owned());
        }
        let lasts = answer.valid_until().saturating_duration_since(std::time::Instant::now());
        Ok((addresses, lasts.clamp(SHORTEST_KEPT, LONGEST_KEPT)))
    }

    fn remember(&self, addresses: &[IpAddr]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            seen.retain(|other| other != address);
            seen.push_back(*address);
        }
        while seen.len() > REMEMBERED {
            seen.pop_front();
        }
    }

    /// Whether somebody who connects there reaches the governor.
    fn is_own(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        self.own.iter().any(|own| own.port() == address.port() && (own.ip() == ip || ip.is_unspecified()))
    }
}

/// Both families in turn, this one first.
fn in_turn(addresses: &[IpAddr], v6_first: bool) -> Vec<IpAddr> {
    let (mut one, mut other): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == v6_first);
    let mut ordered = Vec::with_capacity(addresses.len());
    while !one.is_empty() || !other.is_empty() {
        ordered.extend(one.pop_front());
        ordered.extend(other.pop_front());
    }
    ordered
}

/// Small messages go at once, and a server that is gone is noticed.
fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let set = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket without its options");
    }
}

#[cfg(test)]
mod tests;
