//! One budget as the core sees it: from the records of the world to a [`Situation`].
//!
//! In: the world, a budget with its carried status, the time. Out: a [`Scene`]: the situation, and the records
//! behind its pods and workloads in the same order, so that a decision can be turned back into patches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::autoscaler::AutoscalerRecord;
use super::evidence::Evidence;
use super::pod::PodRecord;
use super::spec;
use super::template::AppFacts;
use super::workload::{WorkloadKey, WorkloadRecord};
use super::world::World;
use crate::api::BudgetKey;
use crate::api::{
    Baseline, DbConnectionBudgetSpec, DbConnectionBudgetStatus, EvictionPolicy, GrantInFlight, Mode,
    WorkloadKind,
};
use crate::budget::amount::{Connections, Pods};
use crate::budget::basis::Rung;
use crate::budget::burst;
use crate::budget::decide::{Enforcement, Situation, Workload};
use crate::budget::descent::Past;
use crate::budget::ledger::{Hold, Own, Pod, Unadopted};
use crate::budget::plan::Demand;
use crate::budget::rollout::Nature;
use crate::budget::split::Knobs;
use crate::evidence::Silence;

/// The note for an app that no variable governs.
const COUNTED: &str = "its size is counted, not governed: no variable sets it, so the app itself must keep to what \
                       its annotation poolbudget.dev/connections-per-process or its profile says";

/// One instant of one budget, with the records behind it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The core's values.
    pub situation: Situation,
    /// The record behind each pod of the situation.
    pub pods: Vec<Arc<PodRecord>>,
    /// What the core does not need to know about each workload of the situation.
    pub workloads: Vec<WorkloadFacts>,
    /// What pods report of their pools, by their place; only those that have answered.
    pub evidence: BTreeMap<usize, Evidence>,
    /// A pod that was asked and gave no answer, and why.
    pub silent: Option<(String, Silence)>,
}

/// What the core does not need to know about a workload.
#[derive(Clone, Debug)]
pub struct WorkloadFacts {
    /// Its kind and name.
    pub key: WorkloadKey,
    /// Its replicas that another scheduling gate holds: nothing is planned for them until that gate is gone.
    pub held: Pods,
    /// Its place on the ladder.
    pub rung: Option<Rung>,
    /// Why its annotations cannot be used.
    pub fault: Option<String>,
    /// Which sizes can be set on the pools of its newest pods.
    pub knobs: Knobs,
    /// Its label names the budget, but its template does not: its pods pass the gate.
    pub unmirrored: bool,
    /// A sentence if the object whose pod template it takes does not exist.
    pub missing: Option<String>,
    /// The fewest replicas that its autoscalers allow.
    pub least_replicas: Option<Pods>,
    /// What its user should know about it.
    pub note: Option<&'static str>,
    /// Whether its newest revision is made from its present template.
    pub newest: bool,
    /// The most pods from before its label that it can have from now on.
    pub foreign_at_most: Pods,
    /// Its record.
    pub record: Arc<WorkloadRecord>,
}

impl WorkloadFacts {
    /// All that its user should know about it.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let stays = self.fault.is_none() && !self.unmirrored;
        let remark = self.record.template.processes_remark.as_deref().filter(|_| stays);
        let unread = self.record.template.unread.as_deref().filter(|_| stays);
        self.note.into_iter().chain(remark).chain(unread).chain(self.missing.as_deref().filter(|_| stays))
    }

    /// Why its pods pass the gate although it has the label; none if they do not.
    #[must_use]
    pub fn passes(&self) -> Option<String> {
        let borrowed = self.record.lender.as_ref().map(|lender| &lender.name);
        self.unmirrored.then(|| match (&self.missing, borrowed) {
            (Some(missing), _) => format!("has the label, but {missing}"),
            (None, Some(lender)) => format!(
                "has the label, but its pod template, which is that of {lender}, does not, so its pods are not gated: label \
                 that template"
            ),
            (None, None) => {
                "has the label, but its pod template does not, so its pods are not gated: label the template too".to_owned()
            }
        })
    }

    /// What says that its pods run this many processes.
    #[must_use]
    pub fn processes_from(&self, processes: u32) -> &str {
        let template = &self.record.template;
        // Where an older revision runs more, that number counts.
        if template.processes == processes {
            &template.processes_from
        } else {
            "from a pod or an older revision of it"
        }
    }
}

/// What the spec of a budget says.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// limit − reserved.
    pub available: Connections,
    /// How the plan is enforced.
    pub enforcement: Enforcement,
    /// Whether the spec has changed since the status that answers it.
    pub edited: bool,
}

/// Collects what a budget governs.
#[must_use]
pub fn scene(
    world: &World,
    key: &BudgetKey,
    spec: &DbConnectionBudgetSpec,
    status: &DbConnectionBudgetStatus,
    terms: Terms,
    now: Timestamp,
) -> Scene {
    let Terms { available, edited, .. } = terms;
    // Pods that are only called over do not count here; they are in quarantine.
    let stands = |pod: &Arc<PodRecord>| !pod.ended && !pod.doubtful;
    let pods: Vec<Arc<PodRecord>> =
        world.pods.group(&key.namespace, &key.name).into_iter().filter(stands).collect();
    let roll = Roll::of(world, &pods);
    let carried = status.ledger.baselines.iter().map(|w| ((w.kind, w.name.as_str()), w)).collect();
    let stage = Stage { world, key, spec, carried, roll: &roll, now };
    let gathered: Vec<(Workload, WorkloadFacts)> =
        stage.workloads().iter().filter_map(|workload| stage.gather(workload)).collect();
    let (workloads, labelled): (Vec<Workload>, Vec<WorkloadFacts>) = gathered.into_iter().unzip();
    let place: HashMap<&WorkloadKey, usize> = labelled.iter().enumerate().map(|(i, w)| (&w.key, i)).collect();
    // This controller writes no entry without bounds: it decides anew on the pod of such an entry.
    let in_flight: HashMap<&str, &GrantInFlight> = status
        .ledger
        .grants
        .iter()
        .filter(|grant| grant.is_bounded())
        .map(|grant| (grant.uid.as_str(), grant))
        .collect();
    let newest = newest_revisions(world, key, &labelled);
    let situation = Situation {
        enforcement: terms.enforcement,
        available,
        surge: spec::surge(spec),
        basis: spec::basis(spec),
        eviction: spec.eviction_policy == EvictionPolicy::Allowed,
        pods: pods
            .iter()
            .map(|pod| core_pod(world, pod, &place, &newest, &in_flight, now))
            .map(|pod| if spec.mode == Mode::Gate { pod } else { at_liberty(pod) })
            .collect(),
        quarantine: status
            .ledger
            .quarantine
            .iter()
            .map(|entry| Connections::new(u64::try_from(entry.connections).unwrap_or(u64::MAX)))
            .collect(),
        // In the other modes no pod is held, so nothing has to come down.
        past: Past {
            high_water: status.ledger.high_water.filter(|_| status.ledger.mode == Mode::Gate).map(number),
            committed: edited.then(|| allowed(status)),
        },
        workloads,
    };
    let evidence = pods.iter().enumerate();
    let evidence = evidence.filter_map(|(index, pod)| Some((index, *world.evidence(&pod.uid)?))).collect();
    let silent = pods.iter().find_map(|pod| Some((pod.name.clone(), world.silence(&pod.uid)?)));
    Scene { situation, pods, workloads: labelled, evidence, silent }
}

/// What one budget is gathered from.
struct Stage<'a> {
    world: &'a World,
    key: &'a BudgetKey,
    spec: &'a DbConnectionBudgetSpec,
    /// What the status says about each workload.
    carried: HashMap<(WorkloadKind, &'a str), &'a Baseline>,
    roll: &'a Roll<'a>,
    now: Timestamp,
}

/// The pods of a budget, gathered once because there may be many pods and many workloads.
struct Roll<'a> {
    /// By what made them.
    made: HashMap<WorkloadKey, Vec<&'a PodRecord>>,
    /// By their workload.
    of: HashMap<WorkloadKey, Vec<&'a PodRecord>>,
}

impl<'a> Roll<'a> {
    fn of(world: &World, pods: &'a [Arc<PodRecord>]) -> Self {
        let mut roll = Self { made: HashMap::new(), of: HashMap::new() };
        for pod in pods {
            roll.made.entry(pod.maker()).or_default().push(pod);
            if let Some(workload) = world.workload_of(pod) {
                roll.of.entry(workload).or_default().push(pod);
            }
        }
        roll
    }

    fn made_by(&self, workload: &WorkloadKey) -> &[&'a PodRecord] {
        self.made.get(workload).map_or(&[], Vec::as_slice)
    }

    fn pods_of(&self, workload: &WorkloadKey) -> &[&'a PodRecord] {
        self.of.get(workload).map_or(&[], Vec::as_slice)
    }
}

impl Stage<'_> {
    /// Workloads whose template or label names the budget, or that still have pods in it.
    fn workloads(&self) -> BTreeSet<WorkloadKey> {
        let BudgetKey { namespace, name } = self.key;
        let workloads = &self.world.workloads;
        let named = workloads.of_budget(namespace, name);
        // Labelled, but with a template that lacks the label, or with that of another object: grouped under no budget.
        let mut others = workloads.of_budget(namespace, "");
        others.retain(|record| {
            let takes = || workloads.workload(namespace, &record.key, Some(name))?.template.budget.clone();
            record.label.as_ref() == Some(name) || (record.lender.is_some() && takes().as_ref() == Some(name))
        });
        let records = named.into_iter().chain(others).map(|record| record.workload().clone());
        records.chain(self.roll.of.keys().cloned()).collect()
    }

    fn gather(&self, workload: &WorkloadKey) -> Option<(Workload, WorkloadFacts)> {
        let mine = |budget: &Option<String>| budget.as_ref() == Some(&self.key.name);
        let made = self.roll.made_by(workload);
        let record = match workload.kind {
            WorkloadKind::Pod => Arc::new(WorkloadRecord::of_loose_pods(workload, made)?),
            _ => self.world.workloads.workload(&self.key.namespace, workload, Some(&self.key.name))?,
        };
        // Finished Jobs may be many, and stay for as long as somebody wants to read their logs.
        if workload.kind == WorkloadKind::Job && !record.makes_pods() && !self.has_pods(workload) {
            return None;
        }
        let parts = match workload.kind {
            WorkloadKind::Job => {
                self.world.workloads.jobs(&self.key.namespace, workload, Some(&self.key.name))
            }
            _ => self.world.workloads.parts(&self.key.namespace, workload),
        };
        let newest = parts.iter().max_by_key(|part| part.revision);
        let newest = newest.is_none_or(|part| part.template == record.template);
        let (own, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| mine(&part.template.budget));
        let stays = mine(&record.template.budget);
        let scaled = self.autoscaled(workload);
        let asked = wanted(&record, stays, &own, made);
        let wanted = scaled.filter(|_| stays).map_or(asked, |range| range.raised(asked));
        let carried = self.carried.get(&(workload.kind, workload.name.as_str())).copied();
        let settings = spec::settings(self.spec, workload);
        // The Deployment controller leaves its older sets as small as it finds them.
        let yields = workload.kind == WorkloadKind::Deployment;
        let mut unadopted =
            if stays { Unadopted { yields, ..unadopted(&others) } } else { Unadopted::default() };
        let mut foreign_at_most = unadopted.pods;
        if stays && !matches!(record.strategy.nature(), Nature::Task | Nature::Loose) {
            let (before, most) = before_its_label(&record, made, wanted, carried);
            unadopted = unadopted.plus(before);
            foreign_at_most = foreign_at_most.plus(most);
        }
        let replicas = self.beside_what_is_held(workload, wanted, unadopted.pods);
        let held = wanted.minus(replicas);
        let ceiling = record.ceiling.map(|most| most.saturating_sub(held.get()));
        let ceiling = scaled.map(|range| range.most).or(settings.max_replicas).or(ceiling);
        let ceiling = ceiling.filter(|_| stays).map(Pods::new);
        let seconds = u64::try_from(self.now.as_second()).unwrap_or(0);
        let (pods, rung) = spec::basis(self.spec).pods(replicas, ceiling, carried.and_then(rung), seconds);
        let apps = apps(&record, stays, &own, made);
        let (processes, engines) = widest(&apps);
        let baseline = carried.map(|w| Pods::new(u32::try_from(w.replicas).unwrap_or(0)));
        let stated_min = Connections::new(u64::from(settings.min));
        let demand = Demand {
            name: workload.to_string(),
            replicas,
            pods,
            baseline: baseline.unwrap_or(replicas),
            strategy: record.strategy,
            processes,
            engines,
            min: least(&apps).max(stated_min),
            needed_by: neediest(&apps).filter(|app| app.least() > stated_min).and_then(AppFacts::needed_by),
            max: most(&apps).or(settings.max.map(|max| Connections::new(u64::from(max)))),
            weight: settings.weight,
        };
        let labelled = WorkloadFacts {
            key: workload.clone(),
            held,
            rung,
            fault: stays.then(|| fault(&record.template)).flatten(),
            knobs: apps.first().map_or(Knobs::BOTH, |app| app.knobs()),
            unmirrored: record.label.as_ref() == Some(&self.key.name) && !stays,
            missing: self.missing_lender(&record),
            least_replicas: scaled.map(|range| Pods::new(range.least)),
            note: record
                .note
                .filter(|_| settings.max_replicas.is_none())
                .or(record.template.is_counted().then_some(COUNTED)),
            newest,
            foreign_at_most,
            record: Arc::clone(&record),
        };
        Some((Workload { demand, carried: baseline, observed: record.observed, unadopted }, labelled))
    }

    /// The replicas that need room now: without those whose only pod is held by another scheduling gate. Like the pods
    /// of a suspended Job, these hold nothing, no slot and no room, until their time has come.
    fn beside_what_is_held(&self, workload: &WorkloadKey, wanted: Pods, unadopted: Pods) -> Pods {
        let stay = || self.roll.pods_of(workload).iter().filter(|pod| stands(self.world, pod));
        let count = |n: usize| Pods::new(u32::try_from(n).unwrap_or(u32::MAX));
        let held = count(stay().filter(|pod| pod.gated && pod.other_gates.is_some()).count());
        if held == Pods::ZERO {
            return wanted;
        }
        let others = count(stay().filter(|pod| pod.other_gates.is_none()).count());
        wanted.min(wanted.minus(held).max(others.plus(unadopted)))
    }

    /// A sentence if the object whose pod template a workload takes does not exist; only for kinds that are followed.
    fn missing_lender(&self, record: &WorkloadRecord) -> Option<String> {
        let lender = record.lender.as_ref()?;
        let is_there = |key| self.world.workloads.find(&self.key.namespace, key).is_some();
        let missing = !is_there(lender.key.as_ref()?);
        missing.then(|| format!("it uses the pod template of {}, which does not exist", lender.name))
    }

    fn has_pods(&self, workload: &WorkloadKey) -> bool {
        !self.roll.pods_of(workload).is_empty()
    }

    /// The range of replicas in which the autoscalers of a workload keep it.
    fn autoscaled(&self, workload: &WorkloadKey) -> Option<Range> {
        let scalers = self.world.autoscalers.group(&self.key.namespace, &workload.to_string());
        let range =
            |scaler: &AutoscalerRecord| Range { least: scaler.min_replicas, most: scaler.max_replicas };
        scalers
            .iter()
            .map(|scaler| range(scaler))
            .reduce(|a, b| Range { least: a.least.max(b.least), most: a.most.max(b.most) })
    }
}

/// The range of replicas in which autoscalers keep a workload.
#[derive(Clone, Copy)]
struct Range {
    least: u32,
    most: u32,
}

impl Range {
    /// The replicas that there will soon be if `asked` are wanted. An autoscaler does not touch what is scaled to zero.
    fn raised(self, asked: Pods) -> Pods {
        if asked == Pods::ZERO { asked } else { asked.max(Pods::new(self.least)) }
    }
}

/// Whether a pod is one that its controller counts on.
fn stands(world: &World, pod: &PodRecord) -> bool {
    !pod.terminating && !world.maker_of(pod).is_some_and(|maker| maker.sends_away(pod))
}

/// The replicas that a workload wants from a budget. A workload whose template has left the budget wants what is not
/// replaced yet: its rollout may wait for exactly these pods to become ready.
fn wanted(record: &WorkloadRecord, stays: bool, own: &[Arc<WorkloadRecord>], made: &[&PodRecord]) -> Pods {
    let kind = record.key.kind;
    let has_parts = matches!(kind, WorkloadKind::Deployment | WorkloadKind::Rollout | WorkloadKind::CronJob);
    Pods::new(if stays && kind != WorkloadKind::CronJob {
        record.replicas
    } else if has_parts {
        own.iter().map(|part| part.replicas).fold(0, u32::saturating_add)
    } else {
        let stay = made.iter().filter(|pod| !pod.terminating && !record.sends_away(pod));
        u32::try_from(stay.count()).unwrap_or(u32::MAX)
    })
}

fn rung(carried: &Baseline) -> Option<Rung> {
    let ladder = carried.ladder.as_ref()?;
    Some(Rung {
        level: Pods::new(u32::try_from(ladder.level).unwrap_or(0)),
        lower_since: ladder.low_since.as_ref().and_then(|since| u64::try_from(since.0.as_second()).ok()),
    })
}

/// Why pods of a template can be given no size.
fn fault(template: &AppFacts) -> Option<String> {
    template.instances.clone().err().or_else(|| template.taken.clone()).or_else(|| template.overruled.clone())
}

/// What the revisions that may still make pods say about their app, the template first. Older revisions of a workload
/// without parts are known only from its pods.
fn apps<'a>(
    record: &'a WorkloadRecord,
    stays: bool,
    own: &'a [Arc<WorkloadRecord>],
    made: &[&'a PodRecord],
) -> Vec<&'a AppFacts> {
    let template = stays.then_some(&record.template);
    let parts = own.iter().filter(|part| part.makes_pods()).map(|part| &part.template);
    let pods = made.iter().filter(|pod| !pod.terminating).map(|pod| &pod.app);
    template.into_iter().chain(parts).chain(pods).collect()
}

/// Processes and engines of the app with the most pools in a pod.
fn widest(apps: &[&AppFacts]) -> (u32, u32) {
    apps.iter()
        .map(|app| (app.processes, app.engines))
        .max_by_key(|(processes, engines)| u64::from(*processes) * u64::from(*engines))
        .unwrap_or((1, 1))
}

/// The smallest size that all of them can be given.
fn least(apps: &[&AppFacts]) -> Connections {
    neediest(apps).map_or(Connections::ONE, AppFacts::least)
}

/// The app whose smallest size is the largest.
fn neediest<'a>(apps: &[&'a AppFacts]) -> Option<&'a AppFacts> {
    apps.iter().copied().max_by_key(|app| app.least())
}

/// The largest of their sizes, if no variable sets any of them.
fn most(apps: &[&AppFacts]) -> Option<Connections> {
    apps.iter().map(|app| app.fixed).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Pods that a workload has beside its labelled ones, and how many it may have from now on. Their number comes from a
/// status that lags behind the pods, so it may be too large or too small for a moment. But it never rises, because the
/// template has the label: the bound of the budget's last status holds, and a status that misses no pod lowers it.
fn before_its_label(
    record: &WorkloadRecord,
    labelled: &[&PodRecord],
    wanted: Pods,
    carried: Option<&Baseline>,
) -> (Unadopted, Pods) {
    if record.pods == 0 {
        return (Unadopted::default(), Pods::ZERO);
    }
    let count = |n: usize| Pods::new(u32::try_from(n).unwrap_or(u32::MAX));
    let others = Pods::new(record.pods).minus(count(labelled.len()));
    let staying = labelled.iter().filter(|pod| !pod.terminating && !record.sends_away(pod)).count();
    let before = carried.map(|carried| Pods::new(u32::try_from(carried.foreign).unwrap_or(0)));
    let before = match before {
        Some(before) if record.pods < wanted.get() => before,
        before => before.map_or(others, |before| before.min(others)),
    };
    let most = before.min(wanted.minus(count(staying)));
    let pods = others.min(most);
    let (ready, connections) = (pods.min(Pods::new(record.ready)), record.template.own.times(pods));
    (Unadopted { pods, ready, connections, yields: false }, most)
}

/// Pods of revisions without this budget's label. Those with another budget's label count too, but their connections
/// are on that budget.
fn unadopted(parts: &[Arc<WorkloadRecord>]) -> Unadopted {
    let mut sum = Unadopted::default();
    for part in parts {
        sum.pods = sum.pods.plus(Pods::new(part.pods));
        sum.ready = sum.ready.plus(Pods::new(part.ready.min(part.pods)));
        if part.template.budget.is_none() {
            sum.connections = sum.connections.plus(part.template.own.times(Pods::new(part.pods)));
        }
    }
    sum
}

/// The newest revision of each workload that has parts.
fn newest_revisions(world: &World, key: &BudgetKey, workloads: &[WorkloadFacts]) -> Vec<u64> {
    let newest = |w: &WorkloadFacts| {
        let parts = world.workloads.parts(&key.namespace, &w.key);
        parts.iter().map(|part| part.revision).max().unwrap_or(0)
    };
    workloads.iter().map(newest).collect()
}

/// A number of a status.
fn number(connections: i64) -> Connections {
    Connections::new(u64::try_from(connections).unwrap_or(0))
}

/// What a status committed within what it allowed: in mode Gate, anything above that was counted in case of doubt.
fn allowed(status: &DbConnectionBudgetStatus) -> Connections {
    number(if status.ledger.mode == Mode::Gate {
        status.committed.min(status.usable)
    } else {
        status.committed
    })
}

/// The connection count that a grant in flight states, but never less than its sizes come to.
fn in_flight_bill(pod: &PodRecord, grant: &GrantInFlight) -> Connections {
    let [pool_size, max_overflow] =
        [grant.pool_size, grant.max_overflow].map(|size| u64::try_from(size).unwrap_or(u64::MAX));
    let stated = Connections::new(u64::try_from(grant.connections).unwrap_or(u64::MAX));
    pod.bill_of(pool_size, max_overflow).max(stated)
}

/// In a mode that holds no pod, none escapes: a pod that runs by its own env holds what it should.
fn at_liberty(pod: Pod) -> Pod {
    let hold = match pod.hold {
        // A pod without a workload has no share that it could have.
        Hold::Escaped(own) if pod.workload.is_some() => Hold::Granted(own),
        hold => hold,
    };
    Pod { hold, ..pod }
}

/// Clocks of other machines may be ahead by this many seconds.
const AHEAD: i64 = 2;

/// Seconds since a pod was created. A creation time far in the future only shows that clocks differ; the pod must not
/// be the youngest until then, because others wait for young tasks to come.
fn age(created: i64, now: Timestamp) -> u64 {
    let age = now.as_second().saturating_sub(created);
    if age < -AHEAD { burst::LONGEST } else { u64::try_from(age).unwrap_or(0) }
}

fn core_pod(
    world: &World,
    pod: &PodRecord,
    place: &HashMap<&WorkloadKey, usize>,
    newest: &[u64],
    in_flight: &HashMap<&str, &GrantInFlight>,
    now: Timestamp,
) -> Pod {
    let maker = world.maker_of(pod);
    let workload = world.workload_of(pod).and_then(|workload| place.get(&workload)).copied();
    let revision = workload.and_then(|w| newest.get(w)).copied().unwrap_or(0);
    let hold = match pod.hold() {
        Hold::Waiting => in_flight
            .get(pod.uid.as_str())
            .map_or(Hold::Waiting, |grant| Hold::InFlight(in_flight_bill(pod, grant))),
        hold => hold,
    };
    let age = age(pod.created, now);
    let until_started = pod.scheduled.unwrap_or(pod.created).saturating_sub(pod.created);
    Pod {
        uid: pod.uid.clone(),
        name: pod.name.clone(),
        // A pod that can be given no size, or that another gate holds, is in no queue.
        workload: workload
            .filter(|_| hold != Hold::Waiting || (pod.other_gates.is_none() && pod.fault().is_none())),
        created: pod.created,
        age,
        hold,
        excess: pod.excess(),
        started: age.saturating_sub(u64::try_from(until_started).unwrap_or(0)),
        ready: pod.ready,
        terminating: pod.terminating,
        overdue: pod.due.is_some_and(|due| due < now.as_second()),
        leaving: maker.as_ref().is_some_and(|maker| maker.sends_away(pod)),
        current: maker.is_none_or(|maker| match maker.owner {
            Some(_) => maker.revision == revision,
            None => maker.is_newest(pod),
        }),
        instances: pod.instances(),
        least: pod.app.least(),
        own: own(pod),
    }
}

/// What it would hold without a budget.
fn own(pod: &PodRecord) -> Own {
    let own = pod.own_grant();
    let size = u64::from(own.pool_size).saturating_add(u64::from(own.max_overflow));
    Own { size: Connections::new(size), bill: Connections::new(own.connections) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_the_future_is_not_young_until_then() {
        let now = Timestamp::from_second(1000).expect("a time");
        let ages = [i64::MIN, 0, 990, 1000, 1002, 1003, i64::MAX].map(|created| age(created, now));
        assert_eq!(ages, [i64::MAX.unsigned_abs(), 1000, 10, 0, 0, 5, 5]);
    }
}
