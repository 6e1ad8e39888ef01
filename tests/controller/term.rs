//! One leader's term: a leader, its connection to the server, and a watch that the test feeds.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use poolbudget::api::BudgetKey;
use poolbudget::cluster::guarded::Unreadable;
use poolbudget::cluster::pod::{PodRecord, version};
use poolbudget::cluster::workload::{DeploymentView, ReplicaSetView, WorkloadView};
use poolbudget::cluster::world::World;
use poolbudget::controller::context;
use poolbudget::controller::dispatch::Next;
use poolbudget::controller::observe::Observed;
use poolbudget::controller::reconcile::Reconciler;
use poolbudget::telemetry::metrics::Metrics;
use serde_json::Value;

use super::cluster::Cluster;
use super::door::{Door, Fate, view};
use super::server::{BUDGET, Change, NAMESPACE};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_800_000_000) };
    static STEADY: Cell<u64> = const { Cell::new(0) };
}

/// The clock of everything in a test.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW.get()).expect("a time")
}

/// Time passes.
pub(crate) fn pass(seconds: i64) {
    NOW.set(NOW.get() + seconds);
    STEADY.set(STEADY.get() + seconds.unsigned_abs());
}

/// The date is changed.
pub(crate) fn jump(seconds: i64) {
    NOW.set(NOW.get() + seconds);
}

/// One leader's term.
pub(crate) struct Term {
    pub(crate) door: Door,
    pub(crate) reconciler: Arc<Reconciler<Door>>,
    seen: usize,
    look: Option<Pin<Box<dyn Future<Output = Next>>>>,
}

impl Term {
    /// A term that begins with a list of everything as it is now.
    pub(crate) fn begin(cluster: &Cluster) -> Self {
        let door = Door::new(Arc::clone(&cluster.server));
        let mut parts = context::Context::new(door.clone(), Observed::default(), Metrics::default(), now);
        parts.steady = || Duration::from_secs(STEADY.get());
        let server = cluster.server();
        let mut world = parts.observed.world();
        let listed = [
            server.budget.clone().map(|budget| Change::Budget(Box::new(budget))).into_iter().collect(),
            server.pods.values().cloned().map(Change::Pod).collect(),
            server.deployments.values().cloned().map(Change::Deployment).collect::<Vec<_>>(),
            server.sets.values().cloned().map(Change::ReplicaSet).collect(),
        ];
        listed.iter().flatten().for_each(|change| see(&mut world, change));
        drop(world);
        let seen = server.log.len();
        drop(server);
        Self { door, reconciler: Arc::new(Reconciler::new(parts)), seen, look: None }
    }

    /// The watch delivers at most `count` changes.
    pub(crate) fn watch(&mut self, count: usize) {
        let server = self.door.server();
        let mut world = self.reconciler.context.observed.world();
        let news: Vec<_> = server.log.iter().skip(self.seen).take(count).collect();
        news.iter().for_each(|change| see(&mut world, change));
        self.seen += news.len();
    }

    /// The watch catches up.
    pub(crate) fn catch_up(&mut self) {
        self.watch(usize::MAX);
    }

    /// The watch catches up, but delivers nothing about pods whose name begins with `prefix`.
    pub(crate) fn catch_up_but(&mut self, prefix: &str) {
        let server = self.door.server();
        let mut world = self.reconciler.context.observed.world();
        for change in server.log.iter().skip(self.seen) {
            if !matches!(change, Change::Pod(pod) if record(pod).name.starts_with(prefix)) {
                see(&mut world, change);
            }
        }
        self.seen = server.log.len();
    }

    /// Continues the running look, or begins one. None while a request waits for its fate.
    pub(crate) fn look(&mut self) -> Option<Next> {
        let reconciler = Arc::clone(&self.reconciler);
        let key = BudgetKey::new(NAMESPACE, BUDGET);
        let look = self.look.get_or_insert_with(|| Box::pin(async move { reconciler.reconcile(key).await }));
        match look.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => {
                self.look = None;
                Some(next)
            }
            Poll::Pending => None,
        }
    }

    /// Lets the waiting request, or the first one of the next look, meet its fate, and continues to the next request.
    pub(crate) fn step(&mut self, fate: Fate) -> Option<Next> {
        let mut fate = Some(fate);
        self.door.follow(move |_, _| fate.take());
        self.look()
    }

    /// The watch delivers the budget as unreadable, or as readable again.
    pub(crate) fn mark_unreadable(&mut self, why: Option<&str>) {
        let mut budget = self.door.server().budget.clone().expect("a budget");
        match why {
            Some(why) => {
                let odd = Unreadable { metadata: budget.metadata, why: why.into() };
                self.reconciler
                    .context
                    .observed
                    .world()
                    .budgets
                    .mark_unreadable(&BudgetKey::new(NAMESPACE, BUDGET), &odd);
            }
            None => {
                self.door.server().stamp_budget(&mut budget);
                drop(self.reconciler.context.observed.world().budgets.apply(budget));
            }
        }
    }

    /// From now on every request is executed.
    pub(crate) fn heal(&mut self) {
        self.door.follow(|_, _| Some(Fate::Done));
    }
}

fn see(world: &mut World, change: &Change) {
    let seconds = now().as_second().unsigned_abs();
    match change {
        Change::Budget(budget) => drop(world.budgets.apply((**budget).clone())),
        Change::BudgetGone(budget) => {
            drop(world.budgets.delete(NAMESPACE, BUDGET, version(&budget.metadata), seconds));
        }
        Change::Pod(pod) => drop(world.see_pod(record(pod))),
        Change::PodGone(pod) => {
            let last = record(pod);
            world.note_gone(&last, true);
            drop(world.pods.delete(NAMESPACE, &last.name, last.version, seconds));
        }
        Change::Deployment(deployment) => {
            let view: DeploymentView = serde_json::from_value(deployment.clone()).expect("a Deployment");
            see_workload(world, &view);
        }
        Change::ReplicaSet(set) => {
            let view: ReplicaSetView = serde_json::from_value(set.clone()).expect("a ReplicaSet");
            see_workload(world, &view);
        }
    }
}

fn see_workload<V: WorkloadView>(world: &mut World, view: &V) {
    drop(world.workloads.of_kind(V::KIND).apply(view.record().expect("a record")));
}

fn record(pod: &Value) -> PodRecord {
    PodRecord::read(&view(pod)).expect("a record")
}

/// The number of writes of one look.
pub(crate) fn writes(term: &mut Term) -> usize {
    let before = term.door.writes();
    term.look();
    term.door.writes() - before
}
