//! The watches: every kind listed once and followed from there on.
//!
//! In: streams of events. Out: a world that follows the cluster, and keys in the queue. What an event means is in
//! [`observe`](super::observe), how much of a list is in memory at a time in [`lists`](super::lists).

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dispatch::{self, Requests};
use super::kinds::{self, PerKind, Served};
use super::lists::{self, Turns, Way};
use super::observe::{Observed, Watched, key_of};
use super::refused::Refusals;
use crate::cluster::guarded::Guarded;
use crate::telemetry::metrics::Metrics;

/// After this long without an error, the next one counts as a first one.
const CALM: Duration = Duration::from_secs(60);
/// How often to check whether an optional kind is served.
const DISCOVERY: Duration = Duration::from_secs(30);

/// Follows the cluster until the returned tasks are dropped. `synced` counts the kinds that were listed once.
pub struct Watches {
    /// The running watches.
    pub tasks: JoinSet<()>,
    /// The kinds that must have been listed once before anything is decided.
    kinds: usize,
    synced: watch::Receiver<usize>,
}

impl Watches {
    /// Waits until everything was listed once.
    pub async fn synced(&mut self) {
        // The sender lives as long as the tasks.
        let _ = self.synced.wait_for(|count| *count >= self.kinds).await;
    }
}

#[derive(Clone)]
struct Feed {
    client: Client,
    observed: Observed,
    refusals: Refusals,
    requests: Requests,
    metrics: Metrics,
    synced: watch::Sender<usize>,
    turns: Turns,
}

/// Starts the watch of each kind.
struct Start<'a> {
    feed: &'a Feed,
    tasks: &'a mut JoinSet<()>,
    kinds: usize,
}

impl PerKind for Start<'_> {
    fn visit<K: Watched>(&mut self, served: Served) {
        let feed = self.feed.clone();
        match served {
            Served::Always => self.tasks.spawn(feed.follow_served::<K>(None)),
            Served::Labelled(label) => self.tasks.spawn(feed.follow_served::<K>(Some(label))),
            Served::Installed => self.tasks.spawn(feed.follow_installed::<K>()),
        };
        self.kinds += 1;
    }
}

/// Starts all watches.
#[must_use]
pub fn watch_all(
    client: &Client,
    observed: &Observed,
    refusals: &Refusals,
    requests: &Requests,
    metrics: &Metrics,
) -> Watches {
    let (synced, receiver) = watch::channel(0);
    let feed = Feed {
        client: client.clone(),
        observed: observed.clone(),
        refusals: refusals.clone(),
        requests: requests.clone(),
        metrics: metrics.clone(),
        synced,
        turns: Turns::new(),
    };
    let mut tasks = JoinSet::new();
    let mut start = Start { feed: &feed, tasks: &mut tasks, kinds: 0 };
    kinds::every(&mut start);
    let kinds = start.kinds;
    tasks.spawn(feed.follow_disruption());
    Watches { tasks, kinds, synced: receiver }
}

/// Whether the API server serves a kind.
pub(super) async fn serves<K: Watched>(client: &Client) -> Result<bool, kube::Error> {
    match client.list_api_group_resources(&K::api_version(&())).await {
        Ok(served) => Ok(served.resources.iter().any(|resource| resource.name == K::plural(&()))),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Like the client's own backoff, but never longer than 5 s, to notice soon that an API server is back. It starts over
/// after a minute without errors and ignores `reset`: a watcher emits an event before each list, even before one that
/// fails, and the client takes that event for a success.
struct Patience {
    delays: backon::ExponentialBackoff,
    last: Option<Instant>,
}

impl Patience {
    fn new() -> Self {
        Self { delays: dispatch::backoff(Duration::from_millis(200), Duration::from_secs(5)), last: None }
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > CALM) {
            *self = Self::new();
        }
        self.last = Some(Instant::now());
        self.delays.next()
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

impl Feed {
    /// Follows a kind that every cluster has.
    async fn follow_served<K: Watched>(self, label: Option<&str>) {
        self.follow::<K>(label, &mut false).await;
    }

    /// Follows an optional kind, which may come and go.
    async fn follow_installed<K: Watched>(self) {
        let mut counted = false;
        loop {
            if self.until_known::<K>().await {
                tokio::select! {
                    () = self.follow::<K>(None, &mut counted) => return,
                    () = self.until_gone::<K>() => {}
                }
                // No watch reports the objects that went with their kind.
                for nothing in [Event::<Guarded<K>>::Init, Event::InitDone] {
                    self.observed.take(nothing, now()).into_iter().for_each(|key| self.requests.request(key));
                }
            } else if !counted {
                counted = true;
                self.synced.send_modify(|count| *count += 1);
            }
            tokio::time::sleep(DISCOVERY).await;
        }
    }

    /// Asks until the API server says whether it serves a kind.
    async fn until_known<K: Watched>(&self) -> bool {
        for delay in Patience::new() {
            match serves::<K>(&self.client).await {
                Ok(served) => return served,
                Err(error) => {
                    self.metrics.api_error("watch");
                    tracing::warn!(%error, kind = %K::kind(&()), "not known whether this kind is served; asking again");
                }
            }
            tokio::time::sleep(delay).await;
        }
        false
    }

    async fn until_gone<K: Watched>(&self) {
        loop {
            tokio::time::sleep(DISCOVERY).await;
            if matches!(serves::<K>(&self.client).await, Ok(false)) {
                return;
            }
        }
    }

    /// Reports an object that cannot be read and skips it; the others are followed.
    fn complain<K: Watched>(&self, event: &Event<Guarded<K>>) {
        let (Event::Apply(object) | Event::InitApply(object)) = event else { return };
        if let Some(unreadable) = object.unreadable() {
            self.metrics.api_error("unreadable");
            tracing::warn!(kind = %K::kind(&()), object = %key_of(object), why = unreadable.why, "object cannot be read");
        }
    }

    /// Follows a kind, and counts its first list unless it was `counted`.
    async fn follow<K: Watched>(&self, label: Option<&str>, counted: &mut bool) {
        self.each::<K>(label, |event| {
            let done = matches!(event, Event::InitDone);
            self.complain(&event);
            let keys = self.observed.take(event, now());
            keys.into_iter().for_each(|key| self.requests.request(key));
            if done && !*counted {
                *counted = true;
                self.synced.send_modify(|count| *count += 1);
            }
        })
        .await;
    }

    /// Follows PodDisruptionBudgets: not their content, only that they change.
    async fn follow_disruption(self) {
        self.each::<PartialObjectMeta<PodDisruptionBudget>>(None, |event| {
            let (Event::Apply(changed) | Event::Delete(changed)) = event else { return };
            let keys = self.refusals.disruption_changed(&changed.namespace().unwrap_or_default());
            keys.into_iter().for_each(|key| self.requests.request(key));
        })
        .await;
    }

    /// Passes on each event of a kind, forever: what fails is tried again, if need be in another way.
    async fn each<K>(&self, label: Option<&str>, mut take: impl FnMut(Event<Guarded<K>>))
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let api = Api::<Guarded<K>>::all(self.client.clone());
        let (mut way, mut delays) = (Way::Streamed, Patience::new());
        loop {
            let events = watcher(api.clone(), way.config(label)).backoff(Patience::new()).boxed();
            let Err(error) = self.each_until(way, events, &mut take).await else { return };
            if let Some(other) = way.instead(&error) {
                tracing::debug!(%error, kind = %K::kind(&()), ?other, "listed in another way");
                way = other;
            } else {
                self.metrics.api_error("watch");
                tracing::warn!(%error, kind = %K::kind(&()), "an event cannot be read; all is listed again");
                tokio::time::sleep(delays.next().unwrap_or_default()).await;
            }
        }
    }

    /// Passes on each event until an error that the same watch cannot recover from.
    async fn each_until<K: Resource<DynamicType = ()>>(
        &self,
        way: Way,
        mut events: BoxStream<'_, Result<Event<K>, watcher::Error>>,
        take: &mut impl FnMut(Event<K>),
    ) -> Result<(), watcher::Error> {
        let mut turn = None;
        loop {
            // A list without an answer gives up its turn, so the others need not wait.
            let patience = if turn.is_some() { lists::TURN } else { Duration::MAX };
            match tokio::time::timeout(patience, events.try_next()).await {
                Err(_) => turn = None,
                Ok(Ok(Some(event))) => {
                    let listed = matches!(event, Event::InitDone);
                    if matches!(event, Event::Init) {
                        turn = self.turns.take(way).await;
                    }
                    take(event);
                    turn = turn.filter(|_| !listed);
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) if way.instead(&error).is_some() || lists::loses_an_event(&error) => {
                    return Err(error);
                }
                Ok(Err(error)) => {
                    turn = None;
                    self.metrics.api_error("watch");
                    tracing::warn!(%error, kind = %K::kind(&()), "watch interrupted; it is resumed");
                }
            }
        }
    }
}

fn now() -> u64 {
    u64::try_from(k8s_openapi::jiff::Timestamp::now().as_second()).unwrap_or(0)
}
