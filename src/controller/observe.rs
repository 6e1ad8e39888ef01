//! The watches: from the API server's events to records of the world and to requests for the budgets they concern.
//!
//! In: streams of events. Out: a world that follows the cluster, and keys in the queue. It decides nothing.

use std::collections::BTreeSet;
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

use super::dispatch::{self, Requests};
use crate::api::{DbConnectionBudget, names};
use crate::cluster::autoscaler::{AutoscalerRecord, AutoscalerView};
use crate::cluster::pod::{PodRecord, PodView, version};
use crate::cluster::workload::{DeploymentRecord, DeploymentView, ReplicaSetRecord, ReplicaSetView};
use crate::cluster::world::{BudgetKey, Index, Record, World};
use crate::telemetry::metrics::Metrics;

/// Objects per page of a first list: bounds the memory that a list takes.
const PAGE: u32 = 100;
/// The watches that must have listed once before anything is decided.
const KINDS: usize = 5;

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
}

/// How one kind of object is followed.
struct Kind<K, T> {
    /// The record of an object; none for those that are not used.
    read: fn(&K) -> Option<T>,
    /// Where its records are.
    index: fn(&mut World) -> &mut Index<T>,
    /// The budgets that a record is about.
    concerns: fn(&World, &T) -> BTreeSet<BudgetKey>,
    /// What else is to be noted when a record's object is gone, in the state in which it was last seen.
    gone: fn(&mut World, &T),
}

const BUDGETS: Kind<DbConnectionBudget, DbConnectionBudget> = Kind {
    read: |budget| Some(budget.clone()),
    index: |world| &mut world.budgets,
    concerns: |_, budget| BTreeSet::from([key_of(budget)]),
    gone: |_, _| {},
};

const PODS: Kind<PodView, PodRecord> = Kind {
    read: PodRecord::read,
    index: |world| &mut world.pods,
    concerns: |_, pod| BTreeSet::from([BudgetKey::new(&pod.namespace, pod.budget())]),
    gone: World::note_vanished,
};

const DEPLOYMENTS: Kind<DeploymentView, DeploymentRecord> = Kind {
    read: DeploymentRecord::read,
    index: |world| &mut world.deployments,
    concerns: |world, deployment| {
        let mut keys = world.budgets_of_deployment(&deployment.namespace, &deployment.name);
        let named = deployment.template.budget.iter().chain(&deployment.label);
        keys.extend(named.map(|name| BudgetKey::new(&deployment.namespace, name)));
        keys
    },
    gone: |_, _| {},
};

const REPLICA_SETS: Kind<ReplicaSetView, ReplicaSetRecord> = Kind {
    read: ReplicaSetRecord::read,
    index: |world| &mut world.replica_sets,
    concerns: |world, set| {
        let mut keys = world.budgets_of_deployment(&set.namespace, &set.deployment);
        keys.extend(set.template.budget.iter().map(|name| BudgetKey::new(&set.namespace, name)));
        keys
    },
    gone: |_, _| {},
};

const AUTOSCALERS: Kind<AutoscalerView, AutoscalerRecord> = Kind {
    read: AutoscalerRecord::read,
    index: |world| &mut world.autoscalers,
    concerns: |world, scaler| world.budgets_of_deployment(&scaler.namespace, &scaler.target),
    gone: |_, _| {},
};

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
    tasks.spawn(feed.clone().follow(plain(), BUDGETS));
    tasks.spawn(feed.clone().follow(plain().labels(names::BUDGET), PODS));
    tasks.spawn(feed.clone().follow(plain(), DEPLOYMENTS));
    tasks.spawn(feed.clone().follow(plain(), REPLICA_SETS));
    tasks.spawn(feed.clone().follow(plain(), AUTOSCALERS));
    tasks.spawn(feed.follow_disruption());
    Watches { tasks, synced: receiver }
}

fn key_of(budget: &DbConnectionBudget) -> BudgetKey {
    BudgetKey::new(&budget.namespace().unwrap_or_default(), &budget.name_any())
}

/// Like the client's own, but never longer than 5 s: an API server that is back should be seen soon.
struct Patience(backon::ExponentialBackoff);

impl Patience {
    fn new() -> Self {
        Self(dispatch::backoff(Duration::from_millis(200), Duration::from_secs(5)))
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Feed {
    async fn follow<K, T>(self, config: watcher::Config, kind: Kind<K, T>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
        T: Record + PartialEq + 'static,
    {
        let mut events = watcher(Api::<K>::all(self.client.clone()), config).backoff(Patience::new()).boxed();
        let mut listed = false;
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    let done = matches!(event, Event::InitDone);
                    self.take(event, &kind);
                    if done && !listed {
                        listed = true;
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

    /// Takes one event into the world and requests the budgets that it concerns.
    fn take<K: Resource<DynamicType = ()>, T: Record + PartialEq>(&self, event: Event<K>, kind: &Kind<K, T>) {
        let mut world = self.observed.world();
        let touched = match event {
            Event::Apply(object) | Event::InitApply(object) => match (kind.read)(&object) {
                Some(record) => (kind.index)(&mut world).apply(record),
                None => Vec::new(),
            },
            Event::Delete(object) => {
                let last = (kind.read)(&object);
                if let Some(last) = &last {
                    (kind.gone)(&mut world, last);
                }
                let meta = object.meta();
                let (namespace, name) =
                    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
                (kind.index)(&mut world).delete(&namespace, &name, version(meta), now()).into_iter().collect()
            }
            Event::Init => {
                (kind.index)(&mut world).begin_relist();
                Vec::new()
            }
            Event::InitDone => {
                let gone = (kind.index)(&mut world).end_relist();
                gone.iter().for_each(|last| (kind.gone)(&mut world, last));
                gone
            }
        };
        let keys: BTreeSet<BudgetKey> =
            touched.iter().flat_map(|record| (kind.concerns)(&world, record)).collect();
        drop(world);
        for key in keys {
            self.requests.request(key);
        }
    }

    /// A PodDisruptionBudget that changes may let an eviction pass that it refused before.
    async fn follow_disruption(self) {
        let api: Api<PartialObjectMeta<PodDisruptionBudget>> = Api::all(self.client.clone());
        let config = watcher::Config::default().page_size(PAGE);
        let mut events = watcher(api, config).backoff(Patience::new()).boxed();
        loop {
            match events.try_next().await {
                Ok(Some(Event::Apply(changed) | Event::Delete(changed))) => {
                    let namespace = changed.namespace().unwrap_or_default();
                    let keys = self.observed.world().unblock(&namespace);
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
