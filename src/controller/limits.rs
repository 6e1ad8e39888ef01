//! Reads the limits of budgets from their databases, again and again.
//!
//! In: budgets that say where their limit can be read, Secrets. Out: readings in the world, and a reconcile. A server is
//! asked about every two minutes, Supabase every five; never more than eight at once. A secret is read anew each time
//! and let go at once. Forbidden here: what follows from a reading.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::context::Context;
use super::dispatch::Requests;
use super::gateway::Gateway;
use super::reconcile::Reconciler;
use super::secrets::Secrets;
use crate::api::{BudgetKey, SecretKeyRef};
use crate::cluster::reading::Source;
use crate::cluster::world::World;
use crate::database::dsn::Dsn;
use crate::database::supabase::{self, Credentials, Project, Supabase};
use crate::database::{Class, Doubt, Reading, postgres};
use crate::network::Network;

/// How often a server is asked.
const SERVER: Duration = Duration::from_secs(120);
/// How often Supabase is asked: its API answers 120 requests in a minute to all who use one token.
const PROJECT: Duration = Duration::from_secs(300);
/// How soon it is asked again after a doubt, or to confirm a number that is another one.
const SOON: Duration = Duration::from_secs(15);
/// How long it takes at most until a right that was given, or a Secret that was mended, is noticed.
const MENDED: Duration = Duration::from_secs(30);
/// The longest pause that an answer may ask for.
const PAUSE: Duration = Duration::from_secs(3600);
/// The most readings at the same time, and of the budgets of one namespace: a server that never answers must not keep
/// others waiting.
const AT_ONCE: usize = 8;
const OF_NAMESPACE: usize = 2;
/// No reading takes longer, with its Secrets.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked up which budgets there are, and which are due.
const STEP: Duration = Duration::from_secs(1);

/// From where readings are made.
#[derive(Clone)]
pub struct Vantage {
    /// Reads the Secrets that budgets name.
    pub secrets: Secrets,
    /// The networks that databases may be in; none for all but loopback and the like.
    pub networks: Vec<Network>,
    /// Where Supabase answers.
    pub supabase: Supabase,
}

/// A budget whose limit is read.
#[derive(Debug)]
struct Asked {
    source: Source,
    due: Instant,
    /// Doubts in a row, and what the last one was.
    doubts: u32,
    doubt: Option<Class>,
    /// The number that was read last.
    last: Option<u32>,
    running: bool,
}

/// Which budgets are read when.
#[derive(Default)]
struct Schedule {
    budgets: HashMap<BudgetKey, Asked>,
    /// Makes budgets that come together be read at different times.
    spread: RandomState,
}

impl Schedule {
    /// These are the budgets now. One that is new, or reads from elsewhere now, is due at once.
    fn census(&mut self, now: Instant, found: HashMap<BudgetKey, Source>) {
        self.budgets.retain(|key, asked| found.get(key) == Some(&asked.source));
        for (key, source) in found {
            let new = || Asked { source, due: now, doubts: 0, doubt: None, last: None, running: false };
            self.budgets.entry(key).or_insert_with(new);
        }
    }

    /// A budget that is due, if there is one.
    fn next(&mut self, now: Instant) -> Option<(BudgetKey, Source)> {
        let mut running: HashMap<&str, usize> = HashMap::new();
        for (key, _) in self.budgets.iter().filter(|(_, asked)| asked.running) {
            *running.entry(key.namespace.as_str()).or_default() += 1;
        }
        let of = |key: &BudgetKey| running.get(key.namespace.as_str()).copied().unwrap_or(0);
        let due = self.budgets.iter().filter(|(_, asked)| !asked.running && asked.due <= now);
        let due = due.filter(|(key, _)| of(key) < OF_NAMESPACE);
        let key = due.min_by_key(|(key, asked)| (of(key), asked.due)).map(|(key, _)| key.clone())?;
        let asked = self.budgets.get_mut(&key)?;
        asked.running = true;
        Some((key, asked.source.clone()))
    }

    /// Notes an answer, and when to ask again. Returns whether it is a doubt that is new, or another one than before; none if
    /// the budget reads from elsewhere by now.
    fn answered(
        &mut self,
        key: &BudgetKey,
        source: &Source,
        answer: &Result<Reading, Doubt>,
        now: Instant,
    ) -> Option<bool> {
        let part = self.spread.hash_one((key, now)) % 1000;
        let asked = self.budgets.get_mut(key).filter(|asked| asked.source == *source)?;
        asked.running = false;
        let class = answer.as_ref().err().map(|doubt| doubt.class);
        let is_new_doubt = class.is_some() && class != asked.doubt;
        asked.doubt = class;
        let wait = match answer {
            Ok(reading) => {
                asked.doubts = 0;
                let number = Some(reading.allowed.connections);
                let other = asked.last != number;
                asked.last = number;
                if other { SOON } else { period(source) }
            }
            Err(doubt) => {
                asked.doubts = asked.doubts.saturating_add(1);
                pause(doubt, asked.doubts, period(source))
            }
        };
        // Between 0.8 and 1.2 of it, and never before a server wants to be asked again.
        let spread = wait * 8 / 10 + wait * 4 / 10 / 1000 * u32::try_from(part).unwrap_or(0);
        let pause = answer.as_ref().err().and_then(|doubt| doubt.pause).unwrap_or_default();
        asked.due = now + spread.max(pause.min(PAUSE));
        Some(is_new_doubt)
    }
}

const fn period(source: &Source) -> Duration {
    match source {
        Source::Postgres { .. } => SERVER,
        Source::Supabase { .. } => PROJECT,
    }
}

/// How long to wait after so many doubts in a row.
fn pause(doubt: &Doubt, doubts: u32, period: Duration) -> Duration {
    let longest = match doubt.class {
        // The cluster alone is asked, and people wait for it.
        Class::Forbidden | Class::SecretInvalid => MENDED,
        Class::Unreachable | Class::Refused | Class::NotUnderstood => period,
    };
    SOON.saturating_mul(1 << doubts.saturating_sub(1).min(8)).min(longest)
}

/// The budgets that say where their limit can be read.
fn budgets(world: &World) -> HashMap<BudgetKey, Source> {
    let found = world.budgets.iter().filter_map(|budget| {
        let (source, _) = Source::of(&budget.spec)?;
        let meta = &budget.metadata;
        Some((BudgetKey::new(meta.namespace.as_deref()?, meta.name.as_deref()?), source))
    });
    found.collect()
}

/// Reads until it is dropped.
pub async fn ask<G: Gateway>(reconciler: Arc<Reconciler<G>>, vantage: Vantage, requests: Requests) {
    let context = &reconciler.context;
    let mut schedule = Schedule::default();
    let mut running = JoinSet::new();
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = step.tick() => {}
            Some(answered) = running.join_next() => {
                // A panic ends the process (panic = abort); a task is never cancelled.
                let Ok((key, source, answer)) = answered else { continue };
                if let Some(is_new_doubt) = schedule.answered(&key, &source, &answer, Instant::now()) {
                    take_in(context, &key, &source, answer, is_new_doubt);
                    requests.request(key);
                }
            }
        }
        let now = Instant::now();
        let found = budgets(&context.observed.world());
        context.observed.world().keep_limits(|key| found.contains_key(key));
        schedule.census(now, found);
        while running.len() < AT_ONCE {
            let Some((key, source)) = schedule.next(now) else { break };
            let vantage = vantage.clone();
            running.spawn(async move {
                let answer = tokio::time::timeout(PATIENCE, read(&key.namespace, &source, &vantage)).await;
                let late =
                    || Doubt::new(Class::Unreachable, format!("no answer within {} s", PATIENCE.as_secs()));
                let answer = answer.unwrap_or_else(|_| Err(late()));
                (key, source, answer)
            });
        }
    }
}

fn take_in<G: Gateway>(
    context: &Context<G>,
    key: &BudgetKey,
    source: &Source,
    answer: Result<Reading, Doubt>,
    is_new_doubt: bool,
) {
    context.metrics.limit_read(answer.as_ref().map_or_else(|doubt| doubt.class.name(), |_| "read"));
    if let (Err(doubt), true) = (&answer, is_new_doubt) {
        let BudgetKey { namespace, name } = key;
        tracing::warn!(namespace, budget = name, from = %source, class = doubt.class.name(), %doubt, "limit not read");
    }
    context.observed.world().see_limit(key, source, answer, (context.clock)());
}

/// One reading.
async fn read(namespace: &str, source: &Source, vantage: &Vantage) -> Result<Reading, Doubt> {
    let secrets = &vantage.secrets;
    match source {
        Source::Postgres { secret, ca } => {
            let dsn = secrets.value(namespace, secret).await?;
            let dsn = Dsn::read(&dsn).map_err(|doubt| doubt.in_secret(&secret.name, &secret.key))?;
            let ca = match ca {
                Some(ca) => Some(secrets.value(namespace, ca).await?),
                None => None,
            };
            postgres::read(&dsn, ca.as_deref().map(Vec::as_slice), &vantage.networks).await
        }
        Source::Supabase { project, token: secret, key, connection } => {
            // Whoever writes the budget may name any Secret that was granted: the reader sends nothing away but a token.
            let token = text_of(secrets, namespace, secret).await?;
            let project = Project::new(project, *connection)
                .map_err(|why| Doubt::new(Class::NotUnderstood, why.to_string()))?;
            let key = match key {
                Some(key) => Some(text_of(secrets, namespace, key).await),
                None => None,
            };
            let key = key.as_ref().map(|key| key.as_ref().map(|text| text.as_str()));
            let read = supabase::read(&vantage.supabase, &project, Credentials { token: &token, key }).await;
            read.map_err(|doubt| match doubt.class {
                Class::SecretInvalid => doubt.in_secret(&secret.name, &secret.key),
                _ => doubt,
            })
        }
    }
}

/// The text of a Secret.
async fn text_of(secrets: &Secrets, namespace: &str, of: &SecretKeyRef) -> Result<Zeroizing<String>, Doubt> {
    let value = secrets.value(namespace, of).await?;
    let text = std::str::from_utf8(&value).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| Doubt::new(Class::SecretInvalid, "there is no text").in_secret(&of.name, &of.key))
}

#[cfg(test)]
mod tests;
