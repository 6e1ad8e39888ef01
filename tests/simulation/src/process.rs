//! One process of the operator: its terms as leader, its watches, and the looks that it takes at each budget.
//!
//! The leader, its world and its transaction are the shipped code. This file has what surrounds them in a process:
//! lists and watches that deliver events late, each kind with its own delay, and a queue in which each budget is at
//! most once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use kube::runtime::watcher::Event;
use poolbudget::api::BudgetKey;
use poolbudget::api::WorkloadKind;
use poolbudget::controller::context;
use poolbudget::controller::dispatch::Next;
use poolbudget::controller::observe::{Observed, Watched};
use poolbudget::controller::reconcile::Reconciler;
use poolbudget::telemetry::metrics::Metrics;

use super::clock;
use super::cluster::{BUDGETS, Cluster, Kind, NAMESPACE};
use super::door::{Door, index};
use super::mutation::Mutation;
use super::objects;

/// The delay after the first failure, and the longest one, in milliseconds.
const BACKOFF: (i64, i64) = (100, 15_000);

/// The current role of a process.
pub(crate) enum Process {
    /// It does not run.
    Down,
    /// It waits for the Lease.
    Standby,
    /// It leads, or believes that it does.
    Leading(Box<Term>),
}

/// What a process knows about pods: since when it watches them, since when it has missed no event, and up to when it
/// has seen everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) since: i64,
    pub(crate) unbroken: i64,
    pub(crate) horizon: i64,
}

impl Known {
    /// Whether it knows what happened at a time, or was named in a status later.
    pub(crate) fn has_seen(self, at: i64, named: Option<i64>) -> bool {
        (self.unbroken..=self.horizon).contains(&at) || named.is_some_and(|named| named <= self.horizon)
    }
}

/// One budget's place in the queue.
#[derive(Default)]
pub(crate) struct Place {
    /// When it is due.
    pub(crate) due: Option<i64>,
    /// When the simulation will visit it.
    woken: Option<i64>,
    look: Option<Pin<Box<dyn Future<Output = Next>>>>,
    /// It was requested while a look ran.
    again: bool,
    failures: u32,
}

/// One term as leader.
pub(crate) struct Term {
    /// The number of the term within the simulation.
    pub(crate) number: u32,
    pub(crate) door: Door,
    reconciler: Arc<Reconciler<Door>>,
    /// How far each watch has read; none before its first list, and while it is cut.
    pub(crate) read: [Option<usize>; Kind::ALL.len()],
    /// Whether everything has been listed once.
    synced: bool,
    /// When its pod watch listed for the first time, and for the last time.
    since: i64,
    listed: i64,
    /// It gives up leadership as soon as no look runs.
    pub(crate) resigns: bool,
    pub(crate) places: [Place; BUDGETS.len()],
}

impl Term {
    pub(crate) fn begin(number: u32, mutation: Mutation) -> Self {
        let door = Door::new(mutation);
        let mut parts =
            context::Context::new(door.clone(), Observed::default(), Metrics::default(), clock::operator);
        parts.steady = clock::steady;
        parts.decide = mutation.decision();
        Self {
            number,
            door,
            reconciler: Arc::new(Reconciler::new(parts)),
            read: [None; Kind::ALL.len()],
            synced: false,
            since: i64::MAX,
            listed: i64::MAX,
            resigns: false,
            places: Default::default(),
        }
    }

    /// A watch lists everything as it is now, and continues from here.
    pub(crate) fn list(&mut self, kind: Kind, cluster: &Cluster) {
        let observed = self.reconciler.context.observed.clone();
        let keys = match kind {
            Kind::Budgets => relist(&observed, cluster.budgets.iter().flatten().cloned()),
            Kind::Pods => {
                let labelled = cluster.pods.values().filter(|pod| pod.facts.budget.is_some());
                relist(&observed, labelled.map(objects::pod))
            }
            Kind::Deployments => {
                let all = cluster.apps_of(WorkloadKind::Deployment);
                relist(&observed, all.map(|app| objects::deployment(cluster, app)))
            }
            Kind::ReplicaSets => {
                let all = cluster.parts_of(WorkloadKind::Deployment);
                relist(&observed, all.map(|(app, template)| objects::replica_set(cluster, app, template)))
            }
            Kind::StatefulSets => {
                let all = cluster.apps_of(WorkloadKind::StatefulSet);
                relist(&observed, all.map(|app| objects::stateful_set(cluster, app)))
            }
            Kind::DaemonSets => {
                let all = cluster.apps_of(WorkloadKind::DaemonSet);
                relist(&observed, all.map(|app| objects::daemon_set(cluster, app)))
            }
            Kind::Jobs => {
                let jobs = cluster.apps_of(WorkloadKind::Job).map(|app| objects::job(cluster, app));
                let runs = cluster.parts_of(WorkloadKind::CronJob);
                relist(
                    &observed,
                    jobs.chain(runs.map(|(app, template)| objects::run(cluster, app, template))),
                )
            }
            Kind::CronJobs => {
                let all = cluster.apps_of(WorkloadKind::CronJob);
                relist(&observed, all.map(|app| objects::cron_job(cluster, app)))
            }
            Kind::Autoscalers => {
                let all = cluster.apps.iter().enumerate();
                let all = all.filter_map(|(app, state)| Some((app, state.autoscaler?)));
                let kind = |app: usize| cluster.apps[app].kind();
                relist(&observed, all.map(|(app, (most, at))| objects::autoscaler(kind(app), app, most, at)))
            }
            Kind::Disruptions => Vec::new(),
        };
        self.read[kind as usize] = Some(cluster.log.len(kind));
        if kind == Kind::Pods {
            (self.since, self.listed) = (self.since.min(clock::now()), clock::now());
        }
        self.request(&keys);
        self.synced |= self.read.iter().all(Option::is_some);
    }

    /// A watch delivers what has happened up to `end`.
    pub(crate) fn follow(&mut self, kind: Kind, cluster: &Cluster, end: usize) {
        let Some(from) = self.read[kind as usize].filter(|from| *from < end) else { return };
        let observed = self.reconciler.context.observed.clone();
        let log = &cluster.log;
        let keys = match kind {
            Kind::Budgets => bring(&observed, &log.budgets[from..end]),
            Kind::Pods => bring(&observed, &log.pods[from..end]),
            Kind::Deployments => bring(&observed, &log.deployments[from..end]),
            Kind::ReplicaSets => bring(&observed, &log.sets[from..end]),
            Kind::Autoscalers => bring(&observed, &log.autoscalers[from..end]),
            Kind::StatefulSets => bring(&observed, &log.stateful_sets[from..end]),
            Kind::DaemonSets => bring(&observed, &log.daemon_sets[from..end]),
            Kind::Jobs => bring(&observed, &log.jobs[from..end]),
            Kind::CronJobs => bring(&observed, &log.cron_jobs[from..end]),
            Kind::Disruptions => {
                self.reconciler.context.refusals.disruption_changed(NAMESPACE).into_iter().collect()
            }
        };
        self.read[kind as usize] = Some(end);
        self.request(&keys);
    }

    /// What it knows about pods.
    pub(crate) fn known(&self, cluster: &Cluster) -> Known {
        Known { since: self.since, unbroken: self.listed, horizon: self.horizon(cluster) }
    }

    /// Up to which time it has seen what happened to pods.
    fn horizon(&self, cluster: &Cluster) -> i64 {
        let Some(read) = self.read[Kind::Pods as usize] else { return clock::START };
        // Just before the first event that it has not seen.
        cluster.log.pods.get(read).map_or_else(clock::now, |(at, _)| at - 1)
    }

    fn request(&mut self, keys: &[BudgetKey]) {
        for key in keys {
            let place = &mut self.places[index(key)];
            if place.look.is_some() {
                place.again = true;
            } else {
                place.appoint(clock::now());
            }
        }
    }

    /// Whether a look at this budget may begin or continue now.
    pub(crate) fn is_due(&mut self, budget: usize) -> bool {
        let place = &mut self.places[budget];
        place.woken = place.woken.filter(|at| *at > clock::now());
        let due = place.due.is_some_and(|due| due <= clock::now());
        place.look.is_some() || (self.synced && !self.resigns && due)
    }

    pub(crate) fn runs(&self, budget: usize) -> bool {
        self.places[budget].look.is_some()
    }

    /// True if the simulation has to visit a budget earlier than planned.
    pub(crate) fn wake(&mut self, budget: usize, at: i64) -> bool {
        let place = &mut self.places[budget];
        let earlier = self.synced && place.look.is_none() && place.woken.is_none_or(|woken| woken > at);
        if earlier {
            place.woken = Some(at);
        }
        earlier
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.places.iter().any(|place| place.look.is_some())
    }

    /// Continues the running look, or begins one.
    pub(crate) fn look(&mut self, budget: usize) {
        let place = &mut self.places[budget];
        let look = place.look.get_or_insert_with(|| {
            place.due = None;
            let reconciler = Arc::clone(&self.reconciler);
            Box::pin(async move { reconciler.reconcile(BudgetKey::new(NAMESPACE, BUDGETS[budget])).await })
        });
        let Poll::Ready(next) = look.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { return };
        place.look = None;
        place.failures = if next == Next::Backoff { place.failures + 1 } else { 0 };
        match next {
            Next::OnRequest => {}
            Next::After(delay) => {
                place.appoint(clock::now() + i64::try_from(delay.as_millis()).expect("soon"));
            }
            Next::Backoff => {
                let delay = BACKOFF.0 << place.failures.min(10);
                place.appoint(clock::now() + delay.min(BACKOFF.1));
            }
        }
        if std::mem::take(&mut place.again) {
            place.appoint(clock::now());
        }
    }
}

impl Place {
    /// Keeps the earlier of two times.
    fn appoint(&mut self, at: i64) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

fn seconds() -> u64 {
    clock::operator().as_second().unsigned_abs()
}

fn bring<K: Watched>(observed: &Observed, events: &[(i64, Event<K>)]) -> Vec<BudgetKey> {
    events.iter().flat_map(|(_, event)| observed.take(event.clone(), seconds())).collect()
}

fn relist<K: Watched>(observed: &Observed, objects: impl Iterator<Item = K>) -> Vec<BudgetKey> {
    let events = std::iter::once(Event::Init).chain(objects.map(Event::InitApply)).chain([Event::InitDone]);
    events.flat_map(|event| observed.take(event, seconds())).collect()
}
