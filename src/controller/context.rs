//! What every stage of a reconcile works with: the gateway to the API server, what the watches have seen, the clocks.
//!
//! In: a gateway, the observed objects. Out: the same for each stage, and two ways to see a pod again. It does not make
//! one stage depend on another. Forbidden here: deciding, remembering anything about one budget.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use super::gateway::{Gateway, GatewayError};
use super::observe::Observed;
use super::refused::Refusals;
use super::roll_call::RollCall;
use crate::budget::decide::{Decision, Situation, decide};
use crate::cluster::pod::{PodRecord, PodView};
use crate::telemetry::metrics::Metrics;

/// The parts that the stages share.
pub struct Context<G> {
    /// The gateway to the API server.
    pub gateway: G,
    /// What the watches have seen.
    pub observed: Observed,
    /// The evictions that were refused last.
    pub refusals: Refusals,
    /// Metrics.
    pub metrics: Metrics,
    /// When gated pods were first seen.
    pub arrivals: Arrivals,
    /// All nodes, as they were listed last.
    pub roll_call: RollCall,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// The time since some fixed instant, by a clock that never jumps.
    pub steady: fn() -> Duration,
    /// The function that decides: [`decide`], unless a simulation leaves a rule out.
    pub decide: fn(&Situation) -> Decision,
}

/// An instant, by both clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The date. It may jump, and differ from that of other processes.
    pub wall: Timestamp,
    /// The time since some fixed instant of this process. It never jumps.
    pub steady: Duration,
}

/// When gated pods were first seen, for the latency of grants.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<HashMap<String, Instant>>);

impl Arrivals {
    /// Notes arrivals. A pod arrives when no other scheduling gate holds it.
    pub fn note(&self, pods: &[Arc<PodRecord>]) {
        let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for pod in pods.iter().filter(|pod| pod.gated && pod.other_gates.is_none()) {
            arrivals.entry(pod.uid.clone()).or_insert_with(Instant::now);
        }
    }

    /// How long ago a pod was first seen. Forgets the pod.
    pub fn taken(&self, uid: &str) -> Option<Duration> {
        let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.remove(uid).map(|arrived| arrived.elapsed())
    }

    fn keep(&self, alive: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| alive(uid));
    }
}

fn steady() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

impl<G: Gateway> Context<G> {
    /// A context in which nothing was seen yet.
    #[must_use]
    pub fn new(gateway: G, observed: Observed, metrics: Metrics, clock: fn() -> Timestamp) -> Self {
        let (refusals, arrivals) = (Refusals::default(), Arrivals::default());
        let roll_call = RollCall::default();
        Self { gateway, observed, refusals, metrics, arrivals, roll_call, clock, steady, decide }
    }

    /// Now, by both clocks.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { wall: (self.clock)(), steady: (self.steady)() }
    }

    /// Takes the answer of a write into the world, without waiting for the watch.
    pub fn see_pod(&self, pod: &PodView) {
        if let Some(record) = PodRecord::read(pod) {
            self.observed.world().see_pod(record);
        }
    }

    /// Reads a pod again that was not as last seen. None when it is gone: it counts until the watch reports that,
    /// because only its last state says whether its containers had ended.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn refresh_pod(&self, pod: &PodRecord) -> Result<Option<PodRecord>, GatewayError> {
        let fresh = self.gateway.pod(&pod.namespace, &pod.name).await?;
        let fresh = fresh.as_ref().and_then(PodRecord::read).filter(|fresh| fresh.uid == pod.uid);
        if let Some(fresh) = &fresh {
            self.observed.world().see_pod(fresh.clone());
        }
        Ok(fresh)
    }

    /// Forgets pods that are gone.
    pub fn tidy(&self) {
        let mut world = self.observed.world();
        world.tidy_evidence();
        let alive: HashSet<String> =
            world.pods.iter().filter(|pod| pod.gated).map(|pod| pod.uid.clone()).collect();
        drop(world);
        self.arrivals.keep(|uid| alive.contains(uid));
    }
}
