//! Leader election on a Lease, with the timing rules of client-go.
//!
//! In: the Lease as the API server has it, local time. Out: [`Leadership`], which ends by itself when the Lease was
//! not renewed in time. Another holder's Lease is judged by how long it was *seen* unchanged, never by its clock.
//! Exactness does not depend on the Lease but on the epoch in each budget's status; the Lease keeps two leaders from
//! fighting.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long another replica waits after the last renewal that it saw.
const DURATION: Duration = Duration::from_secs(15);
/// How long after the last renewal this process still acts as leader; shorter than `DURATION`.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between attempts.
const RETRY: Duration = Duration::from_secs(2);
/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How long a Lease stays taken that [`Elector::hold`] took to end all leading. Longer than it takes to remove the
/// replicas that compete for it; short enough not to bother anybody who installs again.
const HELD: Duration = Duration::from_secs(30);

/// Whether this process leads, as of now.
#[derive(Clone, Debug, Default)]
pub struct Leadership {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Leadership {
    /// Whether the Lease was renewed recently enough to act on it.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// A leadership that never ends, for a process that needs none.
    #[must_use]
    pub fn unconditional() -> Self {
        let leadership = Self::default();
        leadership.set(Some(Instant::now() + Duration::from_secs(86_400 * 365)));
        leadership
    }
}

/// Holder and renewal time of a Lease, as last seen, and when that was first seen.
struct Seen {
    record: (Option<String>, Option<MicroTime>),
    at: Instant,
}

/// Who had a Lease before it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// This process, or an earlier one with the same task and name.
    Same,
    /// Another one, or nobody.
    Other,
}

/// Competes for the Lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    seen: Option<Seen>,
}

impl Elector {
    /// An elector for the Lease `name`, known to others as `identity`.
    #[must_use]
    pub fn new(api: Api<Lease>, name: &str, identity: &str) -> Self {
        Self { api, name: name.into(), identity: identity.into(), duration: DURATION, seen: None }
    }

    /// Competes until `stop`, then releases the Lease. `state` says whether this process leads; `reached` whether the
    /// API server has shown the Lease yet.
    pub async fn run(
        mut self,
        leadership: Leadership,
        state: watch::Sender<bool>,
        reached: watch::Sender<bool>,
        stop: CancellationToken,
    ) {
        loop {
            let started = Instant::now();
            match tokio::time::timeout(ATTEMPT, self.attempt()).await {
                Ok(Ok(true)) => leadership.set(Some(started + RENEW_DEADLINE)),
                Ok(Ok(false)) => leadership.set(None),
                Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "lease attempt failed"),
                Err(_) => tracing::warn!(lease = self.name, "lease attempt timed out"),
            }
            reached.send_if_modified(|v| replace(v, self.seen.is_some()));
            state.send_if_modified(|v| replace(v, leadership.holds()));
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stop.cancelled() => break,
            }
        }
        leadership.set(None);
        state.send_replace(false);
        match tokio::time::timeout(ATTEMPT, self.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "lease not given up; it expires by itself"),
            Err(_) => tracing::warn!("lease not given up in time; it expires by itself"),
        }
    }

    /// One attempt: true when the Lease is ours as of the start of this call.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return self.create().await;
        };
        let spec = lease.spec.get_or_insert_default();
        let record = (spec.holder_identity.clone(), spec.renew_time.clone());
        if self.seen.as_ref().is_none_or(|seen| seen.record != record) {
            self.seen = Some(Seen { record, at: Instant::now() });
        }
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let mine = holder == self.identity;
        let lifetime = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0).max(1);
        let expired =
            self.seen.as_ref().is_some_and(|seen| seen.at.elapsed() > Duration::from_secs(lifetime));
        if !(mine || holder.is_empty() || expired) {
            return Ok(false);
        }
        self.claim(spec, mine);
        self.replace(&lease).await
    }

    fn claim(&self, spec: &mut LeaseSpec, mine: bool) {
        let now = MicroTime(Timestamp::now());
        if !mine {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        spec.renew_time = Some(now);
    }

    /// Takes the Lease from any holder and keeps it until this future is dropped; then it expires by itself.
    /// `leadership` holds once the former leader must have stopped, even by its own clock, with the same margin as at
    /// any change of leaders.
    pub async fn hold(mut self, leadership: Leadership) {
        self.duration = HELD;
        let mut since: Option<Instant> = None;
        loop {
            let started = Instant::now();
            match tokio::time::timeout(ATTEMPT, self.seize()).await {
                Ok(Ok(Some(before))) => {
                    // The former holder may lead until it looks again.
                    let kept = since.filter(|_| before == Holder::Same);
                    let begun = *since.insert(kept.unwrap_or_else(Instant::now));
                    let alone = begun.elapsed() >= DURATION;
                    leadership.set(alone.then(|| started + RENEW_DEADLINE));
                }
                Ok(Ok(None)) => {
                    tracing::info!(lease = self.name, "somebody else wrote the Lease; trying again");
                }
                Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "the Lease is not taken"),
                Err(_) => tracing::warn!(lease = self.name, "the Lease is not taken in time"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes the Lease from any holder and says who had it; none when somebody wrote it meanwhile.
    async fn seize(&self) -> Result<Option<Holder>, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(self.create().await?.then_some(Holder::Other));
        };
        let spec = lease.spec.get_or_insert_default();
        let mine = spec.holder_identity.as_deref() == Some(self.identity.as_str());
        self.claim(spec, mine);
        let before = if mine { Holder::Same } else { Holder::Other };
        Ok(self.replace(&lease).await?.then_some(before))
    }

    /// False when somebody wrote it meanwhile.
    async fn replace(&self, lease: &Lease) -> Result<bool, kube::Error> {
        match self.api.replace(&self.name, &PostParams::default(), lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn create(&self) -> Result<bool, kube::Error> {
        let mut spec = LeaseSpec { lease_transitions: Some(0), ..LeaseSpec::default() };
        self.claim(&mut spec, false);
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        match self.api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return Ok(());
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        self.api.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
    }
}

fn replace(value: &mut bool, new: bool) -> bool {
    std::mem::replace(value, new) != new
}
