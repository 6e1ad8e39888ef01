//! All pods of a cluster and the sums of their connections, from event to event.
//!
//! In: pods as they appear, change and go, in the order of the API server. Out: the sum of every account after each
//! event, its highest value, and the first moment when it exceeded its limit.
//! Forbidden here: I/O and the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::bill::{self, Account, Bill, Standing};

/// One pod as it was last seen.
#[derive(Debug, Clone)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its bill. Once granted, it counts for the account of its grant, whatever happens to its label.
    pub bill: Bill,
    /// The largest grant that it was ever seen with.
    pub grant: Option<Bill>,
    /// Deleted, but not gone.
    pub terminating: bool,
    /// Its Ready condition.
    pub ready: bool,
    version: u64,
}

/// The sum of an account at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that its pods may open.
    pub connections: u64,
    /// Pods with a grant.
    pub granted: usize,
    /// Pods behind a gate.
    pub waiting: usize,
    /// Pods that run without a grant.
    pub foreign: usize,
    /// Pods whose containers have ended.
    pub ended: usize,
}

/// A change of an account's totals.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Since the recording began.
    pub at: Duration,
    /// Whose totals they are.
    pub account: Account,
    /// The new totals.
    pub totals: Totals,
}

/// A sum that exceeded its limit.
#[derive(Debug, Clone)]
pub struct Over {
    /// Since the recording began.
    pub at: Duration,
    /// Whose sum it is.
    pub account: Account,
    /// The sum.
    pub connections: u64,
    /// Its limit.
    pub limit: u64,
    /// What every pod of the account held at that moment.
    pub pods: Vec<(String, u64)>,
}

/// The pods and their sums.
#[derive(Debug, Default)]
pub struct Ledger {
    pods: BTreeMap<String, PodView>,
    totals: BTreeMap<Account, Totals>,
    limits: BTreeMap<Account, u64>,
    /// What was held when the limit was lowered below it: until the sum fits, pods may be replaced within that.
    marks: BTreeMap<Account, u64>,
    peaks: BTreeMap<Account, u64>,
    moments: Vec<Moment>,
    overs: Vec<Over>,
    faults: BTreeSet<String>,
}

impl Ledger {
    /// A pod was created or has changed.
    pub fn seen(&mut self, at: Duration, pod: &Pod) {
        let before = self.totals.clone();
        self.put(pod);
        self.note(at, &before);
    }

    /// A pod is gone.
    pub fn gone(&mut self, at: Duration, pod: &Pod) {
        let before = self.totals.clone();
        self.take(uid(pod));
        self.note(at, &before);
    }

    /// These are all pods that exist; any other known pod has gone in the meantime.
    pub fn listed(&mut self, at: Duration, pods: &[Pod]) {
        let before = self.totals.clone();
        let listed: BTreeSet<&str> = pods.iter().map(uid).collect();
        let vanished: Vec<String> =
            self.pods.keys().filter(|known| !listed.contains(known.as_str())).cloned().collect();
        for uid in vanished {
            self.take(&uid);
        }
        for pod in pods {
            self.put(pod);
        }
        self.note(at, &before);
    }

    /// Sets the limit of an account's sum from now on. If the sum is above the new limit already, only a rise above
    /// that sum breaks it: grants cannot be revoked at once, and pods that go are replaced one by one.
    pub fn limit(&mut self, at: Duration, account: &Account, limit: u64) {
        let first = self.limits.insert(account.clone(), limit).is_none();
        let connections = self.totals(account).connections;
        if first && connections > limit {
            self.overs.push(self.over(at, account, connections, limit));
        }
        self.marks.remove(account);
        if connections > limit {
            self.marks.insert(account.clone(), connections);
        }
    }

    /// The present totals of an account.
    pub fn totals(&self, account: &Account) -> Totals {
        self.totals.get(account).copied().unwrap_or_default()
    }

    /// The highest sum that an account ever had.
    pub fn peak(&self, account: &Account) -> u64 {
        self.peaks.get(account).copied().unwrap_or_default()
    }

    /// The highest sums of all accounts.
    pub fn peaks(&self) -> &BTreeMap<Account, u64> {
        &self.peaks
    }

    /// Whether any account has a limit.
    pub fn judges(&self) -> bool {
        !self.limits.is_empty()
    }

    /// Every change of totals so far.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Every sum that exceeded a limit so far.
    pub fn overs(&self) -> &[Over] {
        &self.overs
    }

    /// Everything wrong that was seen on a pod so far.
    pub fn faults(&self) -> &BTreeSet<String> {
        &self.faults
    }

    /// The present pods of an account.
    pub fn pods<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = &'a PodView> {
        self.pods.values().filter(move |pod| pod.bill.account == *account)
    }

    /// Whether everything that a list at `version` shows has been counted here.
    pub fn has_all_of(&self, listed: &[Pod], version: u64) -> bool {
        let uids: BTreeSet<&str> = listed.iter().map(uid).collect();
        let known = listed.iter().filter(|pod| bill::read(pod).is_some());
        let seen = |pod: &Pod| self.pods.get(uid(pod)).is_some_and(|view| view.version >= version_of(pod));
        let stale =
            |(uid, view): (&String, &PodView)| !uids.contains(uid.as_str()) && view.version <= version;
        known.into_iter().all(seen) && !self.pods.iter().any(stale)
    }

    fn put(&mut self, pod: &Pod) {
        let uid = uid(pod);
        let previous = self.take(uid);
        let grant = previous.as_ref().and_then(|previous| previous.grant.clone());
        // Even without label and size, it still holds what it was granted.
        let Some(bill) = bill::read(pod).or_else(|| grant.clone()) else { return };
        let name = pod.metadata.name.clone().unwrap_or_default();
        let (bill, grant) = self.hold_to_grant(bill, grant, &name);
        let view = PodView {
            name,
            bill,
            grant,
            terminating: pod.metadata.deletion_timestamp.is_some(),
            ready: is_ready(pod),
            version: version_of(pod),
        };
        self.add(uid, view);
    }

    /// A container may have started with its old size or with a new one: for a granted pod, the larger counts.
    fn hold_to_grant(&mut self, bill: Bill, grant: Option<Bill>, name: &str) -> (Bill, Option<Bill>) {
        let fault = |fault: &str| format!("pod {}/{name}: {fault}", bill.account.namespace);
        self.faults.extend(bill.faults.iter().map(|it| fault(it)));
        let Some(grant) = grant else {
            let grant = matches!(bill.standing, Standing::Granted { .. }).then(|| bill.clone());
            return (bill, grant);
        };
        if bill.standing == Standing::Ended {
            return (bill, Some(grant));
        }
        if (bill.standing, &bill.account) != (grant.standing, &grant.account) {
            let (was, is) = ((grant.standing, &grant.account), (bill.standing, &bill.account));
            self.faults.insert(fault(&format!("its grant was changed: {was:?} became {is:?}")));
        }
        let largest = if bill.connections > grant.connections {
            Bill { account: grant.account, ..bill }
        } else {
            grant
        };
        (largest.clone(), Some(largest))
    }

    fn add(&mut self, uid: &str, view: PodView) {
        let totals = self.totals.entry(view.bill.account.clone()).or_default();
        totals.connections += view.bill.connections;
        *counter(totals, view.bill.standing) += 1;
        self.pods.insert(uid.to_owned(), view);
    }

    fn take(&mut self, uid: &str) -> Option<PodView> {
        let view = self.pods.remove(uid)?;
        let totals = self.totals.entry(view.bill.account.clone()).or_default();
        totals.connections -= view.bill.connections;
        *counter(totals, view.bill.standing) -= 1;
        Some(view)
    }

    /// Records what an event changed.
    fn note(&mut self, at: Duration, before: &BTreeMap<Account, Totals>) {
        let changed: Vec<(Account, Totals, u64)> = self
            .totals
            .iter()
            .map(|(account, totals)| (account, *totals, before.get(account).copied().unwrap_or_default()))
            .filter(|(_, totals, before)| totals != before)
            .map(|(account, totals, before)| (account.clone(), totals, before.connections))
            .collect();
        for (account, totals, before) in changed {
            let peak = self.peaks.entry(account.clone()).or_default();
            *peak = totals.connections.max(*peak);
            let limit = self.limits.get(&account).copied();
            if limit.is_some_and(|limit| totals.connections <= limit) {
                self.marks.remove(&account);
            }
            let mark = self.marks.get(&account).copied().unwrap_or_default();
            if let Some(limit) = limit.filter(|limit| totals.connections > (*limit).max(before).max(mark)) {
                self.overs.push(self.over(at, &account, totals.connections, limit));
            }
            self.moments.push(Moment { at, account, totals });
        }
    }

    fn over(&self, at: Duration, account: &Account, connections: u64, limit: u64) -> Over {
        let pods = self.pods(account).map(|pod| (pod.name.clone(), pod.bill.connections)).collect();
        Over { at, account: account.clone(), connections, limit, pods }
    }
}

fn counter(totals: &mut Totals, standing: Standing) -> &mut usize {
    match standing {
        Standing::Gated => &mut totals.waiting,
        Standing::Granted { .. } => &mut totals.granted,
        Standing::Foreign => &mut totals.foreign,
        Standing::Ended => &mut totals.ended,
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Resource versions of one resource can be compared as numbers.
fn version_of(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}
