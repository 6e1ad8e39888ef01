//! What was observed: turns the API server's events into records of the world and the budgets that they concern.
//!
//! In: events, of watches or of lists. Out: a world that follows the cluster. It decides nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::api::BudgetKey;
use crate::api::DbConnectionBudget;
use crate::cluster::autoscaler::{AutoscalerRecord, AutoscalerView};
use crate::cluster::guarded::{Guarded, Unreadable};
use crate::cluster::pod::{PodRecord, PodView, version};
use crate::cluster::workload::{WorkloadRecord, WorkloadView};
use crate::cluster::world::{Index, Record, World};

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

    /// Takes in one event of a watch. Returns the budgets that it concerns. `now` is in seconds.
    pub fn take<K: Watched>(&self, event: Event<K>, now: u64) -> BTreeSet<BudgetKey> {
        let mut world = self.world();
        let mut unreadable_ones = Vec::new();
        let touched = match event {
            Event::Apply(object) | Event::InitApply(object) => {
                if let Some(unreadable) = object.unreadable() {
                    let key = key_of(&object);
                    K::index(&mut world).mark_unreadable(&key, unreadable);
                    unreadable_ones.extend(K::concerned_when_unreadable(key));
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
        touched.iter().flat_map(|record| K::concerns(&world, record)).chain(unreadable_ones).collect()
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
    /// Takes in a record. Returns it and the one that it replaced, or nothing if nothing is new.
    fn take_in(world: &mut World, record: Self::Record) -> Vec<Arc<Self::Record>> {
        Self::index(world).apply(record)
    }
    /// The budgets that a record is about.
    fn concerns(world: &World, record: &Self::Record) -> BTreeSet<BudgetKey>;
    /// Notes what else follows when a record's object is gone. `last` is the state in which it was last seen;
    /// `is_final` says whether that was its last state.
    fn gone(_: &mut World, _: &Self::Record, _is_final: bool) {}
    /// What is wrong with it, when it cannot be read.
    fn unreadable(&self) -> Option<&Unreadable> {
        None
    }
    /// The record of an object that cannot be read; without one its last record stays.
    fn record_of_unreadable(_: &Unreadable) -> Option<Self::Record> {
        None
    }
    /// The budget that has to know that the object of this name cannot be read.
    fn concerned_when_unreadable(_: BudgetKey) -> Option<BudgetKey> {
        None
    }
}

impl<K: Watched> Watched for Guarded<K> {
    type Record = K::Record;

    fn read(&self) -> Option<K::Record> {
        match self {
            Self::Read(object) => object.read(),
            Self::Unreadable(object) => K::record_of_unreadable(object),
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
    fn unreadable(&self) -> Option<&Unreadable> {
        match self {
            Self::Read(_) => None,
            Self::Unreadable(object) => Some(object),
        }
    }
    fn concerned_when_unreadable(key: BudgetKey) -> Option<BudgetKey> {
        K::concerned_when_unreadable(key)
    }
}

impl Watched for DbConnectionBudget {
    type Record = Self;

    fn read(&self) -> Option<Self> {
        Some(self.clone().slim())
    }
    fn index(world: &mut World) -> &mut Index<Self> {
        &mut world.budgets
    }
    fn concerns(_: &World, budget: &Self) -> BTreeSet<BudgetKey> {
        BTreeSet::from([key_of(budget)])
    }
    fn concerned_when_unreadable(key: BudgetKey) -> Option<BudgetKey> {
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
    fn record_of_unreadable(unreadable: &Unreadable) -> Option<PodRecord> {
        PodRecord::unreadable(unreadable)
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
        let named = record.template.budget.iter().chain(&record.label);
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

/// Namespace and name of an object.
pub(super) fn key_of<K: Resource>(object: &K) -> BudgetKey {
    BudgetKey::new(&object.namespace().unwrap_or_default(), &object.name_any())
}
