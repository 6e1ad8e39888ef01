//! What is gone and still counts: pods whose end nobody saw, and connections that outlive their pod.
//!
//! In: what the watches noted about pods that went, what their nodes say, the time. Out: entries for the status and the
//! ledger. The entries are kept only here. A status is read once, when its budget is taken over: later, a status that
//! still names an entry that is over may just not be rewritten yet.
//!
//! Times are measured by a clock that never jumps; each leader starts again. What nobody saw end counts until the kubelet
//! of its node has reported since; if the node is not known, until each kubelet has. A kubelet that is away ends nothing:
//! when it is back, it learns that the pod is gone, and only then gives it its grace period (`pod_workers.go`). Two
//! different signs of life show that it reported; no two clocks are compared.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::context::{Context, Moment};
use super::gateway::Gateway;
use super::roll_call::{AGAIN, Answer};
use super::view::View;
use crate::api::BudgetKey;
use crate::api::{Mode, QuarantineCause, Quarantined};
use crate::budget::grant::Refusal;
use crate::cluster::node::Roll;
use crate::cluster::pod::PodRecord;
use crate::cluster::world::{Departed, Departure};

/// Seconds on top of the time that containers get to end.
const MARGIN: i64 = 10;
/// The longest grace period that counts. Kubernetes accepts any, and with the longest an entry would never end. A
/// managed upgrade of GKE waits at most an hour for a pod; a kubelet that restarts gives one second
/// (`kubelet.go: SyncTerminatingRuntimePod`).
const LONGEST: i64 = 3600;
/// The longest that an entry counts if its node is not known: a grace period, the margin, and the longest linger.
const MOST_SECONDS: i64 = LONGEST + MARGIN + 3600;
/// A kubelet must report within this long before the end: longer than it lets pass between two signs of life.
const LATE: Duration = Duration::from_secs(15);
/// Nodes that are asked in one look, at the same time.
const NODES: usize = 16;
/// The most entries in a status; one of them may stand for many.
pub const MOST: usize = 256;

/// What the nodes of an entry said last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// Nothing since.
    Silent,
    /// Their kubelets have reported since.
    Heard,
    /// These are not Ready.
    Away(String),
    /// There is none.
    Gone,
    /// They could not be asked.
    Unknown(String),
    /// Their kubelets reported after the time was over.
    Over,
}

#[derive(Clone, Debug)]
struct Kept {
    entry: Quarantined,
    /// Since when it counts.
    begun: Duration,
    /// When it stops counting, unless its nodes object.
    end: Duration,
    word: Word,
    /// Whether `end` is measured from signs of life.
    heard: bool,
    /// The signs of life of its nodes from which the next ones must differ.
    base: Option<Arc<Roll>>,
    /// When its nodes were asked last.
    asked: Option<Duration>,
}

impl Kept {
    fn new(entry: Quarantined, now: Duration) -> Self {
        let end = now.saturating_add(seconds(&entry));
        Self { entry, begun: now, end, word: Word::Silent, heard: false, base: None, asked: None }
    }

    /// Who has a say in when it is over.
    fn say(&self) -> Say<'_> {
        match (&self.entry.cause, &self.entry.node) {
            (QuarantineCause::Ended | QuarantineCause::Restarted, _) => Say::Nobody,
            (_, Some(node)) => Say::Node(node),
            (_, None) => Say::EveryNode,
        }
    }

    /// When it is over even if its nodes object.
    fn limit(&self) -> Option<Duration> {
        let longest = Duration::from_secs(MOST_SECONDS.unsigned_abs());
        matches!(self.say(), Say::EveryNode).then(|| self.begun.saturating_add(longest))
    }

    fn is_over(&self, now: Duration) -> bool {
        let agreed = matches!(self.say(), Say::Nobody) || matches!(self.word, Word::Gone | Word::Over);
        (now >= self.end && agreed) || self.limit().is_some_and(|limit| now >= limit)
    }

    /// When its nodes are to be asked next.
    fn ask(&self) -> Option<Duration> {
        if matches!(self.say(), Say::Nobody) {
            return None;
        }
        let again = self.asked.map_or(Duration::ZERO, |asked| asked.saturating_add(AGAIN));
        let settled = self.heard || (self.word == Word::Gone && self.asked.is_some());
        // Ask twice near the end, so that the second answer covers the time in between.
        let late = self.end.saturating_sub(LATE);
        let due = if self.asked.is_some_and(|asked| asked >= late) { self.end } else { late };
        Some(if settled { due.max(again) } else { again })
    }

    fn is_due(&self, now: Duration) -> bool {
        self.ask().is_some_and(|at| at <= now)
    }

    fn hear(&mut self, roll: &Arc<Roll>, linger: u32, now: Moment) {
        let over = now.steady >= self.end;
        if roll.is_empty() {
            if self.word != Word::Gone {
                // The machine may have run until just now, and the connections it left open linger too.
                let lingers = now.steady.saturating_add(Duration::from_secs(linger.into()));
                if lingers > self.end {
                    self.end = lingers;
                    self.entry.until = after(linger.into(), now.wall);
                }
                self.word = Word::Gone;
            }
            return;
        }
        let news = roll.silent(self.base.as_deref()).next().is_none();
        if news || self.base.is_none() {
            self.base = Some(Arc::clone(roll));
        }
        let away: Vec<&str> = roll.away().collect();
        if !away.is_empty() {
            (self.word, self.heard) = (Word::Away(some_of(&away)), false);
        } else if news && self.heard && over {
            self.word = Word::Over;
        } else if news && !self.heard {
            (self.word, self.heard) = (Word::Heard, true);
            self.end = now.steady.saturating_add(seconds(&self.entry));
            self.entry.until = until(&self.entry, now.wall);
        } else if !news && (over || !self.heard) {
            (self.word, self.heard) = (Word::Silent, false);
        }
    }

    /// Until when it counts, in words.
    fn how_long(&self, now: Timestamp) -> String {
        let late = self.entry.until.0 < now;
        match (self.say(), &self.word) {
            (Say::Node(node), Word::Away(_)) => {
                format!("until its node {node} is Ready again, plus its grace period")
            }
            (Say::Node(node), Word::Unknown(why)) => {
                format!("the operator cannot read its node {node}: {why}")
            }
            (Say::Node(node), Word::Silent) if late => {
                format!("until its node {node} reports, plus its grace period")
            }
            (Say::EveryNode, Word::Away(nodes)) => {
                format!("its node is not known: until these nodes are Ready again, or two hours: {nodes}")
            }
            (Say::EveryNode, Word::Unknown(why)) => {
                format!("its node is not known, and the operator cannot list the nodes: {why}")
            }
            (Say::EveryNode, Word::Silent) if late => {
                "its node is not known: until every node reports, or two hours".to_owned()
            }
            _ => format!("until {}", self.entry.until.0),
        }
    }
}

/// Who has a say in when an entry is over.
enum Say<'a> {
    /// The time alone: its end was seen.
    Nobody,
    /// The node that its pod was on.
    Node(&'a str),
    /// Its node is not known.
    EveryNode,
}

/// The first names of a list, and how many more there are.
fn some_of(names: &[&str]) -> String {
    let (named, others) = names.split_at(names.len().min(NAMED));
    match others.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn seconds(entry: &Quarantined) -> Duration {
    Duration::from_secs(u64::try_from(entry.seconds.min(MOST_SECONDS)).unwrap_or(0))
}

fn until(entry: &Quarantined, now: Timestamp) -> Time {
    after(entry.seconds.clamp(0, MOST_SECONDS), now)
}

fn after(seconds: i64, now: Timestamp) -> Time {
    Time(now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now))
}

/// How long a pod counts if nobody saw its end: the time that its containers get, plus that of its connections.
#[must_use]
pub fn unseen_end(grace: i64, linger: u32) -> i64 {
    grace.clamp(0, LONGEST).saturating_add(MARGIN).saturating_add(linger.into())
}

/// An entry that begins now.
#[must_use]
pub fn entry(
    uid: String,
    pod: String,
    connections: i64,
    seconds: i64,
    cause: QuarantineCause,
    now: Timestamp,
) -> Quarantined {
    let mut entry = Quarantined { uid, pod, connections, seconds, until: Time(now), node: None, cause };
    entry.until = until(&entry, now);
    entry
}

/// What is gone and still counts.
#[derive(Debug, Default)]
pub struct Quarantine {
    kept: Vec<Kept>,
    /// Pods that are called over, still exist as objects, and have had their time.
    spent: HashSet<String>,
    /// How many seconds connections outlive their processes, by the last spec.
    linger: u32,
}

impl Quarantine {
    /// Takes over the entries of a status, each for its whole time from now on.
    pub fn seed(&mut self, written: &[Quarantined], now: Duration) {
        for entry in written {
            self.count(entry.clone(), now);
        }
    }

    /// Counts an entry from now on. True when it was not known.
    pub fn count(&mut self, entry: Quarantined, now: Duration) -> bool {
        let new =
            !self.spent.contains(&entry.uid) && self.kept.iter().all(|kept| kept.entry.uid != entry.uid);
        if new {
            self.kept.push(Kept::new(entry, now));
        }
        new
    }

    /// Takes in pods that went, and pods that are called over but were not seen to end; drops entries that are over.
    pub fn keep(&mut self, departures: &[Departure], doubtful: &[&PodRecord], linger: u32, now: Moment) {
        self.linger = linger;
        for departure in departures {
            self.depart(departure, linger, now);
        }
        for pod in doubtful {
            if self.count(unseen(pod, QuarantineCause::NotSeenToEnd, linger, now), now.steady) {
                tracing::warn!(
                    pod = pod.name,
                    namespace = pod.namespace,
                    "pod is called over, and nobody saw it end; it still counts"
                );
            }
        }
        let there: HashSet<&str> = doubtful.iter().map(|pod| pod.uid.as_str()).collect();
        let over =
            self.kept.iter().filter(|kept| kept.is_over(now.steady)).map(|kept| kept.entry.uid.clone());
        self.spent.extend(over);
        self.spent.retain(|uid| there.contains(uid.as_str()));
        self.kept.retain(|kept| !kept.is_over(now.steady));
    }

    fn depart(&mut self, departure: &Departure, linger: u32, now: Moment) {
        let pod = &departure.pod;
        let lingers = |uid: String, connections, cause| {
            entry(uid, pod.name.clone(), connections, linger.into(), cause, now.wall)
        };
        match departure.how {
            Departed::Vanished => {
                if self.count(unseen(pod, QuarantineCause::Vanished, linger, now), now.steady) {
                    tracing::warn!(
                        pod = pod.name,
                        namespace = pod.namespace,
                        "pod vanished while it ran; it still counts"
                    );
                }
            }
            Departed::Ended => {
                let doubted = |kept: &Kept| {
                    kept.entry.uid == pod.uid && kept.entry.cause == QuarantineCause::NotSeenToEnd
                };
                self.kept.retain(|kept| !doubted(kept));
                if linger > 0 {
                    self.count(lingers(pod.uid.clone(), bill(pod), QuarantineCause::Ended), now.steady);
                }
            }
            // Each run may have left open all that the pod may open.
            Departed::Restarted(times) if linger > 0 => {
                let left = bill(pod).saturating_mul(i64::try_from(times).unwrap_or(i64::MAX));
                let uid = format!("{}-{}", pod.uid, pod.restarts);
                self.count(lingers(uid, left, QuarantineCause::Restarted), now.steady);
            }
            Departed::Restarted(_) => {}
        }
    }

    /// Drops the entries that a user names, and returns them. Naming them again does nothing.
    pub fn forget(&mut self, named: &str) -> Vec<Quarantined> {
        let named: HashSet<&str> = named.split([',', ' ', '\n']).filter(|uid| !uid.is_empty()).collect();
        let (gone, kept): (Vec<Kept>, Vec<Kept>) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept| named.contains(kept.entry.uid.as_str()));
        self.kept = kept;
        let gone: Vec<Quarantined> = gone.into_iter().map(|kept| kept.entry).collect();
        self.spent.extend(gone.iter().map(|entry| entry.uid.clone()));
        gone
    }

    /// Whether nothing is in quarantine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How long until the next entry must be looked at.
    #[must_use]
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let due = self.kept.iter().map(|kept| {
            let due = kept.ask().unwrap_or(kept.end);
            kept.limit().map_or(due, |limit| due.min(limit))
        });
        due.min().map(|due| due.saturating_sub(now))
    }

    /// What is in quarantine, in as many entries as fit into a status; together they count for all.
    #[must_use]
    pub fn entries(&self) -> Vec<Quarantined> {
        let entry = |kept: &Kept| kept.entry.clone();
        if self.kept.len() <= MOST {
            return self.kept.iter().map(entry).collect();
        }
        let (named, others) = self.kept.split_at(MOST - 1);
        let more = self.together(others);
        named.iter().map(entry).chain(more).collect()
    }

    /// One entry for many. If they were on several nodes, a successor asks all nodes.
    fn together(&self, others: &[Kept]) -> Option<Quarantined> {
        let first = &others.first()?.entry;
        let each = || others.iter().map(|kept| &kept.entry);
        let of_one = each().all(|entry| entry.node == first.node);
        let uids: HashSet<&str> = self.kept.iter().map(|kept| kept.entry.uid.as_str()).collect();
        let uid = (1..).map(|n: u32| format!("more-{n}")).find(|uid| !uids.contains(uid.as_str()))?;
        let own = |entry: &Quarantined| if entry.connections < 0 { i64::MAX } else { entry.connections };
        Some(Quarantined {
            uid,
            pod: format!("and {} more", others.len()),
            connections: each().map(own).fold(0, i64::saturating_add),
            seconds: each().map(|entry| entry.seconds).max()?,
            until: each().map(|entry| entry.until.clone()).max()?,
            node: first.node.clone().filter(|_| of_one),
            cause: QuarantineCause::Several,
        })
    }

    /// The entries that count because nobody saw an end, and in words for how long.
    pub fn unseen(&self, now: Timestamp) -> impl Iterator<Item = (&Quarantined, String)> {
        let lingers =
            |kept: &&Kept| matches!(kept.entry.cause, QuarantineCause::Ended | QuarantineCause::Restarted);
        let kept = self.kept.iter().filter(move |kept| !lingers(kept));
        kept.map(move |kept| (&kept.entry, kept.how_long(now)))
    }

    /// The nodes that are to be asked now.
    fn to_ask(&self, now: Duration) -> Vec<String> {
        let due = self.kept.iter().filter(|kept| kept.is_due(now));
        let mut due: Vec<(Option<Duration>, &String)> =
            due.filter_map(|kept| Some((kept.asked, kept.entry.node.as_ref()?))).collect();
        // Those that have waited longest, each once.
        due.sort_unstable();
        let mut seen = HashSet::new();
        due.into_iter()
            .map(|(_, node)| node.clone())
            .filter(|node| seen.insert(node.clone()))
            .take(NODES)
            .collect()
    }

    /// Whether all nodes are to be asked now.
    fn asks_all(&self, now: Duration) -> bool {
        self.kept.iter().any(|kept| kept.entry.node.is_none() && kept.is_due(now))
    }

    /// Takes in what was `seen` of a node, or of all.
    fn answer(&mut self, node: Option<&str>, answer: &Answer, seen: Duration, now: Moment) {
        let due = |kept: &&mut Kept| kept.entry.node.as_deref() == node && kept.is_due(now.steady);
        for kept in self.kept.iter_mut().filter(due) {
            kept.asked = Some(seen);
            match answer {
                // What was seen before proves nothing about later.
                Ok(_) if seen < kept.begun => {}
                Ok(roll) => kept.hear(roll, self.linger, Moment { steady: seen, ..now }),
                Err(class) => kept.word = Word::Unknown((*class).to_owned()),
            }
        }
    }
}

/// Asks the nodes whose answer is needed. A node that does not answer keeps its entries, and nothing else.
pub async fn ask<G: Gateway>(context: &Context<G>, quarantine: &mut Quarantine, now: Moment) {
    let mut calls = Vec::new();
    for node in quarantine.to_ask(now.steady) {
        calls.push(async move {
            let answer = context.gateway.node(&node).await;
            (node, answer)
        });
    }
    let answers: Vec<_> = stream::iter(calls).buffer_unordered(NODES).collect().await;
    for (node, answer) in answers {
        let answer = match answer {
            Ok(sight) => Ok(Arc::new(sight.map(|sight| (node.clone(), sight)).into_iter().collect())),
            Err(error) => {
                tracing::warn!(node, %error, "node cannot be asked whether it still runs what is gone");
                Err(error.class())
            }
        };
        quarantine.answer(Some(&node), &answer, now.steady, now);
    }
    if quarantine.asks_all(now.steady) {
        let (seen, answer) = context.roll_call.call(&context.gateway, now.steady).await;
        quarantine.answer(None, &answer, seen, now);
    }
}

/// Pods and nodes that a message names.
const NAMED: usize = 5;

/// If entries whose end nobody saw keep pods waiting: which ones, for how long, and what to do about it.
#[must_use]
pub fn in_the_way(view: &View, quarantine: Option<&Quarantine>, now: Timestamp) -> Option<String> {
    let unseen: Vec<(&Quarantined, String)> = quarantine?.unseen(now).collect();
    let own = |entry: &Quarantined| u64::try_from(entry.connections).unwrap_or(u64::MAX);
    let kept = unseen.iter().map(|(entry, _)| own(entry)).fold(0, u64::saturating_add);
    let waits_for_it = |(_, refusal): &(usize, Refusal)| matches!(refusal, Refusal::NoRoom { missing } if missing.get() <= kept);
    if view.mode != Mode::Gate || !view.decision.grants.refused.iter().any(waits_for_it) {
        return None;
    }
    let mut parts: Vec<String> = unseen
        .iter()
        .take(NAMED)
        .map(|(entry, how_long)| format!("{} ({}, {how_long})", entry.pod, entry.connections))
        .collect();
    if unseen.len() > NAMED {
        parts.push(format!("and {} more", unseen.len() - NAMED));
    }
    let BudgetKey { namespace, name } = &view.key;
    Some(format!(
        "pods wait for {kept} connections that still count for pods that are gone, because poolbudget did not see them end: \
         {}. If you know that nothing of such a pod still runs: poolbudget forget {name} -n {namespace} --pod NAME",
        parts.join("; ")
    ))
}

fn unseen(pod: &PodRecord, cause: QuarantineCause, linger: u32, now: Moment) -> Quarantined {
    let seconds = unseen_end(pod.grace, linger);
    let entry = entry(pod.uid.clone(), pod.name.clone(), bill(pod), seconds, cause, now.wall);
    Quarantined { node: pod.node.clone(), ..entry }
}

fn bill(pod: &PodRecord) -> i64 {
    i64::try_from(pod.held().get()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize, node: impl Fn(usize) -> Option<String>) -> Quarantine {
        let mut quarantine = Quarantine::default();
        for i in 0..count {
            let new = entry(
                format!("u{i}"),
                format!("p{i}"),
                2,
                40,
                QuarantineCause::Vanished,
                Timestamp::UNIX_EPOCH,
            );
            quarantine.count(Quarantined { node: node(i), ..new }, Duration::ZERO);
        }
        quarantine
    }

    fn sum(entries: &[Quarantined]) -> i64 {
        entries.iter().map(|entry| entry.connections).sum()
    }

    #[test]
    fn of_too_many_entries_one_stands_for_the_rest_and_counts_for_all() {
        for count in [1, MOST, MOST + 1, 3 * MOST] {
            let entries = of(count, |_| None).entries();
            assert_eq!(entries.len(), count.min(MOST));
            assert_eq!(sum(&entries), 2 * i64::try_from(count).expect("few"));
        }
        let entries = of(MOST + 4, |_| Some("a".into())).entries();
        let rest = entries.last().expect("one");
        assert_eq!((rest.pod.as_str(), rest.seconds, rest.node.as_deref()), ("and 5 more", 40, Some("a")));
        let entries = of(MOST + 4, |i| Some(format!("n{i}"))).entries();
        let rest = entries.last().expect("one");
        assert_eq!((rest.seconds, rest.node.as_deref()), (40, None), "a successor asks all nodes");
        // A successor counts that entry beside a new one of its own.
        let mut next = of(MOST, |_| None);
        next.seed(&entries, Duration::ZERO);
        let uids: HashSet<String> = next.entries().into_iter().map(|entry| entry.uid).collect();
        assert_eq!((next.kept.len(), uids.len()), (MOST + 1, MOST));
    }

    #[test]
    fn a_status_that_somebody_wrote_counts_for_no_longer_than_any_entry_can() {
        let mut quarantine = Quarantine::default();
        let new =
            entry("u".into(), "p".into(), 2, i64::MAX, QuarantineCause::Vanished, Timestamp::UNIX_EPOCH);
        quarantine.seed(&[new], Duration::ZERO);
        let at = |seconds: i64| Moment {
            wall: Timestamp::UNIX_EPOCH,
            steady: Duration::from_secs(seconds.unsigned_abs()),
        };
        quarantine.keep(&[], &[], 0, at(MOST_SECONDS - 1));
        assert!(!quarantine.is_empty());
        quarantine.keep(&[], &[], 0, at(MOST_SECONDS));
        assert!(quarantine.is_empty());
    }

    #[test]
    fn many_nodes_are_asked_a_few_at_a_time_and_each_once() {
        let quarantine = of(100, |i| Some(format!("n{}", i % 40)));
        let asked = quarantine.to_ask(Duration::ZERO);
        let distinct: HashSet<&String> = asked.iter().collect();
        assert_eq!((asked.len(), distinct.len()), (NODES, NODES));
    }
}
