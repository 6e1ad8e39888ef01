//! The watches: from the API server's events to records of the world and to requests for the budgets they concern.
//!
//! In: streams of events. Out: a world that follows the cluster, and keys in the queue. It decides nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
use crate::api::{DbConnectionBudget, names};
use crate::cluster::autoscaler::{AutoscalerRecord, AutoscalerView};
use crate::cluster::guarded::{Guarded, Odd};
use crate::cluster::pod::{PodRecord, PodView, version};
use crate::cluster::workload::{
    CronJobView, DaemonSetView, DeploymentView, JobView, ReplicaSetView, RolloutView, StatefulSetView,
    WorkloadRecord, WorkloadView,
};
use crate::cluster::world::{BudgetKey, Index, Record, World};
use crate::telemetry::metrics::Metrics;

/// Objects per page of a first list: bounds the memory that a list takes.
const PAGE: u32 = 100;
/// After so long without an error the next one is taken for a first one.
const CALM: Duration = Duration::from_secs(60);
/// The watches that must have listed once before anything is decided.
const KINDS: usize = 10;
/// How often it is looked whether a kind is served that need not be installed.
const DISCOVERY: Duration = Duration::from_secs(30);

/// What was observed, shared by the watches and the reconciler.
#[derive(Clone, Default)]
pub struct Observed {
    world: Arc<Mutex<World>>,
}

impl Observed {
    /// The world. Never held across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one event of a watch in. Gives back the budgets that it concerns. `now` is in seconds.
    pub fn take<K: Watched>(&self, event: Event<K>, now: u64) -> BTreeSet<BudgetKey> {
        let mut world = self.world();
        let mut odd_ones = Vec::new();
        let touched = match event {
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(odd) = object.odd() {
                    let key = key_of(&object);
                    K::index(&mut world).mark_odd(&key, odd);
                    odd_ones.extend(K::concerned_when_odd(key));
                }
                match object.read() {
                    Some(record) => K::take_in(&mut world, record),
                    None => Vec::new(),
                }
            }
            Event::Delete(object) => {
                let last = object.read();
                if let Some(last) = &last {
                    K::gone(&mut world, last, true);
                }
                let (key, version) = (key_of(&object), version(object.meta()));
                K::index(&mut world).delete(&key.namespace, &key.name, version, now).into_iter().collect()
            }
            Event::Init => {
                K::index(&mut world).begin_relist();
                Vec::new()
            }
            Event::InitDone => {
                let gone = K::index(&mut world).end_relist();
                gone.iter().for_each(|last| K::gone(&mut world, last, false));
                gone
            }
        };
        touched.iter().flat_map(|record| K::concerns(&world, record)).chain(odd_ones).collect()
    }

    /// A PodDisruptionBudget of the namespace changed: it may let an eviction pass that it refused before. Gives back
    /// the budgets that have waited for that.
    pub fn disruption_changed(&self, namespace: &str) -> BTreeSet<BudgetKey> {
        self.world().unblock(namespace)
    }
}

/// A kind of object that is followed.
pub trait Watched: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static {
    /// What is kept of an object.
    type Record: Record + PartialEq + 'static;
    /// The record of an object; none for those that are not used.
    fn read(&self) -> Option<Self::Record>;
    /// Where its records are.
    fn index(world: &mut World) -> &mut Index<Self::Record>;
    /// Takes a record in. Gives back it and the one that it replaced, or nothing when it brought nothing new.
    fn take_in(world: &mut World, record: Self::Record) -> Vec<Arc<Self::Record>> {
        Self::index(world).apply(record)
    }
    /// The budgets that a record is about.
    fn concerns(world: &World, record: &Self::Record) -> BTreeSet<BudgetKey>;
    /// What else is to be noted when a record's object is gone, in the state in which it was last seen; whether that was
    /// its last state is said as well.
    fn gone(_: &mut World, _: &Self::Record, _is_final: bool) {}
    /// What is wrong with it, when it cannot be read.
    fn odd(&self) -> Option<&Odd> {
        None
    }
    /// The record of an object that cannot be read; without one its last record stays.
    fn unreadable(_: &Odd) -> Option<Self::Record> {
        None
    }
    /// The budget that has to know that the object of this name cannot be read.
    fn concerned_when_odd(_: BudgetKey) -> Option<BudgetKey> {
        None
    }
}

impl<K: Watched> Watched for Guarded<K> {
    type Record = K::Record;

    fn read(&self) -> Option<K::Record> {
        match self {
            Self::Read(object) => object.read(),
            Self::Odd(odd) => K::unreadable(odd),
        }
    }
    fn index(world: &mut World) -> &mut Index<K::Record> {
        K::index(world)
    }
    fn take_in(world: &mut World, record: K::Record) -> Vec<Arc<K::Record>> {
        K::take_in(world, record)
    }
    fn concerns(world: &World, record: &K::Record) -> BTreeSet<BudgetKey> {
        K::concerns(world, record)
    }
    fn gone(world: &mut World, last: &K::Record, is_final: bool) {
        K::gone(world, last, is_final);
    }
    fn odd(&self) -> Option<&Odd> {
        match self {
            Self::Read(_) => None,
            Self::Odd(odd) => Some(odd),
        }
    }
    fn concerned_when_odd(key: BudgetKey) -> Option<BudgetKey> {
        K::concerned_when_odd(key)
    }
}

impl Watched for DbConnectionBudget {
    type Record = Self;

    fn read(&self) -> Option<Self> {
        Some(self.clone())
    }
    fn index(world: &mut World) -> &mut Index<Self> {
        &mut world.budgets
    }
    fn concerns(_: &World, budget: &Self) -> BTreeSet<BudgetKey> {
        BTreeSet::from([key_of(budget)])
    }
    fn concerned_when_odd(key: BudgetKey) -> Option<BudgetKey> {
        Some(key)
    }
}

impl Watched for PodView {
    type Record = PodRecord;

    fn read(&self) -> Option<PodRecord> {
        PodRecord::read(self)
    }
    fn index(world: &mut World) -> &mut Index<PodRecord> {
        &mut world.pods
    }
    fn take_in(world: &mut World, pod: PodRecord) -> Vec<Arc<PodRecord>> {
        world.see_pod(pod)
    }
    fn concerns(_: &World, pod: &PodRecord) -> BTreeSet<BudgetKey> {
        BTreeSet::from([BudgetKey::new(&pod.namespace, pod.budget())])
    }
    fn gone(world: &mut World, last: &PodRecord, is_final: bool) {
        world.note_gone(last, is_final);
    }
    fn unreadable(odd: &Odd) -> Option<PodRecord> {
        PodRecord::unreadable(odd)
    }
}

impl<V: WorkloadView> Watched for V {
    type Record = WorkloadRecord;

    fn read(&self) -> Option<WorkloadRecord> {
        self.record()
    }
    fn index(world: &mut World) -> &mut Index<WorkloadRecord> {
        world.workloads.of_kind(V::KIND)
    }
    fn concerns(world: &World, record: &WorkloadRecord) -> BTreeSet<BudgetKey> {
        let mut keys = world.budgets_of(&record.namespace, record.workload());
        let wrote = record.rewritten.as_ref().map(|rewritten| &rewritten.note.budget);
        let named = record.template.budget.iter().chain(&record.label).chain(wrote);
        keys.extend(named.map(|name| BudgetKey::new(&record.namespace, name)));
        keys
    }
}

impl Watched for AutoscalerView {
    type Record = AutoscalerRecord;

    fn read(&self) -> Option<AutoscalerRecord> {
        AutoscalerRecord::read(self)
    }
    fn index(world: &mut World) -> &mut Index<AutoscalerRecord> {
        &mut world.autoscalers
    }
    fn concerns(world: &World, scaler: &AutoscalerRecord) -> BTreeSet<BudgetKey> {
        world.budgets_of(&scaler.namespace, &scaler.target)
    }
}

/// Follows the cluster until the returned tasks are dropped. `synced` counts the kinds that were listed once.
pub struct Watches {
    /// The running watches.
    pub tasks: JoinSet<()>,
    synced: watch::Receiver<usize>,
}

impl Watches {
    /// Waits until everything was listed once.
    pub async fn synced(&mut self) {
        // The sender lives as long as the tasks.
        let _ = self.synced.wait_for(|count| *count >= KINDS).await;
    }
}

#[derive(Clone)]
struct Feed {
    client: Client,
    observed: Observed,
    requests: Requests,
    metrics: Metrics,
    synced: watch::Sender<usize>,
}

/// Starts all watches.
#[must_use]
pub fn watch_all(client: &Client, observed: &Observed, requests: &Requests, metrics: &Metrics) -> Watches {
    let (synced, receiver) = watch::channel(0);
    let feed = Feed {
        client: client.clone(),
        observed: observed.clone(),
        requests: requests.clone(),
        metrics: metrics.clone(),
        synced,
    };
    let mut tasks = JoinSet::new();
    let plain = || watcher::Config::default().page_size(PAGE);
    tasks.spawn(feed.clone().follow_served::<DbConnectionBudget>(plain()));
    tasks.spawn(feed.clone().follow_served::<PodView>(plain().labels(names::BUDGET)));
    tasks.spawn(feed.clone().follow_served::<DeploymentView>(plain()));
    tasks.spawn(feed.clone().follow_served::<ReplicaSetView>(plain()));
    tasks.spawn(feed.clone().follow_served::<StatefulSetView>(plain()));
    tasks.spawn(feed.clone().follow_served::<DaemonSetView>(plain()));
    tasks.spawn(feed.clone().follow_served::<JobView>(plain()));
    tasks.spawn(feed.clone().follow_served::<CronJobView>(plain()));
    tasks.spawn(feed.clone().follow_served::<AutoscalerView>(plain()));
    tasks.spawn(feed.clone().follow_installed::<RolloutView>(plain()));
    tasks.spawn(feed.follow_disruption());
    Watches { tasks, synced: receiver }
}

/// Whether the API server serves a kind.
pub(super) async fn serves<K: Watched>(client: &Client) -> Result<bool, kube::Error> {
    match client.list_api_group_resources(&K::api_version(&())).await {
        Ok(served) => Ok(served.resources.iter().any(|resource| resource.name == K::plural(&()))),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Namespace and name of an object.
fn key_of<K: Resource>(object: &K) -> BudgetKey {
    BudgetKey::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

/// Like the client's own, but never longer than 5 s: an API server that is back should be seen soon. It begins anew
/// after a minute without errors, and not when it is told to: a watcher says "listing" before each list, also before
/// one that fails, which is taken for a success.
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
    async fn follow_served<K: Watched>(self, config: watcher::Config) {
        self.follow::<K>(config, &mut false).await;
    }

    /// Follows a kind that may be installed, come, and go.
    async fn follow_installed<K: Watched>(self, config: watcher::Config) {
        let mut counted = false;
        loop {
            if self.until_known::<K>().await {
                tokio::select! {
                    () = self.follow::<K>(config.clone(), &mut counted) => return,
                    () = self.until_gone::<K>() => {}
                }
                // Nobody tells of what went with its kind.
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

    /// Follows a kind, and counts its first list unless it was `counted`.
    async fn follow<K: Watched>(&self, config: watcher::Config, counted: &mut bool) {
        let api = Api::<Guarded<K>>::all(self.client.clone());
        let mut events = watcher(api, config).backoff(Patience::new()).boxed();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    let done = matches!(event, Event::InitDone);
                    self.complain(&event);
                    let keys = self.observed.take(event, now());
                    keys.into_iter().for_each(|key| self.requests.request(key));
                    if done && !*counted {
                        *counted = true;
                        self.synced.send_modify(|count| *count += 1);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.metrics.api_error("watch");
                    tracing::warn!(%error, kind = %K::kind(&()), "watch interrupted; it is resumed");
                }
            }
        }
    }

    /// An object that cannot be read is told of and passed over: the others are followed.
    fn complain<K: Watched>(&self, event: &Event<Guarded<K>>) {
        let (Event::Apply(object) | Event::InitApply(object)) = event else { return };
        if let Some(odd) = object.odd() {
            self.metrics.api_error("unreadable");
            tracing::warn!(kind = %K::kind(&()), object = %key_of(object), why = odd.why, "object cannot be read");
        }
    }

    async fn follow_disruption(self) {
        let api: Api<Guarded<PartialObjectMeta<PodDisruptionBudget>>> = Api::all(self.client.clone());
        let config = watcher::Config::default().page_size(PAGE);
        let mut events = watcher(api, config).backoff(Patience::new()).boxed();
        loop {
            match events.try_next().await {
                Ok(Some(Event::Apply(changed) | Event::Delete(changed))) => {
                    let namespace = changed.namespace().unwrap_or_default();
                    let keys = self.observed.disruption_changed(&namespace);
                    keys.into_iter().for_each(|key| self.requests.request(key));
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => {
                    self.metrics.api_error("watch");
                    tracing::warn!(%error, kind = "PodDisruptionBudget", "watch interrupted; it is resumed");
                }
            }
        }
    }
}

fn now() -> u64 {
    u64::try_from(k8s_openapi::jiff::Timestamp::now().as_second()).unwrap_or(0)
}
