//! Everything that was observed, indexed for the question "what does budget x of namespace y look like".
//!
//! In: watch events and the answers of lists and writes, in any order. Out: records, and the budgets
//! that an event concerns. Newer versions win over older ones, so an answer that arrives late, or a
//! list that races with the watch, never turns the view back.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::autoscaler::AutoscalerRecord;
use super::evidence::Evidence;
use super::guarded::Unreadable;
use super::pod::PodRecord;
use super::reading::{LimitRecord, Source};
use super::workload::{WorkloadKey, WorkloadRecord};
use crate::api::BudgetKey;
use crate::api::{DbConnectionBudget, Excess, WorkloadKind};
use crate::budget::amount::Connections;
use crate::cluster::pod::version;
use crate::database::{self, Allowed, Doubt};
use crate::evidence::{Reading, Silence};

/// How long the name of a deleted object is remembered, in seconds: longer than any list can take.
const TOMBSTONE_SECONDS: u64 = 300;

/// A record that an [`Index`] can hold.
pub trait Record {
    /// Namespace and name.
    fn place(&self) -> (&str, &str);
    /// The group by which the records of a namespace are looked up.
    fn group(&self) -> Cow<'_, str>;
    /// A second such group.
    fn second_group(&self) -> Option<Cow<'_, str>> {
        None
    }
    /// The version of the object that it was read from; 0 when that is no number.
    fn version(&self) -> u64;
}

type Name = (String, String);

struct Held<T> {
    record: Arc<T>,
    /// When it was last confirmed, in steps of this index.
    confirmed: u64,
}

/// Records of one kind by name and by group.
pub struct Index<T> {
    held: HashMap<Name, Held<T>>,
    groups: HashMap<Name, BTreeSet<String>>,
    tombstones: HashMap<Name, (u64, u64)>,
    /// Objects that cannot be read, and when that was last seen, in steps of this index.
    unreadable: HashMap<Name, (Unreadable, u64)>,
    step: u64,
    relist: Option<u64>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self {
            held: HashMap::new(),
            groups: HashMap::new(),
            tombstones: HashMap::new(),
            unreadable: HashMap::new(),
            step: 0,
            relist: None,
        }
    }
}

impl<T: Record + PartialEq> Index<T> {
    /// Changes the record of this name where `change` says that it has changed something.
    fn amend(&mut self, namespace: &str, name: &str, change: impl FnOnce(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        let Some(held) = self.held.get_mut(&owned((namespace, name))) else { return false };
        let mut record = T::clone(&held.record);
        let changed = change(&mut record);
        if changed {
            held.record = Arc::new(record);
        }
        changed
    }

    /// Takes in a record unless a newer one is known. Returns the record and the one that it replaced, or nothing if
    /// nothing is new.
    pub fn apply(&mut self, record: T) -> Vec<Arc<T>> {
        self.step += 1;
        let name = owned(record.place());
        // A version that is no number says nothing: whatever comes later then counts as newer.
        let unknown = record.version() == 0;
        if !unknown && self.tombstones.get(&name).is_some_and(|(version, _)| record.version() <= *version) {
            return Vec::new();
        }
        if let Some(held) = self.held.get_mut(&name) {
            held.confirmed = self.step;
            if !unknown && held.record.version() >= record.version() {
                return Vec::new();
            }
        }
        self.tombstones.remove(&name);
        self.unreadable.remove(&name);
        let record = Arc::new(record);
        let old = self.held.insert(name.clone(), Held { record: Arc::clone(&record), confirmed: self.step });
        let old = old.map(|held| held.record);
        let groups = |record: &T| (record.group().into_owned(), record.second_group().map(Cow::into_owned));
        let new = groups(&record);
        if old.as_ref().is_none_or(|old| groups(old) != new) {
            if let Some(old) = &old {
                self.ungroup(old);
            }
            for group in [Some(new.0), new.1].into_iter().flatten() {
                self.groups.entry((name.0.clone(), group)).or_default().insert(name.1.clone());
            }
        }
        old.into_iter().chain([record]).collect()
    }

    /// Forgets a record. `version` is that of the deletion.
    pub fn delete(&mut self, namespace: &str, name: &str, version: u64, now: u64) -> Option<Arc<T>> {
        let key = owned((namespace, name));
        if version > 0 && self.held.get(&key).is_some_and(|held| held.record.version() > version) {
            return None;
        }
        self.unreadable.remove(&key);
        self.tombstones.retain(|_, (_, at)| now.saturating_sub(*at) < TOMBSTONE_SECONDS);
        self.tombstones.insert(key.clone(), (version, now));
        self.remove(&key)
    }

    /// The object of this name was seen and cannot be read. Its last record stays until there is another one.
    pub fn mark_unreadable(&mut self, key: &BudgetKey, object: &Unreadable) {
        self.step += 1;
        let name = owned((&key.namespace, &key.name));
        if let Some(held) = self.held.get_mut(&name) {
            held.confirmed = self.step;
        }
        self.unreadable.insert(name, (object.clone(), self.step));
    }

    /// Why the object of this name cannot be read, when it cannot.
    #[must_use]
    pub fn unreadable(&self, namespace: &str, name: &str) -> Option<&Unreadable> {
        self.unreadable.get(&owned((namespace, name))).map(|(object, _)| object)
    }

    /// A watch begins a new list.
    pub fn begin_relist(&mut self) {
        self.relist = Some(self.step);
    }

    /// A watch has finished a new list: records not confirmed meanwhile are gone.
    pub fn end_relist(&mut self) -> Vec<Arc<T>> {
        let Some(began) = self.relist.take() else { return Vec::new() };
        self.unreadable.retain(|_, (_, seen)| *seen > began);
        let gone: Vec<Name> = self
            .held
            .iter()
            .filter(|(_, held)| held.confirmed <= began)
            .map(|(name, _)| name.clone())
            .collect();
        gone.iter().filter_map(|name| self.remove(name)).collect()
    }

    fn remove(&mut self, key: &Name) -> Option<Arc<T>> {
        let record = self.held.remove(key)?.record;
        self.ungroup(&record);
        Some(record)
    }

    fn ungroup(&mut self, record: &T) {
        let (namespace, name) = record.place();
        for group in [Some(record.group()), record.second_group()].into_iter().flatten() {
            let group = owned((namespace, &group));
            if let Some(names) = self.groups.get_mut(&group) {
                names.remove(name);
                if names.is_empty() {
                    self.groups.remove(&group);
                }
            }
        }
    }

    /// The record of this name.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.held.get(&owned((namespace, name))).map(|held| Arc::clone(&held.record))
    }

    /// The records of a group, by name.
    #[must_use]
    pub fn group(&self, namespace: &str, group: &str) -> Vec<Arc<T>> {
        let names = self.groups.get(&owned((namespace, group)));
        names.into_iter().flatten().filter_map(|name| self.find(namespace, name)).collect()
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All records.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.held.values().map(|held| &held.record)
    }
}

fn owned((a, b): (&str, &str)) -> Name {
    (a.to_owned(), b.to_owned())
}

impl Record for PodRecord {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
    fn group(&self) -> Cow<'_, str> {
        self.budget().into()
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for WorkloadRecord {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.key.name)
    }
    /// The workload of a part; the budget of the template of a workload. No budget name has a slash.
    fn group(&self) -> Cow<'_, str> {
        match &self.owner {
            Some(owner) => owner.to_string().into(),
            None => self.template.budget.as_deref().unwrap_or_default().into(),
        }
    }
    /// No object says which budget a group is in: its parts do.
    fn second_group(&self) -> Option<Cow<'_, str>> {
        self.is_grouped().then(|| self.template.budget.as_deref().unwrap_or_default().into())
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for AutoscalerRecord {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
    fn group(&self) -> Cow<'_, str> {
        self.target.to_string().into()
    }
    fn version(&self) -> u64 {
        self.version
    }
}

impl Record for DbConnectionBudget {
    fn place(&self) -> (&str, &str) {
        let meta = &self.metadata;
        (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }
    fn group(&self) -> Cow<'_, str> {
        "".into()
    }
    fn version(&self) -> u64 {
        version(&self.metadata)
    }
}

/// Everything that was observed.
#[derive(Default)]
pub struct World {
    /// Budgets.
    pub budgets: Index<DbConnectionBudget>,
    /// Labelled pods, grouped by budget.
    pub pods: Index<PodRecord>,
    /// What makes pods.
    pub workloads: Workloads,
    /// Autoscalers, grouped by what they scale.
    pub autoscalers: Index<AutoscalerRecord>,
    departures: HashMap<BudgetKey, Vec<Departure>>,
    /// What pods say of their pools, by uid.
    evidence: HashMap<String, Evidence>,
    /// Why pods gave no answer, by uid.
    silences: HashMap<String, Silence>,
    /// What a former leader saw pods hold, by uid, until their records come.
    seen_before: HashMap<String, Connections>,
    /// What was read of the limits of budgets.
    limits: HashMap<BudgetKey, LimitRecord>,
}

/// How a pod, or containers in it, went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departed {
    /// The object is gone, and nobody saw its containers end.
    Vanished,
    /// All its containers were seen to have ended.
    Ended,
    /// Containers in it ended and were started again, this often since it was last seen.
    Restarted(u64),
}

/// A pod that went, or in which containers went.
#[derive(Clone, Debug)]
pub struct Departure {
    /// The pod, as it was seen last.
    pub pod: Arc<PodRecord>,
    /// What went.
    pub how: Departed,
}

impl World {
    /// The budgets that a workload takes part in: by its label or template, and by its older revisions.
    #[must_use]
    pub fn budgets_of(&self, namespace: &str, workload: &WorkloadKey) -> BTreeSet<BudgetKey> {
        let own = self.workloads.with_template(namespace, self.workloads.find(namespace, workload));
        let own = own.iter().flat_map(|record| [record.template.budget.clone(), record.label.clone()]);
        let parts = self.workloads.parts(namespace, workload);
        let parts = parts.iter().map(|part| part.template.budget.clone());
        own.chain(parts).flatten().map(|budget| BudgetKey::new(namespace, &budget)).collect()
    }

    /// Takes in a pod. If another one had its name, that one is gone, and nobody reported how it ended: a new list, or
    /// the answer to a request, shows the successor of a StatefulSet's pod and says nothing about its predecessor.
    pub fn see_pod(&mut self, mut pod: PodRecord) -> Vec<Arc<PodRecord>> {
        pod.seen = self.seen(&pod.uid);
        let touched = self.pods.apply(pod);
        if let [old, new] = &touched[..] {
            if old.uid == new.uid {
                self.note_change(old, new);
            } else {
                self.note_gone(old, false);
            }
        }
        touched
    }

    /// Takes in what a pod says of its pools. Returns whether it counts for more now, or has another verdict.
    pub fn see_evidence(&mut self, namespace: &str, name: &str, uid: &str, reading: Reading) -> bool {
        let Some(pod) = self.pods.find(namespace, name).filter(|pod| pod.uid == uid) else { return false };
        let earlier = self.evidence.get(uid).copied();
        let new = Evidence::of(&pod, reading);
        let new = earlier.map_or(new, |earlier| new.after(earlier));
        self.silences.remove(uid);
        self.evidence.insert(uid.to_owned(), new);
        let more = self.raise(namespace, name, uid, new.seen);
        more || earlier.map(|earlier| earlier.verdict) != Some(new.verdict)
    }

    /// Takes in what a former leader saw a pod hold beyond its grant.
    fn see_former_excess(&mut self, namespace: &str, name: &str, uid: &str, beyond: Connections) {
        let Some(pod) = self.pods.find(namespace, name).filter(|pod| pod.uid == uid) else { return };
        let seen = pod.hold().bill().plus(beyond);
        let before = self.seen_before.entry(uid.to_owned()).or_default();
        *before = seen.max(*before);
        self.raise(namespace, name, uid, seen);
    }

    /// Takes in what was read of the limit of a budget, or why nothing was. Returns whether that may change what the budget
    /// says or does at once: everything but which connections are open.
    pub fn see_limit(
        &mut self,
        key: &BudgetKey,
        source: &Source,
        answer: Result<database::Reading, Doubt>,
        now: Timestamp,
    ) -> bool {
        let pods = self.pods.group(&key.namespace, &key.name);
        let budget = self.budgets.find(&key.namespace, &key.name);
        let status = budget.as_ref().and_then(|budget| budget.status.as_ref());
        let new = || LimitRecord::new(source.clone(), status.and_then(|status| status.limit.as_ref()));
        let record = self.limits.entry(key.clone()).or_insert_with(new);
        if record.source != *source {
            *record = new();
        }
        let said = |record: &LimitRecord| {
            let number = |allowed: &Allowed| allowed.connections;
            let newest = record.newest.as_ref().map(|(allowed, _)| allowed.clone());
            (newest, record.before.as_ref().map(number), record.doubt.clone())
        };
        let earlier = said(record);
        let counted = record.take(answer, &pods, now);
        let news = said(record) != earlier;
        let mut more = false;
        for pod in &pods {
            let Some(open) = counted.get(&pod.uid) else { continue };
            let open = Connections::new(*open);
            // The connections of a lost predecessor of this name are in quarantine, and count there.
            let gone = status.map_or(&[][..], |status| &status.ledger.quarantine);
            if open > pod.hold().bill() && !gone.iter().any(|entry| entry.pod == pod.name) {
                let before = self.seen_before.entry(pod.uid.clone()).or_default();
                *before = open.max(*before);
                more |= self.raise(&pod.namespace, &pod.name, &pod.uid, open);
            }
        }
        news || more
    }

    /// What was read of the limit of a budget.
    #[must_use]
    pub fn limit(&self, key: &BudgetKey) -> Option<&LimitRecord> {
        self.limits.get(key)
    }

    /// Forgets what was read of all budgets but these.
    pub fn keep_limits(&mut self, of: impl Fn(&BudgetKey) -> bool) {
        self.limits.retain(|key, _| of(key));
    }

    /// Takes in all that the status of a budget says about pods that hold more than their grants.
    pub fn see_former_excesses(&mut self, namespace: &str, entries: &[Excess]) {
        for entry in entries {
            let beyond = Connections::new(u64::try_from(entry.connections).unwrap_or(0));
            self.see_former_excess(namespace, &entry.pod, &entry.uid, beyond);
        }
    }

    fn raise(&mut self, namespace: &str, name: &str, uid: &str, seen: Connections) -> bool {
        self.pods.amend(namespace, name, |pod| {
            let more = pod.uid == uid && seen > pod.seen;
            pod.seen = if more { seen } else { pod.seen };
            more
        })
    }

    /// The most that a pod was seen to hold.
    fn seen(&self, uid: &str) -> Connections {
        let by_its_answers = self.evidence.get(uid).map(|evidence| evidence.seen);
        by_its_answers.max(self.seen_before.get(uid).copied()).unwrap_or_default()
    }

    /// What a pod says of its pools.
    #[must_use]
    pub fn evidence(&self, uid: &str) -> Option<&Evidence> {
        self.evidence.get(uid)
    }

    /// A pod was asked and gave no answer that is understood.
    pub fn see_silence(&mut self, uid: &str, silence: Silence) {
        self.silences.insert(uid.to_owned(), silence);
    }

    /// Why a pod gave no answer when it was asked last.
    #[must_use]
    pub fn silence(&self, uid: &str) -> Option<Silence> {
        self.silences.get(uid).copied()
    }

    /// Forgets what pods said that are gone.
    pub fn tidy_evidence(&mut self) {
        let there: HashSet<&str> = self.pods.iter().map(|pod| pod.uid.as_str()).collect();
        self.silences.retain(|uid, _| there.contains(uid.as_str()));
        self.evidence.retain(|uid, _| there.contains(uid.as_str()));
        self.seen_before.retain(|uid, _| there.contains(uid.as_str()));
    }

    /// Notes a pod that is gone. If it did not show that its containers had ended, because it was force-deleted or its
    /// node is lost, its connections may still be open. What its status said about containers does not count: a kubelet
    /// reports late. Nor does it count that it was on no node, if `last` is older than its end.
    pub fn note_gone(&mut self, last: &PodRecord, is_final: bool) {
        if !last.ended && (last.bound || !is_final) {
            self.note(last, Departed::Vanished);
        }
        let before = self.pods.find(&last.namespace, &last.name).filter(|before| before.uid == last.uid);
        if let Some(before) = before {
            self.note_change(&before, last);
        }
    }

    /// Notes what ended in a pod since it was last seen.
    fn note_change(&mut self, old: &PodRecord, new: &PodRecord) {
        if new.ended && !old.ended && new.bound {
            self.note(new, Departed::Ended);
        }
        let restarts = new.restarts.saturating_sub(old.restarts);
        if restarts > 0 {
            self.note(new, Departed::Restarted(restarts));
        }
    }

    fn note(&mut self, pod: &PodRecord, how: Departed) {
        if pod.hold().is_grant() {
            let key = BudgetKey::new(&pod.namespace, pod.budget());
            let pod = Arc::new(PodRecord { seen: self.seen(&pod.uid), ..pod.clone() });
            self.departures.entry(key).or_default().push(Departure { pod, how });
        }
    }

    /// Takes out what was noted for a budget.
    pub fn take_departures(&mut self, key: &BudgetKey) -> Vec<Departure> {
        self.departures.remove(key).unwrap_or_default()
    }

    /// What made a pod: its workload, or a part of that. None when that is not known yet, or of no known kind.
    #[must_use]
    pub fn maker_of(&self, pod: &PodRecord) -> Option<Arc<WorkloadRecord>> {
        self.workloads.find(&pod.namespace, &pod.maker())
    }

    /// The workload that a pod belongs to. None when that is not known yet.
    #[must_use]
    pub fn workload_of(&self, pod: &PodRecord) -> Option<WorkloadKey> {
        let maker = pod.maker();
        match maker.kind {
            WorkloadKind::Pod => Some(maker),
            _ => self.workloads.find(&pod.namespace, &maker).map(|maker| maker.workload().clone()),
        }
    }
}

/// What makes pods, one index for each kind, because each kind is listed by itself.
#[derive(Default)]
pub struct Workloads(HashMap<WorkloadKind, Index<WorkloadRecord>>);

impl Workloads {
    /// The records of a kind.
    pub fn of_kind(&mut self, kind: WorkloadKind) -> &mut Index<WorkloadRecord> {
        self.0.entry(kind).or_default()
    }

    /// The record of this key.
    #[must_use]
    pub fn find(&self, namespace: &str, key: &WorkloadKey) -> Option<Arc<WorkloadRecord>> {
        self.0.get(&key.kind)?.find(namespace, &key.name)
    }

    /// The record of a workload: of its object, or of all Jobs that are one workload. If a budget is named, only of the
    /// Jobs that are in it.
    #[must_use]
    pub fn workload(
        &self,
        namespace: &str,
        key: &WorkloadKey,
        budget: Option<&str>,
    ) -> Option<Arc<WorkloadRecord>> {
        let jobs = self.jobs(namespace, key, budget);
        if jobs.is_empty() {
            return self.with_template(namespace, self.find(namespace, key));
        }
        WorkloadRecord::of_jobs(key, &jobs).map(Arc::new)
    }

    /// The record with the template of the object that it takes it from, if any; if that object is not seen, with that
    /// of its newest part, which was made from it.
    fn with_template(
        &self,
        namespace: &str,
        record: Option<Arc<WorkloadRecord>>,
    ) -> Option<Arc<WorkloadRecord>> {
        let record = record?;
        let Some(lender) = &record.lender else { return Some(record) };
        let lender = lender.key.as_ref().and_then(|key| self.find(namespace, key));
        let newest = || self.parts(namespace, &record.key).into_iter().max_by_key(|part| part.revision);
        let Some(source) = lender.or_else(newest) else { return Some(record) };
        let template = source.template.clone();
        Some(Arc::new(WorkloadRecord { template, ..WorkloadRecord::clone(&record) }))
    }

    /// The Jobs and CronJobs that are one workload by their label, and the Job that has its name.
    #[must_use]
    pub fn jobs(&self, namespace: &str, key: &WorkloadKey, budget: Option<&str>) -> Vec<Arc<WorkloadRecord>> {
        if key.kind != WorkloadKind::Job {
            return Vec::new();
        }
        let is_in = |job: &Arc<WorkloadRecord>| budget.is_none() || job.template.budget.as_deref() == budget;
        let mut jobs = self.parts(namespace, key);
        jobs.retain(is_in);
        if !jobs.is_empty() {
            jobs.extend(self.find(namespace, key).filter(|job| job.owner.is_none() && is_in(job)));
        }
        jobs
    }

    /// The objects whose template names this budget, or none if `budget` is empty, by kind and name. Without the parts
    /// of other objects.
    #[must_use]
    pub fn of_budget(&self, namespace: &str, budget: &str) -> Vec<Arc<WorkloadRecord>> {
        self.group(namespace, budget)
    }

    /// All records.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<WorkloadRecord>> {
        self.0.values().flat_map(Index::iter)
    }

    /// The parts of a workload, by kind and name.
    #[must_use]
    pub fn parts(&self, namespace: &str, workload: &WorkloadKey) -> Vec<Arc<WorkloadRecord>> {
        self.group(namespace, &workload.to_string())
    }

    fn group(&self, namespace: &str, group: &str) -> Vec<Arc<WorkloadRecord>> {
        let kinds = WorkloadKind::ALL.into_iter().filter_map(|kind| self.0.get(&kind));
        kinds.flat_map(|index| index.group(namespace, group)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    #[derive(Debug, PartialEq)]
    struct Thing {
        name: &'static str,
        group: &'static str,
        version: u64,
    }

    impl Record for Thing {
        fn place(&self) -> (&str, &str) {
            ("n", self.name)
        }
        fn group(&self) -> Cow<'_, str> {
            self.group.into()
        }
        fn version(&self) -> u64 {
            self.version
        }
    }

    fn thing(name: &'static str, version: u64) -> Thing {
        Thing { name, group: "g", version }
    }

    #[test]
    fn an_older_answer_does_not_turn_the_view_back() {
        let mut index = Index::default();
        index.apply(thing("a", 5));
        assert!(index.apply(thing("a", 4)).is_empty());
        assert_eq!(index.find("n", "a").map(|t| t.version), Some(5));
    }

    #[test]
    fn a_list_that_raced_with_a_deletion_does_not_bring_the_object_back() {
        let mut index = Index::default();
        index.apply(thing("a", 5));
        index.delete("n", "a", 6, 0);
        assert!(index.apply(thing("a", 5)).is_empty());
        assert!(index.is_empty());
    }

    #[test]
    fn an_object_made_anew_under_the_same_name_is_seen() {
        let mut index = Index::default();
        index.apply(thing("a", 5));
        index.delete("n", "a", 6, 0);
        assert_eq!(index.apply(thing("a", 7)).len(), 1);
    }

    #[test]
    fn a_relist_drops_what_it_did_not_confirm_and_keeps_what_came_meanwhile() {
        let mut index = Index::default();
        index.apply(thing("gone", 1));
        index.apply(thing("stays", 2));
        index.begin_relist();
        index.apply(thing("new", 9));
        index.apply(thing("stays", 2));
        let gone: Vec<_> = index.end_relist().iter().map(|t| t.name).collect();
        assert_eq!(gone, ["gone"]);
        assert_eq!(index.group("n", "g").iter().map(|t| t.name).collect::<Vec<_>>(), ["new", "stays"]);
    }

    #[test]
    fn where_the_version_is_no_number_the_later_one_is_the_newer() {
        let mut index = Index::default();
        index.apply(thing("a", 0));
        index.apply(Thing { name: "a", group: "h", version: 0 });
        assert_eq!(index.find("n", "a").map(|t| t.group), Some("h"));
        assert!(index.delete("n", "a", 0, 0).is_some());
        assert_eq!(index.apply(thing("a", 0)).len(), 1);
    }

    fn unreadable() -> Unreadable {
        Unreadable { metadata: ObjectMeta::default(), why: "spec: no".into() }
    }

    #[test]
    fn an_object_that_cannot_be_read_any_more_keeps_its_last_record() {
        let mut index = Index::default();
        index.apply(thing("bad", 1));
        index.apply(thing("gone", 1));
        index.begin_relist();
        index.mark_unreadable(&BudgetKey::new("n", "bad"), &unreadable());
        assert_eq!(index.end_relist().iter().map(|t| t.name).collect::<Vec<_>>(), ["gone"]);
        assert_eq!(index.unreadable("n", "bad"), Some(&unreadable()));
    }

    #[test]
    fn an_object_is_unreadable_until_it_is_read_or_gone() {
        let mut index = Index::default();
        let one = BudgetKey::new("n", "a");
        index.mark_unreadable(&one, &unreadable());
        index.apply(thing("a", 2));
        assert_eq!(index.unreadable("n", "a"), None);
        index.mark_unreadable(&one, &unreadable());
        index.delete("n", "a", 3, 0);
        assert_eq!(index.unreadable("n", "a"), None);
        index.mark_unreadable(&one, &unreadable());
        index.begin_relist();
        index.end_relist();
        assert_eq!(index.unreadable("n", "a"), None);
    }

    #[test]
    fn an_object_that_changes_its_group_is_found_in_the_new_one_only() {
        let mut index = Index::default();
        index.apply(thing("a", 1));
        index.apply(Thing { name: "a", group: "h", version: 2 });
        assert!(index.group("n", "g").is_empty());
        assert_eq!(index.group("n", "h").len(), 1);
    }
}
