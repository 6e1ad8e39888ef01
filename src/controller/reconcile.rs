//! One look at one budget: take over → observe and decide → grant → make room → report.
//!
//! In: the key of a budget. Out: grants, at most one pod ended, a status that reports the result, and when to look
//! again. `budget` has the arithmetic, `cluster` reads the objects; here is the order of the steps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as AsyncMutex;

use super::context::Context;
use super::dispatch::Next;
use super::gateway::{Gateway, GatewayError};
use super::memory::{Hindrances, Memory};
use super::view::View;
use super::{events, evict, grant, numbers, promise, quarantine, retire, status, takeover, whereabouts};
use crate::api::BudgetKey;
use crate::api::{DbConnectionBudget, DbConnectionBudgetStatus, NodeStatus, Quarantined, names};
use crate::budget::grant::Refusal;
use crate::budget::ledger::Hold;
use crate::cluster::guarded::Unreadable;
use crate::cluster::pod::PodRecord;

/// While a pod waits, time alone can change the decision: look again this often.
const TICK: Duration = Duration::from_secs(5);
/// While tasks are arriving, look again every second.
const SECOND: Duration = Duration::from_secs(1);
/// Statuses that record no grant are gathered for this long.
const GATHER: SignedDuration = SignedDuration::from_millis(500);
/// A status that differs only in what the pods use is written this often at most.
const USE: SignedDuration = SignedDuration::from_secs(60);
/// The time to a look without any cause, in case an event got lost.
const PATROL: Duration = Duration::from_secs(300);

/// Reconciles one budget after another.
pub struct Reconciler<G> {
    /// What its stages work with.
    pub context: Context<G>,
    memories: Mutex<HashMap<BudgetKey, Arc<AsyncMutex<Memory>>>>,
}

impl<G: Gateway> Reconciler<G> {
    /// A reconciler that remembers nothing yet.
    #[must_use]
    pub fn new(context: Context<G>) -> Self {
        Self { context, memories: Mutex::default() }
    }

    /// Reconciles a budget, and turns failures into a later try.
    pub async fn reconcile(&self, key: BudgetKey) -> Next {
        let began = (self.context.steady)();
        let (outcome, next) = match self.step(&key).await {
            Ok(next) => ("done", next),
            Err(error @ (GatewayError::Outdated { .. } | GatewayError::NotLeader { .. })) => {
                tracing::debug!(budget = %key, %error, "looking again");
                ("again", Next::Backoff)
            }
            Err(error) => {
                tracing::warn!(budget = %key, %error, "looking again");
                ("failed", Next::Backoff)
            }
        };
        let took = (self.context.steady)().saturating_sub(began);
        self.context.metrics.reconciled(outcome, took);
        next
    }

    async fn step(&self, key: &BudgetKey) -> Result<Next, GatewayError> {
        let memory = self.memory(key);
        let mut memory = memory.lock().await;
        let (seen, unreadable) = {
            let world = self.context.observed.world();
            let (namespace, name) = (&key.namespace, &key.name);
            (world.budgets.find(namespace, name), world.budgets.unreadable(namespace, name).cloned())
        };
        let Some(seen) = seen.filter(|_| unreadable.is_none()) else {
            return Ok(self.absent(key, unreadable.as_ref(), &mut memory).await);
        };
        if !takeover::take_over(&self.context, key, &seen, &mut memory).await? {
            return Ok(self.absent(key, None, &mut memory).await);
        }
        let now = (self.context.clock)();
        let Some(held) = memory.held.clone() else { return Ok(Next::Backoff) };
        quarantine::ask(&self.context, &mut memory.quarantine, self.context.moment()).await;
        let (view, status) = self.view(key, &held, &mut memory, now);
        self.context.arrivals.note(&view.scene.pods);

        let mut grants = grant::unseen(&view, &status.ledger.grants);
        let fresh = grant::batch(&view, held.spec.sizing.overflow_ratio);
        grants.extend(fresh.iter().cloned());
        let refused = self.context.refusals.first(key);
        let hindrances = Hindrances { refused: refused.as_ref(), quarantine: Some(&memory.quarantine) };
        let mut new = status::assemble(&view, &held, &status, grants.clone(), hindrances, now);
        let unnamed = status::leave_out(&mut new);
        debug_assert_eq!(promise::fault(&view, &status, &new, &fresh), None);
        let may_wait = fresh.is_empty() && !quarantines_more(&held, &new) && !comes_down(&held, &new);
        let numbers = numbers::of(&view, &held, &new);
        // Also if the status is refused: then these numbers are all there is.
        self.context.metrics.budget(key, numbers);
        let nodes = || whereabouts::nodes(&view);
        let wait = self.write(&mut memory, new, nodes, may_wait, now).await?;
        memory.unnamed = unnamed;
        let sent = grant::send(&self.context, key, &view, &grants).await;

        // A pod that cannot be patched does not keep room or events from the others.
        let acted = evict::reclaim(&self.context, key, &view, now).await;
        let retired = retire::step(&self.context, key, &view, &mut memory, now).await;
        events::tell_pods(&self.context, &view, &mut memory).await;
        events::tell_forgotten(&self.context, &held, &mut memory).await;
        // The failure of one step did not stop the others.
        sent?;
        let ended = acted?;
        let retired = retired?;
        let next = next_look(&view, wait, !grants.is_empty() || ended || retired);
        Ok(sooner(next, memory.quarantine.next((self.context.steady)())))
    }

    /// The budget as it is now: the decision, and the status with what vanished and expired since.
    fn view(
        &self,
        key: &BudgetKey,
        held: &DbConnectionBudget,
        memory: &mut Memory,
        now: Timestamp,
    ) -> (View, DbConnectionBudgetStatus) {
        let mut world = self.context.observed.world();
        let departures = world.take_departures(key);
        let pods = world.pods.group(&key.namespace, &key.name);
        let doubtful =
            pods.iter().map(AsRef::as_ref).filter(|pod| pod.doubtful && pod.hold() != Hold::Waiting);
        let doubtful: Vec<&PodRecord> = doubtful.collect();
        memory.quarantine.keep(&departures, &doubtful, held.spec.linger_seconds, self.context.moment());
        let named = held.metadata.annotations.as_ref().and_then(|notes| notes.get(names::FORGET));
        let forgotten = memory.quarantine.forget(named.map_or("", String::as_str));
        memory.forgotten.extend(forgotten);
        let status = memory.carried();
        (
            View::of(world, key, &held.spec, held.metadata.generation, &status, self.context.decide, now),
            status,
        )
    }

    /// Writes the status if it changed. A status that records nothing for a successor may wait, so that several changes
    /// make one write; returns how long it should wait.
    async fn write(
        &self,
        memory: &mut Memory,
        mut status: DbConnectionBudgetStatus,
        nodes: impl FnOnce() -> Vec<NodeStatus> + Send,
        may_wait: bool,
        now: Timestamp,
    ) -> Result<Option<Duration>, GatewayError> {
        let Some(held) = memory.held.clone() else { return Ok(None) };
        if held.status.as_ref() == Some(&status) {
            return Ok(None);
        }
        let since = memory.written.map_or(USE, |written| now.duration_since(written));
        if since < USE
            && held.status.clone().map(status::without_use) == Some(status::without_use(status.clone()))
        {
            return Ok(None);
        }
        if may_wait && since < GATHER && since >= SignedDuration::ZERO {
            return Ok(Some((GATHER - since).unsigned_abs()));
        }
        // That pods are on nodes by now is no reason to write: what is on no node in the status is on one that is not known.
        status.ledger.nodes = nodes();
        let budget = DbConnectionBudget {
            metadata: held.metadata.clone(),
            spec: held.spec.clone(),
            status: Some(status),
        };
        let written = match self.context.gateway.replace_status(&budget).await {
            Ok(written) => written,
            Err(GatewayError::Refused { what, why }) => {
                self.context.metrics.status_refused();
                self.stand_still(&held, &why, memory, now).await?;
                return Err(GatewayError::Refused { what, why });
            }
            Err(error) => {
                self.refresh_budget(&held).await?;
                return Err(error);
            }
        };
        memory.unwritable = None;
        self.context.metrics.status_written();
        self.context.observed.world().budgets.apply(written.clone());
        memory.written = Some(now);
        let written = Arc::new(written);
        memory.held = Some(Arc::clone(&written));
        let old = held.status.as_ref().map_or(&[][..], |status| &status.conditions);
        events::tell_budget(&self.context, &written, old).await;
        Ok(None)
    }

    /// Reports that a status cannot be written and why, in the previous status if the server takes that: without a new
    /// one nothing is granted.
    async fn stand_still(
        &self,
        held: &DbConnectionBudget,
        why: &str,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(), GatewayError> {
        if memory.unwritable.as_deref() == Some(why) {
            return Ok(());
        }
        memory.unwritable = Some(why.to_owned());
        let said = status::standing_still(held, why, now);
        events::tell_budget(
            &self.context,
            &said,
            held.status.as_ref().map_or(&[], |status| &status.conditions),
        )
        .await;
        tracing::error!(
            budget = held.metadata.name,
            namespace = held.metadata.namespace,
            why,
            "status refused, nothing is granted"
        );
        match self.context.gateway.replace_status(&said).await {
            Ok(written) => {
                self.context.observed.world().budgets.apply(written.clone());
                memory.held = Some(Arc::new(written));
                Ok(())
            }
            // Refused too: the event and the log have reported it.
            Err(GatewayError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Handles a key whose budget is missing or cannot be read. What is granted stays as it is.
    async fn absent(&self, key: &BudgetKey, unreadable: Option<&Unreadable>, memory: &mut Memory) -> Next {
        let departures = self.context.observed.world().take_departures(key);
        self.context.refusals.forget_all(key);
        // Only a budget says how long connections linger, and there is none to ask.
        memory.quarantine.keep(&departures, &[], 0, self.context.moment());
        memory.let_go();
        self.context.metrics.forget(key);
        events::report_unreadable_budget(&self.context, key, unreadable, memory).await;
        let stranded = events::tell_stranded(&self.context, key, unreadable, memory).await;
        if stranded.untold {
            return Next::After(TICK);
        }
        if unreadable.is_none() && stranded.waiting == 0 && memory.quarantine.is_empty() {
            self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
        Next::OnRequest
    }

    fn memory(&self, key: &BudgetKey) -> Arc<AsyncMutex<Memory>> {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memories.entry(key.clone()).or_default())
    }

    /// Reads a budget again if its status could not be written.
    async fn refresh_budget(&self, held: &DbConnectionBudget) -> Result<(), GatewayError> {
        let (namespace, name) = (held.metadata.namespace.as_deref(), held.metadata.name.as_deref());
        let key = BudgetKey::new(namespace.unwrap_or_default(), name.unwrap_or_default());
        if let Some(fresh) = self.context.gateway.budget(&key).await? {
            self.context.observed.world().budgets.apply(fresh);
        }
        Ok(())
    }
}

/// Whether a status has more in quarantine than the one before.
fn quarantines_more(held: &DbConnectionBudget, new: &DbConnectionBudgetStatus) -> bool {
    let old = held.status.as_ref().map_or(&[][..], |status| &status.ledger.quarantine);
    let known = |entry: &Quarantined| {
        old.iter().any(|before| before.uid == entry.uid && before.connections >= entry.connections)
    };
    new.ledger.quarantine.iter().any(|entry| !known(entry))
}

/// The earlier of two looks; `due` counts as at least `GATHER`.
fn sooner(next: Next, due: Option<Duration>) -> Next {
    match (next, due) {
        (Next::After(delay), Some(due)) => Next::After(delay.min(due.max(GATHER.unsigned_abs()))),
        _ => next,
    }
}

/// Whether a status has a new high-water mark, from which the sum comes down. A successor must know it.
fn comes_down(held: &DbConnectionBudget, new: &DbConnectionBudgetStatus) -> bool {
    let (new, old) = (new.ledger.high_water, held.status.as_ref().and_then(|old| old.ledger.high_water));
    new.is_some() && old != new
}

fn next_look(view: &View, wait: Option<Duration>, acted: bool) -> Next {
    let gather = GATHER.unsigned_abs();
    // A pod that does not become Ready causes no watch event; after a while that matters.
    let unproven = view.scene.situation.pods.iter().any(|pod| pod.admitted() && !pod.ready);
    let restless = unproven
        || !view.decision.grants.refused.is_empty()
        || !view.scene.situation.quarantine.is_empty()
        || !view.decision.reclaim.candidates.is_empty()
        || view.decision.reclaim.missing.is_some();
    let patrol = if restless { TICK } else { PATROL };
    let soon = if acted { gather } else { patrol };
    let burst = view.decision.grants.refused.iter().any(|(_, refusal)| *refusal == Refusal::Burst);
    let soon = if burst { soon.min(SECOND) } else { soon };
    Next::After(wait.unwrap_or(patrol).min(soon))
}
