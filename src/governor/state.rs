//! What the governor knows of its connections, and how it is told: as JSON, and as series for scrapers.
//!
//! In: what happens. Out: one look at all of it. Forbidden here: doing anything about it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::cap::{SharedCap, Standing};
use super::idle::{Seats, millis};
use crate::telemetry::drops::Drops;
use crate::telemetry::metrics::{named, page};

/// The name of the port in series.
pub const PORT: &str = "governor";

/// Everything that is shared among the connections of one pod.
pub struct State {
    /// The pod's uid.
    pub pod: String,
    /// Whether it only watches.
    pub watches: bool,
    /// Who may open a connection.
    pub cap: SharedCap,
    /// Who is idle.
    pub seats: Arc<Seats>,
    /// The governor's own connections to databases.
    pub own: Arc<Own>,
    /// What is counted.
    pub counts: Counts,
    seen: AtomicU64,
    seen_peak: AtomicU64,
    is_bound: AtomicBool,
    trouble: Mutex<Option<String>>,
    series: Series,
}

/// What is counted from the start.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Connections to a database that were opened.
    pub opened: Counter,
    /// Clients that were refused: after the longest wait, or because too many waited.
    pub refused: Counter,
    /// Clients for which the database could not be reached.
    pub unreachable: Counter,
    /// Cancel requests that were passed on.
    pub cancels: Counter,
    /// Idle connections that were closed because the number was lowered.
    pub closed: Counter,
    /// Clients that could not be accepted, most likely because there were no file handles.
    pub accept_errors: Counter,
}

/// A socket by its two ends, its own first.
pub type Ends = (SocketAddr, SocketAddr);

/// The sockets of the governor to databases.
#[derive(Debug, Default)]
pub struct Own(Mutex<Sockets>);

#[derive(Debug, Default)]
struct Sockets {
    now: HashSet<Ends>,
    /// While somebody looks at the list of the kernel: all since then. A socket may be on that list and closed a moment
    /// later, or be there before the governor knows it.
    since: Option<HashSet<Ends>>,
}

/// One of them; it is taken off the list when this is dropped.
#[derive(Debug)]
pub struct OwnSocket {
    own: Arc<Own>,
    ends: Ends,
}

impl Own {
    /// Puts a socket on the list.
    #[must_use]
    pub fn add(self: &Arc<Self>, (one, other): Ends) -> OwnSocket {
        let ends = (canonical(one), canonical(other));
        let mut all = self.all();
        all.now.insert(ends);
        if let Some(since) = &mut all.since {
            since.insert(ends);
        }
        drop(all);
        OwnSocket { own: Arc::clone(self), ends }
    }

    /// Keeps from now on what is closed on the list too, until [`Self::forget`].
    pub fn remember(&self) {
        let mut all = self.all();
        all.since = Some(all.now.clone());
    }

    /// Keeps on the list only what is open.
    pub fn forget(&self) {
        self.all().since = None;
    }

    /// Whether this socket is on the list.
    #[must_use]
    pub fn has(&self, (one, other): Ends) -> bool {
        let (all, ends) = (self.all(), (canonical(one), canonical(other)));
        all.now.contains(&ends) || all.since.as_ref().is_some_and(|since| since.contains(&ends))
    }

    fn all(&self) -> MutexGuard<'_, Sockets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        self.own.all().now.remove(&self.ends);
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// One look at all of it, as `/state` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// The pod's uid: an answer of another pod at the same address has another one.
    pub pod: String,
    /// How many connections may be open; null until a number was read.
    pub allowed: Option<u32>,
    /// How many are open, counted from before they are until the server has closed them.
    pub open: u64,
    /// How many clients wait.
    pub waiting: u64,
    /// How long the first of those has waited.
    pub longest_wait_ms: u64,
    /// How many connections were opened since the start.
    pub opened: u64,
    /// How many clients were refused since the start.
    pub refused: u64,
    /// How many connections to the databases are open that did not come through the governor. Where it only watches,
    /// all of them are in `open` instead.
    pub bypassed: u64,
    /// The most that were open at a time since the start.
    pub peak: u64,
    /// Why the number is not known or may be an old one; null if it was just read.
    pub problem: Option<String>,
}

impl State {
    /// At the start nothing is known.
    #[must_use]
    pub fn new(pod: String, watches: bool) -> Arc<Self> {
        let counts = Counts::default();
        let series = Series::registered(&counts);
        Arc::new(Self {
            pod,
            watches,
            cap: SharedCap::default(),
            seats: Arc::default(),
            own: Arc::default(),
            counts,
            seen: AtomicU64::new(0),
            seen_peak: AtomicU64::new(0),
            is_bound: AtomicBool::new(false),
            trouble: Mutex::default(),
            series,
        })
    }

    /// So many connections to the databases were seen that are not the governor's own.
    pub fn sees(&self, others: u64) {
        self.seen.store(others, Ordering::SeqCst);
        self.seen_peak.fetch_max(others, Ordering::SeqCst);
    }

    /// The ports of all databases are bound.
    pub fn is_bound(&self) {
        self.is_bound.store(true, Ordering::SeqCst);
    }

    /// Why the number cannot be read; none if it was. True if that is new.
    pub fn trouble(&self, why: Option<String>) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *trouble != why;
        *trouble = why;
        is_new
    }

    /// One look.
    #[must_use]
    pub fn look(&self) -> Look {
        let Standing { allowed, open, waiting, longest_wait, peak } = self.cap.standing();
        let (seen, seen_peak) = (self.seen.load(Ordering::SeqCst), self.seen_peak.load(Ordering::SeqCst));
        let (open, peak, bypassed) =
            if self.watches { (seen, seen_peak, 0) } else { (open.into(), peak.into(), seen) };
        Look {
            pod: self.pod.clone(),
            allowed,
            open,
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            longest_wait_ms: millis(longest_wait),
            opened: self.counts.opened.get(),
            refused: self.counts.refused.get(),
            bypassed,
            peak,
            problem: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// What is missing until it can serve.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let is_known = self.watches || self.cap.standing().allowed.is_some();
        let is_bound = self.watches || self.is_bound.load(Ordering::SeqCst);
        let parts = [(is_known, "the number of connections"), (is_bound, "the ports of the databases")];
        parts.into_iter().filter(|(there, _)| !there).map(|(_, part)| part).collect()
    }

    /// The text for scrapers.
    #[must_use]
    pub fn render(&self) -> String {
        self.series.set(&self.look());
        page(&self.series.registry)
    }

    /// Counts what the port of these answers closes or refuses.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.series.drops.clone()
    }
}

/// The same as series. Gauges are set whenever somebody asks.
struct Series {
    registry: Registry,
    allowed: Gauge,
    open: Gauge,
    waiting: Gauge,
    longest_wait: Gauge<f64, AtomicU64>,
    bypassed: Gauge,
    peak: Gauge,
    readable: Gauge,
    drops: Drops,
}

impl Series {
    fn registered(counts: &Counts) -> Self {
        let mut registry = Registry::with_prefix("poolbudget_governor");
        let all = &mut registry;
        for (name, says, counter) in [
            ("opened_connections", "Connections to the databases that were opened", &counts.opened),
            ("refused_clients", "Clients that waited too long, or were too many", &counts.refused),
            ("unreachable", "Clients for which the database could not be reached", &counts.unreachable),
            ("cancel_requests", "Cancel requests that were passed on", &counts.cancels),
            (
                "closed_idle_connections",
                "Idle connections closed after the number was lowered",
                &counts.closed,
            ),
            ("accept_errors", "Clients that could not be accepted", &counts.accept_errors),
        ] {
            all.register(name, says, counter.clone());
        }
        Self {
            allowed: named(
                all,
                "allowed_connections",
                "Connections that may be open; -1 until that is known",
            ),
            open: named(all, "open_connections", "Connections to the databases that are open"),
            waiting: named(all, "waiting_clients", "Clients that wait for a connection"),
            longest_wait: named(all, "longest_wait_seconds", "How long the first of them has waited"),
            bypassed: named(
                all,
                "bypassed_connections",
                "Open connections to the databases that did not come through the governor",
            ),
            peak: named(all, "peak_connections", "The most connections that were open at a time"),
            readable: named(
                all,
                "allowed_readable",
                "1 if the number of connections was just read, 0 if not",
            ),
            drops: {
                let drops = Drops::registered(all);
                drops.port(PORT);
                drops
            },
            registry,
        }
    }

    fn set(&self, look: &Look) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.allowed.set(look.allowed.map_or(-1, i64::from));
        self.open.set(whole(look.open));
        self.waiting.set(whole(look.waiting));
        self.longest_wait.set(Duration::from_millis(look.longest_wait_ms).as_secs_f64());
        self.bypassed.set(whole(look.bypassed));
        self.peak.set(whole(look.peak));
        self.readable.set(i64::from(look.problem.is_none()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_told_in_the_words_of_the_protocol() {
        let state = State::new("uid-1".to_owned(), false);
        let told = serde_json::to_value(state.look()).expect("JSON");
        assert_eq!(
            told,
            serde_json::json!({
                "pod": "uid-1", "allowed": null, "open": 0, "waiting": 0, "longestWaitMs": 0, "opened": 0,
                "refused": 0, "bypassed": 0, "peak": 0, "problem": null,
            })
        );
    }

    #[tokio::test]
    async fn what_is_open_is_what_the_governor_holds_or_where_it_watches_what_it_sees() {
        let state = State::new("uid-1".to_owned(), false);
        state.cap.set_allowed(3);
        let permit = state.cap.permit().await.expect("a permit");
        state.sees(4);
        state.sees(2);
        let look = state.look();
        assert_eq!((look.allowed, look.open, look.bypassed, look.peak), (Some(3), 1, 2, 1));
        drop(permit);
        assert_eq!((state.look().open, state.look().peak), (0, 1));
        let watching = State::new("uid-1".to_owned(), true);
        watching.sees(4);
        watching.sees(2);
        assert_eq!((watching.look().open, watching.look().bypassed, watching.look().peak), (2, 0, 4));
    }

    #[test]
    fn it_is_ready_once_a_number_was_read_and_all_ports_are_bound_or_at_once_where_it_watches() {
        let state = State::new(String::new(), false);
        assert_eq!(state.missing().len(), 2);
        state.is_bound();
        assert_eq!(state.missing(), ["the number of connections"]);
        state.cap.set_allowed(0);
        assert_eq!(state.missing(), Vec::<&str>::new());
        assert_eq!(State::new(String::new(), true).missing(), Vec::<&str>::new());
    }

    #[test]
    fn a_trouble_is_new_once() {
        let state = State::new(String::new(), false);
        let why = Some("no file".to_owned());
        assert!(!state.trouble(None));
        assert!(state.trouble(why.clone()));
        assert!(!state.trouble(why.clone()));
        assert_eq!(state.look().problem, why);
        assert!(state.trouble(None));
    }

    #[test]
    fn a_socket_is_known_by_both_ends_until_it_is_dropped() {
        let own = Arc::new(Own::default());
        let ends = |one: &str, other: &str| (one.parse().expect("an end"), other.parse().expect("an end"));
        let socket = own.add(ends("[::ffff:10.0.0.1]:40000", "10.0.0.7:5432"));
        assert!(own.has(ends("10.0.0.1:40000", "[::ffff:10.0.0.7]:5432")));
        assert!(!own.has(ends("10.0.0.1:40001", "10.0.0.7:5432")));
        drop(socket);
        assert!(!own.has(ends("10.0.0.1:40000", "10.0.0.7:5432")));
    }

    #[test]
    fn while_the_list_of_the_kernel_is_read_a_closed_socket_stays_known() {
        let own = Arc::new(Own::default());
        let ends =
            |port: u16| (SocketAddr::from(([10, 0, 0, 1], port)), SocketAddr::from(([10, 0, 0, 7], 5432)));
        let before = own.add(ends(1));
        own.remember();
        let during = own.add(ends(2));
        drop((before, during));
        assert!(own.has(ends(1)) && own.has(ends(2)) && !own.has(ends(3)));
        own.forget();
        assert!(!own.has(ends(1)) && !own.has(ends(2)));
    }

    #[test]
    fn every_series_is_explained() {
        let page = include_str!("../../docs/metrics.md");
        let text = State::new(String::new(), false).render();
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let is_named =
            |name: &&str| page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}_total`"));
        let missing: Vec<&&str> = names.iter().filter(|name| !is_named(name)).collect();
        assert!(names.len() > 10 && missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn series_exist_from_the_start() {
        let state = State::new(String::new(), false);
        let text = state.render();
        for line in [
            "allowed_connections -1",
            "open_connections 0",
            "refused_clients_total 0",
            "accept_errors_total 0",
        ] {
            assert!(text.contains(&format!("\npoolbudget_governor_{line}\n")), "{line}: {text}");
        }
        state.cap.set_allowed(3);
        state.counts.refused.inc();
        let text = state.render();
        assert!(text.contains("\npoolbudget_governor_allowed_connections 3\n"), "{text}");
        assert!(text.contains("\npoolbudget_governor_refused_clients_total 1\n"), "{text}");
    }
}
