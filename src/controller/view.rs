//! One look at one budget: what its spec asks for, what it governs, what is to be done.
//!
//! In: the world, a budget's spec and status, the time. Out: a [`View`]. The leader acts on it; a command that
//! explains makes the same one and only reads it. Forbidden here: writing, remembering, reading a clock.

use std::ops::Deref;

use k8s_openapi::jiff::Timestamp;

use crate::api::BudgetKey;
use crate::api::{DbConnectionBudgetSpec, DbConnectionBudgetStatus, Mode};
use crate::budget::amount::{Connections, Pods};
use crate::budget::assessment::Assessment;
use crate::budget::decide::{Decision, Enforcement, Situation, Workload};
use crate::budget::ledger::Hold;
use crate::budget::limit::Limit;
use crate::budget::reclaim::Reclaim;
use crate::cluster::reading::{LimitRecord, Source, Use};
use crate::cluster::scene::{Scene, Terms, WorkloadFacts, scene};
use crate::cluster::spec::{self, SpecError};
use crate::cluster::world::World;

/// The most grants that one write of the status records.
pub const BATCH: usize = 200;

/// The most grants in flight that a status names: each may take 700 bytes, and etcd takes one and a half megabytes in
/// all.
pub const IN_FLIGHT: usize = 500;

/// What was seen and decided in one look.
#[derive(Clone, Debug)]
pub struct View {
    /// The budget's key.
    pub key: BudgetKey,
    /// The mode that is in force.
    pub mode: Mode,
    /// Its limit.
    pub limit: Option<Limit>,
    /// Where its limit is read; none if it is stated.
    pub reads: Option<Source>,
    /// What was read of its limit by this process, where the spec says where to read it.
    pub reading: Option<LimitRecord>,
    /// Why it gives no sizes at all.
    pub refusal: Option<String>,
    /// Whether that is only because its limit was not read yet.
    pub unread: bool,
    /// What it governs.
    pub scene: Scene,
    /// What is to be done.
    pub decision: Decision,
    /// Pods that get their grant with one of the next writes.
    pub later: usize,
    /// max_overflow for each connection of pool_size.
    pub overflow_ratio: u32,
}

impl View {
    /// Looks at the spec of this `generation`, with the `status` that is carried on. Drops the world before it calls
    /// `decide`.
    #[must_use]
    pub fn of(
        world: impl Deref<Target = World>,
        key: &BudgetKey,
        spec: &DbConnectionBudgetSpec,
        generation: Option<i64>,
        status: &DbConnectionBudgetStatus,
        decide: fn(&Situation) -> Decision,
        now: Timestamp,
    ) -> Self {
        let source = Source::of(spec);
        let asked = source.as_ref().map(|(source, _)| source);
        let reading = world.limit(key).filter(|record| Some(&record.source) == asked).cloned();
        let reads = source.filter(|(_, used)| *used == Use::Limit).map(|(source, _)| source);
        let limit = spec::limit(spec, status.limit.as_ref(), reading.as_ref());
        let unusable = limit.as_ref().ok().and_then(|limit| spec::leaves_something(spec, limit).err());
        let refusal = limit.as_ref().err().or(unusable.as_ref()).map(ToString::to_string);
        let unread = matches!(limit, Err(SpecError::NotRead { .. }));
        let available = limit.as_ref().map_or(Connections::ZERO, |limit| {
            limit.connections.minus(Connections::new(u64::from(spec.reserved)))
        });
        let available = if refusal.is_some() { Connections::ZERO } else { available };
        // The limit also changes when the database does, or a table of this program.
        let before = status.limit.as_ref().map(|limit| limit.connections);
        let lowered =
            limit.as_ref().is_ok_and(|limit| before.is_some_and(|before| limit.connections.wide() < before));
        let edited = lowered || generation.is_some() && status.observed_generation != generation;
        let mode = spec.mode;
        let enforcement = match mode {
            Mode::Observe => Enforcement::Observed,
            Mode::Gate if refusal.is_some() => Enforcement::Suspended,
            Mode::Gate => Enforcement::Enforced,
        };
        let scene = scene(&world, key, spec, status, Terms { available, enforcement, edited }, now);
        drop(world);
        let mut decision = decide(&scene.situation);
        let later = keep_a_batch(&scene.situation, &mut decision);
        // Nothing new is granted beyond it, but one reading ends no pod: it may come from another server than meant.
        if reads.is_some() && reading.as_ref().is_some_and(LimitRecord::fell_once) {
            decision.reclaim = Reclaim::default();
        }
        let overflow_ratio = spec.sizing.overflow_ratio;
        // What was read stays known although nothing is left of it: a higher number counts when it was read twice.
        let (key, limit) = (key.clone(), limit.ok().filter(|_| unusable.is_none() || reads.is_some()));
        Self { key, mode, limit, reads, reading, refusal, unread, scene, decision, later, overflow_ratio }
    }
}

/// One workload of a view: what it is, what it wants, and what was found of it.
#[derive(Clone, Copy, Debug)]
pub struct Assessed<'a> {
    /// Its place among the workloads of the view.
    pub index: usize,
    /// What the core does not need of it.
    pub facts: &'a WorkloadFacts,
    /// What it wants.
    pub of: &'a Workload,
    /// What its pods hold, and what they are entitled to.
    pub assessment: &'a Assessment,
}

impl Assessed<'_> {
    /// Replicas that it wants, including those that another gate holds.
    #[must_use]
    pub fn desired(&self) -> Pods {
        self.of.demand.replicas.plus(self.facts.held)
    }

    /// Its running pods without a grant.
    #[must_use]
    pub fn foreign(&self) -> Pods {
        self.of.unadopted.pods.plus(self.assessment.standing.escaped)
    }

    /// The connections that those may hold.
    #[must_use]
    pub fn foreign_bills(&self) -> Connections {
        self.of.unadopted.connections.plus(self.assessment.standing.escaped_bills)
    }
}

impl View {
    /// All workloads, assessed.
    pub fn workloads(&self) -> impl Iterator<Item = Assessed<'_>> {
        (0..self.scene.workloads.len()).filter_map(|index| self.workload(index))
    }

    /// The workload at a place. The scene and the decision have them in the same order.
    #[must_use]
    pub fn workload(&self, index: usize) -> Option<Assessed<'_>> {
        Some(Assessed {
            index,
            facts: self.scene.workloads.get(index)?,
            of: self.scene.situation.workloads.get(index)?,
            assessment: self.decision.workloads.get(index)?,
        })
    }

    /// The workload of a pod, if it is known.
    #[must_use]
    pub fn workload_of(&self, pod: usize) -> Option<Assessed<'_>> {
        self.workload(self.scene.situation.pods.get(pod)?.workload?)
    }
}

/// Keeps as many grants as one status can name. The first ones fit without the others, which come with the next writes.
/// Returns how many come later.
fn keep_a_batch(situation: &Situation, decision: &mut Decision) -> usize {
    let in_flight = situation.pods.iter().filter(|pod| matches!(pod.hold, Hold::InFlight(_))).count();
    let batch = BATCH.min(IN_FLIGHT.saturating_sub(in_flight));
    let granted = &mut decision.grants.granted;
    let later = granted.len().saturating_sub(batch);
    granted.truncate(batch);
    later
}
