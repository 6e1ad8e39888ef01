//! The rule that a run is judged by, applied to every write of a pod or a budget in the order of the store.
//!
//! In: changes, and when they were seen. Out: the first violation, and what a report needs. Forbidden here: I/O, the
//! clock, and everything of the crate `poolbudget`.
//!
//! *Held* by a budget is what its granted pods may open until they are gone or have ended, and what its status records
//! as granted to pods whose gate is still closed. *Usable* is limit − reserved − what pods that passed the gate may
//! open. Both are exact after every change, since the store numbers all writes. A grant shows as a rise of what is
//! held, and **whenever that rises, it must be at most usable**. A lowered limit and an escaped pod lower what is
//! usable; from then on what is held may only fall, until it fits. Under a lowered limit it may rise again up to what the
//! status says was held before, if so much was allowed then: a pod that goes is replaced before the next one goes. No pod may open without its record, none may
//! change its grant, and no epoch may fall. Two things are held against a leader only when it could know them:
//!
//! - a pod that passed the gate counts [`NOTICE`] after its birth, for nobody asks the operator about it;
//! - a pod that vanished while a container of it ran counts for its grace period, for the leader that saw it go.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use testkit::bill::{self, Account, Bill, Standing};
use testkit::store::Change;

use super::book::{Book, Figures};
use super::tally::Tally;

/// How long a leader may take to see a pod that nobody asked it about: its watch may be waiting to be resumed.
pub const NOTICE: Duration = Duration::from_secs(10);

/// Where pods and budgets are in the store; nothing else is between the two.
pub const RANGE: (&str, &str) = ("/registry/pods/", "/registry/poolbudget.dev0");

/// Where pods are, by namespace and name.
pub const PODS: &str = "/registry/pods/";
/// Where budgets are.
pub const BUDGETS: &str = "/registry/poolbudget.dev/dbconnectionbudgets/";

/// What must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Since the recording began.
    pub at: Duration,
    /// The number of the write.
    pub revision: u64,
    /// What is wrong.
    pub wrong: String,
    /// What every pod of the budget held at that moment.
    pub pods: Vec<String>,
}

/// One pod as it was last written.
#[derive(Debug)]
pub struct View {
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// What it may hold.
    pub bill: Bill,
    /// When it was first seen.
    pub born: Duration,
    /// When a container of it was first seen running.
    pub ran: Option<Duration>,
    /// Whether its deletion has begun.
    pub terminating: bool,
    /// The seconds that its containers get to end.
    pub grace: u64,
}

/// Everything that was written so far.
#[derive(Debug, Default)]
pub struct Judge {
    pods: BTreeMap<String, View>,
    books: BTreeMap<Account, Book>,
    revisions: BTreeMap<String, u64>,
    tally: Tally,
    violation: Option<Violation>,
}

impl Judge {
    /// Takes the next change in, and says in words what it changed, if that matters.
    pub fn see(&mut self, at: Duration, change: &Change) -> Option<String> {
        self.tally.changes += 1;
        match change.value {
            Some(_) => self.revisions.insert(change.key.clone(), change.revision),
            None => self.revisions.remove(&change.key),
        };
        let before: BTreeMap<Account, Figures> = self.figures(at).collect();
        let said = if let Some(name) = change.key.strip_prefix(PODS) {
            self.pod(at, change, name)
        } else {
            self.budget(at, change, change.key.strip_prefix(BUDGETS)?)
        };
        self.weigh(at, change.revision, &before);
        said
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What a report needs.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The last revision of every key that there is.
    pub fn revisions(&self) -> &BTreeMap<String, u64> {
        &self.revisions
    }

    /// What is now, for each budget.
    pub fn figures(&self, at: Duration) -> impl Iterator<Item = (Account, Figures)> {
        self.books.iter().map(move |(account, book)| {
            let mine = self.pods.values().filter(|pod| pod.bill.account == *account);
            (account.clone(), book.figures(mine, at))
        })
    }

    fn pod(&mut self, at: Duration, change: &Change, name: &str) -> Option<String> {
        let old = self.pods.remove(&change.key);
        let Some(value) = &change.value else {
            let old = old?;
            let kept = self.books.get_mut(&old.bill.account).and_then(|book| book.bury(&old, at));
            self.tally.vanished += usize::from(kept.is_some());
            let kept = kept.map(|bill| format!("; it ran, so its {bill} still count")).unwrap_or_default();
            return Some(format!("pod {name} is gone{kept}"));
        };
        let view = match read(at, value, old.as_ref()) {
            Ok(view) => view?,
            Err(wrong) => {
                self.fail(at, change.revision, &format!("pod {name}: {wrong}"), &Account::ungoverned(""));
                return None;
            }
        };
        for wrong in self.wrongs(&view, old.as_ref()) {
            self.fail(at, change.revision, &format!("pod {name}: {wrong}"), &view.bill.account.clone());
        }
        self.tally.follow(at, &view, old.as_ref());
        let said = view.describe();
        let news = old.is_none_or(|old| old.describe() != said);
        self.pods.insert(change.key.clone(), view);
        news.then(|| format!("pod {name} {said}"))
    }

    /// What is wrong with a pod as it became.
    fn wrongs(&self, view: &View, old: Option<&View>) -> Vec<String> {
        let mut wrongs = view.bill.faults.clone();
        let was_granted = old.filter(|old| matches!(old.bill.standing, Standing::Granted { .. }));
        if let Some(old) = was_granted {
            let (was, is) =
                ((old.bill.standing, &old.bill.account), (view.bill.standing, &view.bill.account));
            if view.bill.standing != Standing::Ended && was != is {
                wrongs.push(format!("its grant was changed: {was:?} became {is:?}"));
            }
        } else if matches!(view.bill.standing, Standing::Granted { .. }) {
            let recorded = self.books.get(&view.bill.account).and_then(|book| book.granted(&view.uid));
            if recorded != Some(view.bill.connections) {
                let bill = view.bill.connections;
                wrongs.push(format!("it was granted {bill}, and the status of its budget has {recorded:?}"));
            }
        }
        wrongs
    }

    fn budget(&mut self, at: Duration, change: &Change, name: &str) -> Option<String> {
        let (namespace, budget) = name.split_once('/')?;
        let account = Account::of(namespace, budget);
        let turned = self.books.entry(account.clone()).or_default().turn(change.value.as_ref());
        match turned.epoch {
            Some(Ordering::Less) => self.fail(at, change.revision, "the epoch fell", &account),
            Some(_) => self.tally.takeovers += 1,
            None => {}
        }
        (!turned.words.is_empty()).then(|| format!("budget {name}: {}", turned.words.join(", ")))
    }

    /// The rule.
    fn weigh(&mut self, at: Duration, revision: u64, before: &BTreeMap<Account, Figures>) {
        let now: Vec<(Account, Figures)> = self.figures(at).collect();
        for (account, figures) in now {
            let was = before.get(&account).map_or(0, |before| before.held);
            self.tally.weigh(&account, &figures, was);
            let Figures { held, noticed, limit, .. } = figures;
            if held > was && held > noticed {
                let limit = limit.map_or("unknown".to_owned(), |limit| limit.to_string());
                let wrong = format!(
                    "what {account} holds rose from {was} to {held}; usable are {noticed} of {limit}"
                );
                self.fail(at, revision, &wrong, &account);
            }
        }
    }

    fn fail(&mut self, at: Duration, revision: u64, wrong: &str, account: &Account) {
        if self.violation.is_none() {
            let mine = self.pods.values().filter(|pod| pod.bill.account == *account);
            let pods = mine.map(|pod| format!("{} {}", pod.name, pod.describe())).collect();
            self.violation = Some(Violation { at, revision, wrong: wrong.to_owned(), pods });
        }
    }
}

impl View {
    fn describe(&self) -> String {
        let bill = self.bill.connections;
        let standing = match self.bill.standing {
            Standing::Gated => "waits".to_owned(),
            Standing::Granted { pool_size, max_overflow } => {
                format!("holds {bill} ({pool_size}+{max_overflow})")
            }
            Standing::Foreign => format!("passed the gate and may hold {bill}"),
            Standing::Ended => "has ended".to_owned(),
        };
        if self.terminating { format!("{standing}, ends") } else { standing }
    }
}

/// A pod that has to do with budgets; an error when it cannot be read.
fn read(at: Duration, value: &Value, old: Option<&View>) -> Result<Option<View>, String> {
    let pod: Pod = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let Some(bill) = bill::read(&pod).filter(|bill| bill.account.budget.is_some() || old.is_some()) else {
        return Ok(None);
    };
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let runs = statuses
        .into_iter()
        .flatten()
        .any(|it| it.state.as_ref().is_some_and(|state| state.running.is_some()));
    let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    Ok(Some(View {
        uid: pod.metadata.uid.unwrap_or_default(),
        name: pod.metadata.name.unwrap_or_default(),
        bill,
        born: old.map_or(at, |old| old.born),
        ran: runs.then(|| old.and_then(|old| old.ran).unwrap_or(at)),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        grace: grace.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0),
    }))
}
