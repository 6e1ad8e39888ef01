//! Where the limit of a budget can be read, and what was read of it so far.
//!
//! In: specs, and what a database or its vendor answers. Out: a [`Source`], and a [`LimitRecord`] of the last answers: what
//! they say of the limit, and of the connections that are open, told apart by pods. Forbidden here: asking, writing.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::pod::PodRecord;
use super::spec;
use crate::api::{DbConnectionBudgetSpec, LimitStatus, SecretKeyRef, VerifyPostgres, VerifySupabase};
use crate::budget::amount::Connections;
use crate::budget::supabase::Connection;
use crate::database::{Activity, Allowed, Doubt, Group, Reading};

/// The most clients that are kept of those that are not known to be pods.
const CLIENTS: usize = 10;
/// PostgreSQL keeps this many bytes of an `application_name`.
const NAME: usize = 63;
/// What a pod holds beyond its grant counts if it is seen twice in this time at least: connections of a container that
/// restarted, or of a lost node, are still there for a while.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// Where a limit can be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A PostgreSQL server, or the console of PgBouncer.
    Postgres {
        /// The Secret with its connection string.
        secret: SecretKeyRef,
        /// The Secret with the authorities of its certificate.
        ca: Option<SecretKeyRef>,
    },
    /// The Management API of Supabase.
    Supabase {
        /// The project's reference.
        project: String,
        /// The Secret with the access token.
        token: SecretKeyRef,
        /// The Secret with a key of the project, which opens its metrics.
        key: Option<SecretKeyRef>,
        /// How the workloads connect.
        connection: Connection,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { secret, .. } => write!(f, "Secret/{}:{}", secret.name, secret.key),
            Self::Supabase { project, connection, .. } => {
                write!(f, "Supabase project {project}, {connection}")
            }
        }
    }
}

/// What is done with what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is the limit.
    Limit,
    /// The limit is stated, and compared with it.
    Comparison,
}

impl Source {
    /// Where the limit of a budget can be read, and what for; none if the spec names no place.
    #[must_use]
    pub fn of(spec: &DbConnectionBudgetSpec) -> Option<(Self, Use)> {
        let limit = &spec.limit;
        let of_server = limit.postgres.as_ref().and_then(|postgres| {
            let secret = postgres.secret_ref.clone()?;
            Some(Self::Postgres { secret, ca: postgres.ca_secret_ref.clone() })
        });
        let of_project = limit.supabase.as_ref().and_then(|supabase| {
            let project = supabase.project.clone()?;
            Some(Self::supabase(&VerifySupabase { project, connection: supabase.connection }))
        });
        if let Some(source) = of_server.or(of_project) {
            return Some((source, Use::Limit));
        }
        let verify = limit.verify.as_ref()?;
        let compared = verify.postgres.as_ref().map(Self::postgres);
        let compared = compared.or_else(|| verify.supabase.as_ref().map(Self::supabase))?;
        Some((compared, Use::Comparison))
    }

    fn postgres(of: &VerifyPostgres) -> Self {
        Self::Postgres { secret: of.secret_ref.clone(), ca: of.ca_secret_ref.clone() }
    }

    fn supabase(of: &VerifySupabase) -> Self {
        Self::Supabase {
            project: of.project.reference.clone(),
            token: of.project.token_secret_ref.clone(),
            key: of.project.metrics_secret_ref.clone(),
            connection: spec::connection(of.connection),
        }
    }

    /// Connections that reading takes of the limit itself.
    #[must_use]
    pub const fn takes(&self) -> Connections {
        match self {
            Self::Postgres { .. } => Connections::ONE,
            Self::Supabase { .. } => Connections::ZERO,
        }
    }
}

/// What was read from one source, the newest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRecord {
    /// Where.
    pub source: Source,
    /// The newest limit that was read, and when.
    pub newest: Option<(Allowed, Timestamp)>,
    /// The limit that was read before.
    pub before: Option<Allowed>,
    /// How often this process has read it.
    pub readings: u64,
    /// Why the last attempt gave nothing.
    pub doubt: Option<Doubt>,
    /// The connections that are open.
    pub open: Option<Open>,
    /// Why it was not read which are open, although somebody asked.
    pub unseen: Option<Doubt>,
}

/// The connections that are open, told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// All of them.
    pub all: u64,
    /// Those in a query or a transaction.
    pub busy: Option<u64>,
    /// Those of each pod of the budget that is told apart, by uid.
    pub pods: HashMap<String, u64>,
    /// What each of these pods holds for certain. A pod has one address: of connections that bear its name and come from
    /// several, only those of its own address count, or else those of the address with the most.
    pub held: HashMap<String, u64>,
    /// Pods that were told apart in this reading or an earlier one, by uid.
    pub told: HashSet<String>,
    /// The largest of the other clients.
    pub clients: Vec<Group>,
    /// When this was read.
    pub at: Timestamp,
}

impl Open {
    /// Connections that are not known to be of a pod of the budget.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.all.saturating_sub(self.pods.values().sum())
    }
}

impl LimitRecord {
    /// Nothing was read yet by this process. What a former one read from there is in the status.
    #[must_use]
    pub fn new(source: Source, status: Option<&LimitStatus>) -> Self {
        let name = source.to_string();
        let former = status.filter(|status| status.read_from.as_ref() == Some(&name));
        let former = former.and_then(|status| {
            let connections = u32::try_from(status.connections).ok()?;
            let takes = u32::try_from(source.takes().get()).ok()?;
            let allowed =
                Allowed { connections: connections.checked_add(takes)?, source: status.source.clone() };
            Some((allowed, status.read_at.as_ref()?.0))
        });
        Self { source, newest: former, before: None, readings: 0, doubt: None, open: None, unseen: None }
    }

    /// Whether the newest limit is lower than the one before: the next reading confirms it or does not.
    #[must_use]
    pub fn fell_once(&self) -> bool {
        let newest = self.newest.as_ref().map(|(allowed, _)| allowed.connections);
        let before = self.before.as_ref().map(|allowed| allowed.connections);
        newest.is_some_and(|newest| before.map_or(self.readings == 1, |before| newest < before))
    }

    /// Takes in the answer to one attempt. `pods` are those of the budget. Returns what pods were counted to hold in this
    /// reading and in the one before, by uid.
    pub fn take(
        &mut self,
        answer: Result<Reading, Doubt>,
        pods: &[Arc<PodRecord>],
        now: Timestamp,
    ) -> HashMap<String, u64> {
        let reading = match answer {
            Ok(reading) => reading,
            Err(doubt) => {
                self.doubt = Some(doubt);
                // What was open then says nothing of now.
                self.open = None;
                self.unseen = None;
                return HashMap::new();
            }
        };
        self.doubt = None;
        self.readings = self.readings.saturating_add(1);
        self.before = self.newest.take().map(|(allowed, _)| allowed);
        self.newest = Some((reading.allowed, now));
        let earlier = self.open.take().unwrap_or_default();
        self.unseen = reading.activity.as_ref().and_then(|asked| asked.as_ref().err().cloned());
        let Some(Ok(activity)) = &reading.activity else { return HashMap::new() };
        let mut open = Open { at: now, ..told_apart(activity, pods) };
        let there: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        open.told.extend(earlier.told.into_iter().filter(|uid| there.contains(uid.as_str())));
        let apart = now.duration_since(earlier.at) >= APART;
        let twice = open.held.iter().filter(|_| apart).filter_map(|(uid, now)| {
            let before = earlier.held.get(uid)?;
            Some((uid.clone(), *now.min(before)))
        });
        let twice = twice.collect();
        self.open = Some(open);
        twice
    }
}

/// The part of a pod's name that fits into an `application_name`.
fn short(name: &str) -> &str {
    name.get(..NAME).unwrap_or(name)
}

/// The pods by what tells their connections apart. A name or an address that two pods share tells nothing.
fn by<K: std::hash::Hash + Eq>(
    pods: &[Arc<PodRecord>],
    key: impl Fn(&PodRecord) -> Option<K>,
) -> HashMap<K, Option<&PodRecord>> {
    let mut all = HashMap::new();
    for pod in pods {
        let Some(key) = key(pod) else { continue };
        all.entry(key).and_modify(|one| *one = None).or_insert(Some(pod.as_ref()));
    }
    all
}

fn told_apart(activity: &Activity, pods: &[Arc<PodRecord>]) -> Open {
    let running: Vec<Arc<PodRecord>> = pods.iter().filter(|pod| pod.bound).cloned().collect();
    let names = by(&running, |pod| Some(short(&pod.name).to_owned()));
    let addresses: HashMap<IpAddr, _> = by(&running, |pod| pod.address);
    let pod_of = |group: &Group| {
        let named = names.get(&group.application).copied().flatten();
        named.or_else(|| addresses.get(&group.address?).copied().flatten())
    };
    let mut open = Open { all: activity.others.into(), ..Open::default() };
    let mut busy = Some(0_u64);
    let mut from = Vec::new();
    for group in &activity.groups {
        open.all = open.all.saturating_add(group.open.into());
        busy = busy.zip(group.busy).map(|(sum, more)| sum.saturating_add(more.into()));
        match pod_of(group) {
            Some(pod) => {
                let of = open.pods.entry(pod.uid.clone()).or_default();
                *of = of.saturating_add(group.open.into());
                let is_own = group.address.is_some() && group.address == pod.address;
                from.push(From { uid: &pod.uid, address: group.address, is_own, open: group.open.into() });
            }
            None => open.clients.push(group.clone()),
        }
    }
    open.held = held(from);
    open.busy = busy.filter(|_| activity.others == 0);
    open.told = open.pods.keys().cloned().collect();
    open.clients.sort_by_key(|client| Reverse(client.open));
    open.clients.truncate(CLIENTS);
    open
}

/// What is open in the name of a pod from one address.
struct From<'a> {
    uid: &'a str,
    address: Option<IpAddr>,
    /// Whether that is the pod's own address.
    is_own: bool,
    open: u64,
}

impl<'a> From<'a> {
    const fn place(&self) -> (&'a str, Option<IpAddr>) {
        (self.uid, self.address)
    }
}

/// What pods hold for certain, of what is open in their names.
fn held(mut from: Vec<From<'_>>) -> HashMap<String, u64> {
    from.sort_by_key(From::place);
    let mut best: HashMap<&str, (bool, u64)> = HashMap::new();
    for same in from.chunk_by(|one, other| one.place() == other.place()) {
        let Some(first) = same.first() else { continue };
        let candidate = (first.is_own, same.iter().map(|one| one.open).fold(0, u64::saturating_add));
        let of = best.entry(first.uid).or_insert(candidate);
        *of = candidate.max(*of);
    }
    best.into_iter().map(|(uid, (_, open))| (uid.to_owned(), open)).collect()
}

#[cfg(test)]
mod tests;
