//! What the page asks the cluster, and when: budgets while somebody looks, pods of the budget that somebody has opened.
//!
//! In: a client, and viewers who say that they are there. Out: a board that is kept, and details that are at most
//! [`FRESH`] old. Any replica does this alike; nothing comes from the leader's memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::board::{Board, STEP};
use super::detail::{Detail, PodRow};
use super::row::Row;
use super::seen::Seen;
use crate::api::BudgetKey;
use crate::cluster::guarded::Guarded;
use crate::controller::lists::Way;
use crate::controller::observe::Observed;
use crate::controller::snapshot;

/// How long budgets are followed after the last viewer has left.
const LINGER: Duration = Duration::from_secs(300);
/// How old a detail may be.
const FRESH: Duration = Duration::from_secs(2);
/// Details that are kept.
const DETAILS: usize = 16;
/// Details that are made at a time.
const AT_ONCE: usize = 2;
/// How long the API server may take for what a detail is made of.
const PATIENCE: Duration = Duration::from_secs(15);

/// A budget, or that a list begins or ends.
pub type Change = Result<Event<Guarded<Seen>>, String>;

/// What `explain` says of the pods of a budget.
pub type Explain = fn(Observed, &BudgetKey, Timestamp) -> Result<Vec<PodRow>, String>;

/// Where budgets and pods come from: the API server, or a test.
pub trait Source: Send + Sync + 'static {
    /// All budgets, and then each change.
    fn budgets(&self) -> BoxStream<'static, Change>;

    /// One budget, and all that its pods are explained by; none if there is no such budget.
    fn budget(&self, key: BudgetKey) -> BoxFuture<'_, Result<Option<Opened>, String>>;
}

/// What a detail is made of.
pub struct Opened {
    /// The budget.
    pub budget: Guarded<Seen>,
    /// Its namespace, with the pods of this budget.
    pub around: Result<Observed, String>,
}

/// The API server.
pub struct Cluster(pub Client);

impl Source for Cluster {
    fn budgets(&self) -> BoxStream<'static, Change> {
        let api: Api<Guarded<Seen>> = Api::all(self.0.clone());
        let way = Way::Streamed;
        let events = watched(&api, way);
        let changes = stream::unfold((api, way, events), |(api, mut way, mut events)| async move {
            loop {
                let change = match events.next().await? {
                    Ok(event) => Ok(event),
                    Err(error) => {
                        if let Some(other) = way.instead(&error) {
                            way = other;
                            events = watched(&api, way);
                            continue;
                        }
                        Err(format!("cannot watch budgets: {error}"))
                    }
                };
                return Some((change, (api, way, events)));
            }
        });
        changes.boxed()
    }

    fn budget(&self, key: BudgetKey) -> BoxFuture<'_, Result<Option<Opened>, String>> {
        async move {
            let api: Api<Guarded<Seen>> = Api::namespaced(self.0.clone(), &key.namespace);
            let found = api.get_opt(&key.name).await;
            let Some(budget) = found.map_err(|error| format!("cannot read budget {key}: {error}"))? else {
                return Ok(None);
            };
            let around = snapshot::of_budget(&self.0, &key).await;
            let around = around.map_err(|error| format!("{error}: {}", error.source));
            Ok(Some(Opened { budget, around }))
        }
        .boxed()
    }
}

/// All budgets, listed in this way: tenants decide how large they are.
fn watched(api: &Api<Guarded<Seen>>, way: Way) -> BoxStream<'static, watcher::Result<Event<Guarded<Seen>>>> {
    watcher(api.clone(), way.config(None)).default_backoff().boxed()
}

/// What all viewers of a replica look at.
pub struct Hall {
    source: Box<dyn Source>,
    explain: Explain,
    clock: fn() -> Timestamp,
    board: Mutex<Board>,
    looked: Mutex<Option<Instant>>,
    come: Notify,
    details: Mutex<HashMap<BudgetKey, (Instant, Arc<str>)>>,
    turns: Semaphore,
}

impl Hall {
    /// One in which nobody has looked yet.
    #[must_use]
    pub fn new(source: Box<dyn Source>, explain: Explain, clock: fn() -> Timestamp) -> Self {
        Self {
            source,
            explain,
            clock,
            board: Mutex::default(),
            looked: Mutex::default(),
            come: Notify::new(),
            details: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// The board.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody looks.
    pub fn look(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.come.notify_one();
    }

    fn is_watched(&self) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some_and(|looked| looked.elapsed() < LINGER)
    }

    /// Follows budgets whenever somebody looks, until `stop`.
    pub async fn attend(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.come.notified() => {}
            }
            if self.is_watched() {
                tracing::debug!("somebody looks at the page: budgets are followed");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.follow() => {}
                }
                *self.board() = Board::default();
                self.details().clear();
            }
        }
    }

    /// Follows budgets while somebody looks.
    async fn follow(&self) {
        let mut changes = self.source.budgets();
        let mut beat = interval(Duration::from_secs(STEP));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        while self.is_watched() {
            tokio::select! {
                change = changes.next() => match change {
                    Some(change) => self.take(change),
                    None => return,
                },
                _ = beat.tick() => self.board().beat(),
            }
        }
    }

    fn take(&self, change: Change) {
        let mut board = self.board();
        match change {
            Ok(Event::Init) => board.begin(),
            Ok(Event::InitApply(budget) | Event::Apply(budget)) => {
                if let Some((key, row)) = Row::of(&budget) {
                    board.put(key, row);
                }
            }
            Ok(Event::InitDone) => board.end(),
            Ok(Event::Delete(budget)) => {
                if let Some((key, _)) = Row::of(&budget) {
                    board.remove(&key);
                }
            }
            Err(why) => board.set_trouble(Some(why)),
        }
    }

    fn details(&self) -> MutexGuard<'_, HashMap<BudgetKey, (Instant, Arc<str>)>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, key: &BudgetKey) -> Option<Arc<str>> {
        let details = self.details();
        details.get(key).filter(|(made, _)| made.elapsed() < FRESH).map(|(_, text)| Arc::clone(text))
    }

    /// A budget with its pods, as JSON; none if there is no such budget.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn detail(&self, key: &BudgetKey) -> Result<Option<Arc<str>>, String> {
        if let Some(text) = self.fresh(key) {
            return Ok(Some(text));
        }
        let _turn = self.turns.acquire().await;
        if let Some(text) = self.fresh(key) {
            return Ok(Some(text));
        }
        let opened = timeout(PATIENCE, self.source.budget(key.clone())).await;
        let opened = opened.map_err(|_| "the API server does not answer in time".to_owned())??;
        let Some(Opened { budget, around }) = opened else { return Ok(None) };
        let pods = around.and_then(|observed| (self.explain)(observed, key, (self.clock)()));
        let Some(detail) = Detail::of(&budget, pods) else { return Ok(None) };
        let text: Arc<str> = serde_json::to_string(&detail).map_err(|error| error.to_string())?.into();
        self.keep(key.clone(), Arc::clone(&text));
        Ok(Some(text))
    }

    fn keep(&self, key: BudgetKey, text: Arc<str>) {
        let mut details = self.details();
        if details.len() >= DETAILS {
            let oldest = details.iter().min_by_key(|(_, (made, _))| *made).map(|(key, _)| key.clone());
            oldest.map(|key| details.remove(&key));
        }
        details.insert(key, (Instant::now(), text));
    }
}
