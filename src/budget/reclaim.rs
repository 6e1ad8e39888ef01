//! Reclaiming: which pods are ended so that a refused pod that is entitled fits (protocol §5, a, b, c).
//!
//! In: the ledger, the terms, the pods, how much is missing. Out: candidates, in the order in which to try them; the
//! caller ends the first one that the cluster allows and then decides afresh. One pod at a time: the caller sees what
//! it frees before the next one is chosen.

use std::cmp::Reverse;

use super::adoption::{self, HeldUp};
use super::amount::{Connections, Pods};
use super::assessment::Assessment;
use super::grant::Grants;
use super::ledger::{Hold, Ledger, Pod};
use super::rollout::Nature;

/// An unready pod of a superseded revision is left alone until it reaches this age, in seconds.
pub const PATIENCE: u64 = 60;

/// A pod that is not ready at this age, in seconds, is assumed never to become ready. It is the Deployment controller's
/// default progress deadline for a rollout.
pub const DEADLINE: u64 = 600;

/// Why a pod should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It waits beyond the replicas and will not be granted. Its controller would end it only once it is ready.
    Stalled,
    /// (a) It is unready and superseded, while a pod of the newest revision waits.
    Superseded,
    /// It is beyond the replicas, and its controller does not end it because another pod of the workload waits.
    Leaving,
    /// It escaped the gate, and a younger pod of its workload passed through the gate.
    Escaped,
    /// (b) It holds more than its workload's share.
    Oversize,
    /// (c) Its workload has more pods than the budget can ever carry.
    Surplus,
}

/// How a pod is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Through the Eviction API: a PodDisruptionBudget may refuse it.
    Evict,
    /// Deleted: it is not ready, so no PodDisruptionBudget counts on it.
    Delete,
}

impl Cause {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stalled => "Stalled",
            Self::Superseded => "Superseded",
            Self::Leaving => "Leaving",
            Self::Escaped => "Escaped",
            Self::Oversize => "Oversize",
            Self::Surplus => "Surplus",
        }
    }

    /// How a pod is ended for this cause.
    #[must_use]
    pub const fn ending(self) -> Ending {
        match self {
            Self::Stalled | Self::Superseded => Ending::Delete,
            Self::Leaving | Self::Escaped | Self::Oversize | Self::Surplus => Ending::Evict,
        }
    }
}

/// A pod that should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Index of the pod in the view that was decided on.
    pub pod: usize,
    /// Why.
    pub cause: Cause,
}

/// What to do so that the refused pods fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reclaim {
    /// Pods to end, best first. At most one of them goes per decision.
    pub candidates: Vec<Candidate>,
    /// Draining pods will give back all that is missing: waiting is enough.
    pub draining: bool,
    /// How many connections are missing; none when no entitled pod was refused and no more is committed than available.
    pub missing: Option<Connections>,
    /// A workload whose new pods cannot connect because pods from before its label hold the connections.
    pub foreign: Option<HeldUp>,
}

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Holdings<'a> {
    /// limit − reserved. What escaped pods hold is not subtracted: no granted pod is ended because of them.
    pub available: Connections,
    /// The sums as they were before the grants of this decision.
    pub ledger: &'a Ledger,
    /// The workloads.
    pub workloads: &'a [Assessment],
    /// The pods.
    pub pods: &'a [Pod],
    /// Whether every wanted pod has a slot now.
    pub fits: bool,
    /// Whether every wanted pod would have one if no pod had escaped; surplus pods are ended only when this is false.
    pub ever_fits: bool,
    /// Whether running pods may be evicted at all.
    pub eviction: bool,
}

impl Holdings<'_> {
    /// Whether a rule holds for a workload; false for one that is not known.
    fn of(&self, workload: usize, rule: impl FnOnce(&Assessment) -> bool) -> bool {
        self.workloads.get(workload).is_some_and(rule)
    }
}

/// Chooses which pods to end, given what was just granted and refused.
#[must_use]
pub fn reclaim(holdings: &Holdings<'_>, grants: &Grants) -> Reclaim {
    let mut found = for_the_refused(holdings, grants);
    // Stalled pods hold nothing, and they are in the way even when no pod is refused.
    found.candidates.splice(0..0, stalled(holdings));
    found.foreign = adoption::held_up(holdings);
    found
}

fn for_the_refused(holdings: &Holdings<'_>, grants: &Grants) -> Reclaim {
    let over = holdings.ledger.committed.minus(holdings.available);
    let missing = grants.shortfall().or((over > Connections::ZERO).then_some(over));
    let mut unhurried = if holdings.eviction { escaped(holdings, may_lose_one) } else { Vec::new() };
    let Some(missing) = missing else {
        let candidates = if holdings.fits { unhurried } else { slots(holdings, grants, unhurried) };
        return Reclaim { candidates, ..Reclaim::default() };
    };
    if holdings.ledger.draining >= missing {
        return Reclaim { candidates: unhurried, draining: true, missing: Some(missing), foreign: None };
    }
    let mut candidates = superseded(holdings, grants);
    if holdings.eviction {
        candidates.extend(leaving(holdings, grants));
        unhurried.extend(oversize(holdings, may_lose_one));
        candidates.extend(if unhurried.is_empty() { stuck(holdings, grants) } else { unhurried });
        if !holdings.ever_fits {
            candidates.extend(surplus(holdings));
        }
    }
    Reclaim { candidates, draining: false, missing: Some(missing), foreign: None }
}

/// Pods that wait beyond the replicas of an ordered StatefulSet while another such pod is not ready either. Its
/// controller ends the highest pod first, if it is ready or the only unready one, and so it ends none of these.
fn stalled(holdings: &Holdings<'_>) -> Vec<Candidate> {
    let one_by_one = |workload: usize| holdings.of(workload, |workload| workload.rightful.one_by_one);
    let mut sick = pods_where(holdings, |pod, workload| pod.leaving && !pod.ready && one_by_one(workload));
    sick.sort_by_key(|&(_, pod)| (Reverse(pod.created), pod.uid.as_str()));
    let alone = |pod: &Pod| sick.iter().filter(|(_, other)| other.workload == pod.workload).count() < 2;
    let stalled = sick.iter().filter(|(_, pod)| pod.hold == Hold::Waiting && !alone(pod));
    stalled.map(|(pod, _)| Candidate { pod: *pod, cause: Cause::Stalled }).collect()
}

/// When some wanted pods have no slot, pods wait although the sum does not refuse them. Only two sorts of pod are ended
/// for them: one that has a slot but makes no use of it, and an escaped one, whose connections reduce the slots.
fn slots(holdings: &Holdings<'_>, grants: &Grants, unhurried: Vec<Candidate>) -> Vec<Candidate> {
    if grants.refused.is_empty() {
        return unhurried;
    }
    let mut candidates = superseded(holdings, grants);
    if unhurried.is_empty() && holdings.eviction {
        let at_last = stuck(holdings, grants).into_iter();
        candidates.extend(at_last.filter(|candidate| candidate.cause == Cause::Escaped));
    } else {
        candidates.extend(unhurried);
    }
    candidates
}

/// For each workload, whether it has a refused pod for which `like_this` holds.
fn waits(holdings: &Holdings<'_>, grants: &Grants, like_this: impl Fn(&Pod) -> bool) -> Vec<bool> {
    let mut waits = vec![false; holdings.workloads.len()];
    for (index, _) in &grants.refused {
        if let Some(pod) = holdings.pods.get(*index).filter(|pod| like_this(pod))
            && let Some(flag) = pod.workload.and_then(|w| waits.get_mut(w))
        {
            *flag = true;
        }
    }
    waits
}

/// Pods beyond the replicas of a workload that has another pod waiting: the controller of an ordered StatefulSet ends
/// none before that one is ready. No pod takes their place.
fn leaving(holdings: &Holdings<'_>, grants: &Grants) -> Vec<Candidate> {
    let waits = waits(holdings, grants, |_| true);
    let mut found = pods_where(holdings, |pod, workload| {
        pod.leaving && matches!(pod.hold, Hold::Granted(_)) && waits.get(workload) == Some(&true)
    });
    found.sort_by_key(|&(_, pod)| (pod.ready, Reverse(pod.created), pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Leaving }).collect()
}

/// (a) Unready granted pods of superseded revisions whose workload has a waiting pod of the newest.
fn superseded(holdings: &Holdings<'_>, grants: &Grants) -> Vec<Candidate> {
    let waits = waits(holdings, grants, |pod| pod.current);
    let mut found = pods_where(holdings, |pod, workload| {
        matches!(pod.hold, Hold::Granted(_))
            && !pod.ready
            && !pod.current
            && pod.age >= PATIENCE
            && waits.get(workload) == Some(&true)
    });
    found.sort_by_key(|&(_, pod)| (Reverse(pod.hold.bill()), pod.created, pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Superseded }).collect()
}

/// Escaped pods of workloads in which a younger pod passed through the gate: their successors will not escape.
fn escaped(holdings: &Holdings<'_>, may: impl Fn(&Assessment) -> bool) -> Vec<Candidate> {
    let mut youngest = vec![i64::MIN; holdings.workloads.len()];
    for pod in holdings.pods.iter().filter(|pod| !pod.terminating && !matches!(pod.hold, Hold::Escaped(_))) {
        if let Some(created) = pod.workload.and_then(|w| youngest.get_mut(w)) {
            *created = pod.created.max(*created);
        }
    }
    let mut found = pods_where(holdings, |pod, workload| {
        matches!(pod.hold, Hold::Escaped(_))
            // Times are whole seconds: a pod created in the same second may be the younger one.
            && youngest.get(workload).is_some_and(|created| *created >= pod.created)
            && holdings.of(workload, |workload| is_replaced(workload) && may(workload))
    });
    found.sort_by_key(|&(_, pod)| (pod.ready, Reverse(pod.hold.bill()), pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Escaped }).collect()
}

/// (b) Oversize pods of workloads that may lose one: the workload furthest above its share first, in it unready first.
fn oversize(holdings: &Holdings<'_>, may: impl Fn(&Assessment) -> bool) -> Vec<Candidate> {
    let mut found = pods_where(holdings, |pod, workload| {
        holdings.of(workload, |workload| is_oversize(pod, workload) && is_replaced(workload) && may(workload))
    });
    found.sort_by_key(|&(_, pod)| {
        let above = pod.workload.and_then(|w| holdings.workloads.get(w)).map_or(0, above_share);
        (Reverse(above), pod.ready, Reverse(pod.hold.bill()), Reverse(pod.created), pod.uid.as_str())
    });
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Oversize }).collect()
}

/// For the case that no escaped or oversize pod may go, because too few pods of their workloads are ready and waiting
/// will not change that. Causes: lost pods are refused since the limit was lowered, or since pods without a reserve
/// (just adopted, escaped, or with more instances than those they replace) took their room, or an image never becomes
/// ready. Without an exception this would last for ever, so one pod is ended anyway, if nothing else is on its way.
fn stuck(holdings: &Holdings<'_>, grants: &Grants) -> Vec<Candidate> {
    let mut starting = vec![false; holdings.workloads.len()];
    for pod in holdings.pods.iter().filter(|pod| starts(pod)) {
        if let Some(flag) = pod.workload.and_then(|w| starting.get_mut(w)) {
            *flag = true;
        }
    }
    let replaced = |workload: &Assessment| {
        let standing = workload.standing;
        let at_the_gate = standing.admitted.plus(standing.waiting) >= workload.protected();
        // A controller that makes pods one by one makes no more while one of them waits or does not become ready.
        let held_up = standing.waiting > Pods::ZERO || standing.ready < standing.admitted;
        at_the_gate || (workload.rightful.one_by_one && held_up)
    };
    let at_rest = |workload: usize| holdings.of(workload, replaced) && starting.get(workload) == Some(&false);
    let mut candidates = escaped(holdings, |_| true);
    candidates.extend(oversize(holdings, |_| true));
    let workload = |candidate: &Candidate| holdings.pods.get(candidate.pod).and_then(|pod| pod.workload);
    let nothing_on_its_way = grants.granted.is_empty()
        && holdings.ledger.draining_pods == Pods::ZERO
        && candidates.iter().filter_map(workload).all(at_rest);
    if nothing_on_its_way { candidates } else { Vec::new() }
}

/// Whether the pod is granted and, as far as can be known, soon ready.
fn starts(pod: &Pod) -> bool {
    let young = !pod.ready && pod.age < DEADLINE;
    pod.admitted() && (young || matches!(pod.hold, Hold::InFlight(_)))
}

/// Whether another pod takes the place of one that is ended. Work that would be lost is not ended to make room.
fn is_replaced(workload: &Assessment) -> bool {
    workload.rightful.nature == Nature::Service
}

fn is_oversize(pod: &Pod, workload: &Assessment) -> bool {
    matches!(pod.hold, Hold::Granted(bill) if bill > workload.measure().bill)
}

/// (c) The newest pods of workloads that have more than their slots.
fn surplus(holdings: &Holdings<'_>) -> Vec<Candidate> {
    let mut found = pods_where(holdings, |pod, workload| {
        let too_many = |workload: &Assessment| {
            let (measure, standing) = (workload.measure(), workload.standing);
            // The older pods of a hopeless workload could not come back.
            is_replaced(workload)
                && !measure.hopeless
                && standing.admitted > measure.slots
                && standing.draining < measure.unavailable.max(Pods::ONE)
        };
        matches!(pod.hold, Hold::Granted(_)) && holdings.of(workload, too_many)
    });
    found.sort_by_key(|&(_, pod)| (Reverse(pod.created), pod.ready, pod.uid.as_str()));
    found.into_iter().map(|(pod, _)| Candidate { pod, cause: Cause::Surplus }).collect()
}

/// Pods of known workloads that are not terminating and for which `rule` holds.
fn pods_where<'a>(holdings: &Holdings<'a>, rule: impl Fn(&Pod, usize) -> bool) -> Vec<(usize, &'a Pod)> {
    let mut found = Vec::new();
    for (index, pod) in holdings.pods.iter().enumerate() {
        if !pod.terminating && pod.workload.is_some_and(|workload| rule(pod, workload)) {
            found.push((index, pod));
        }
    }
    found
}

/// At most max(1, V) pods of a workload go at a time, and only while ready − 1 ≥ baseline − max(1, V).
pub(super) fn may_lose_one(workload: &Assessment) -> bool {
    let at_once = workload.rightful.unavailable.max(Pods::ONE);
    let ready_after = i64::from(workload.standing.ready.get()) - 1;
    workload.standing.draining < at_once
        && ready_after >= i64::from(workload.protected().get()) - i64::from(at_once.get())
}

/// How far the bills of a workload's pods are above slots × bill.
fn above_share(workload: &Assessment) -> i128 {
    let measure = workload.measure();
    i128::from(workload.standing.admitted_bills.get())
        - i128::from(measure.bill.get()) * i128::from(measure.slots.get())
}

#[cfg(test)]
mod tests;
