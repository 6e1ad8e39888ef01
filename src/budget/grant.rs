//! Grant decisions: which waiting pods get how many connections now (protocol §5, classes 0a, 0t, 0b, 1).
//!
//! In: what may be used, what is committed, the workloads, the queue. Out: grants, and for each pod
//! that is not granted the reason. The one rule behind all others: committed + bill ≤ usable.

use super::amount::{Connections, Pods};
use super::assessment::Assessment;
use super::ledger::Pod;
use super::plan::Share;
use super::queue::{self, Class};

/// A pod that waits this many seconds, as head of the queue or as a task, is not passed by pods of the last class.
pub const PATIENCE: u64 = 30;

/// A pod that replaces a draining pod waits so many seconds for the room of that pod: a pod granted a small size keeps
/// it for life.
pub const PATIENCE_FOR_SIZE: u64 = 120;

/// A size for one waiting pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Index of the pod in the view that was decided on.
    pub pod: usize,
    /// Connections of each of its instances.
    pub size: Connections,
    /// Connections of the whole pod.
    pub bill: Connections,
}

/// Why a waiting pod was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its owner is not known (yet), or of a kind that is not supported.
    NoWorkload,
    /// All slots of its workload are taken: it waits for a pod of its own workload to go.
    NoSlot,
    /// It is entitled, but `missing` connections are not free.
    NoRoom {
        /// How many connections more would have to be free.
        missing: Connections,
    },
    /// An older pod has waited so long that no pod may pass it.
    Behind,
    /// Tasks are arriving; they are sized together when no more come.
    Burst,
}

/// What an entitled pod asked for when it was refused for lack of room, and the sums against it: committed + kept +
/// bill > usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Index of the pod in the view that was decided on.
    pub pod: usize,
    /// Its class.
    pub class: Class,
    /// The smallest bill that it could have been granted.
    pub bill: Connections,
    /// What was committed, including grants of the same decision.
    pub committed: Connections,
    /// What was kept for pods of higher classes.
    pub kept: Connections,
    /// How many connections more would have to be free.
    pub missing: Connections,
}

/// The outcome for the whole queue, in queue order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Pods to be granted.
    pub granted: Vec<Grant>,
    /// Pods that keep waiting, with the reason.
    pub refused: Vec<(usize, Refusal)>,
    /// One for each pod that was refused for lack of room.
    pub wants: Vec<Want>,
}

impl Grants {
    /// The connections that are missing for the first entitled pod that was refused for lack of room, if there is one.
    #[must_use]
    pub fn shortfall(&self) -> Option<Connections> {
        self.refused.iter().find_map(|(_, refusal)| match refusal {
            Refusal::NoRoom { missing } => Some(*missing),
            _ => None,
        })
    }
}

/// Grants every waiting pod what it would use without a budget, whatever the sum.
#[must_use]
pub fn at_their_own_sizes(pods: &[Pod]) -> Grants {
    let waiting = pods.iter().enumerate().filter(|(_, pod)| pod.waits());
    let granted = waiting.map(|(index, pod)| Grant { pod: index, size: pod.own.size, bill: pod.own.bill });
    Grants { granted: granted.collect(), ..Grants::default() }
}

/// How much may be committed in all; escaped pods are already subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// By any grant.
    pub usable: Connections,
    /// By the grant of a lost pod: more than `usable` on [the way down](super::descent).
    pub lost: Connections,
}

impl From<Connections> for Bounds {
    fn from(usable: Connections) -> Self {
        Self { usable, lost: usable }
    }
}

/// Decides over all waiting pods.
#[must_use]
pub fn grants(
    bounds: impl Into<Bounds>,
    committed: Connections,
    workloads: &[Assessment],
    pods: &[Pod],
) -> Grants {
    let mut tally = Tally::new(bounds.into(), committed, workloads);
    let mut outcome = Grants::default();
    let mut left = queue::order(pods);
    for served in [Class::Lost, Class::Task, Class::Surge, Class::Rest] {
        left = tally.serve(served, left, pods, &mut outcome);
    }
    for index in left {
        let workload = pods.get(index).and_then(|pod| pod.workload).filter(|w| *w < workloads.len());
        let refusal = if workload.is_some() { Refusal::NoSlot } else { Refusal::NoWorkload };
        outcome.refused.push((index, refusal));
    }
    outcome
}

/// The running sums while a queue is served. Wide integers, so that subtracting what was added is exact.
struct Tally<'a> {
    workloads: &'a [Assessment],
    /// The pods of each workload that stand, with those that were just granted.
    admitted: Vec<Pods>,
    usable: u128,
    usable_for_lost: u128,
    committed: u128,
    kept: Kept,
    /// A pod has waited so long that no other pod may pass it.
    blocked: bool,
}

/// Room that is kept, for one workload or for all.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// Σ max(0, b − adm) · smallest bill: the minimum that lost pods need.
    least: u128,
    /// Σ max(0, b − adm) · c: the room of lost pods (R3).
    lost: u128,
    /// Σ max(0, b + ρ − adm) · c: the same plus the surge slots without which rollouts hang (R1).
    owed: u128,
}

impl Kept {
    fn of(workload: &Assessment, admitted: Pods) -> Self {
        let (share, baseline) = (workload.share, workload.entitled());
        let room =
            |pods: Pods, bill: Connections| u128::from(pods.minus(admitted).get()) * u128::from(bill.get());
        Self {
            least: room(baseline, share.min.per_pod(share.instances)),
            lost: room(baseline, share.bill),
            owed: room(baseline.plus(share.rho).min(share.slots), share.bill),
        }
    }

    fn replace(&mut self, before: Self, after: Self) {
        self.least = self.least + after.least - before.least;
        self.lost = self.lost + after.lost - before.lost;
        self.owed = self.owed + after.owed - before.owed;
    }
}

impl<'a> Tally<'a> {
    fn new(bounds: Bounds, committed: Connections, workloads: &'a [Assessment]) -> Self {
        // The largest number means that a sum overflowed, so nothing may fit into it.
        let bound = |connections: Connections| u128::from(connections.get().min(u64::MAX - 1));
        let mut kept = Kept::default();
        for workload in workloads {
            kept.replace(Kept::default(), Kept::of(workload, workload.standing.admitted));
        }
        Self {
            workloads,
            admitted: workloads.iter().map(|w| w.standing.admitted).collect(),
            usable: bound(bounds.usable),
            usable_for_lost: bound(bounds.lost),
            committed: u128::from(committed.get()),
            kept,
            blocked: false,
        }
    }

    fn class(&self, index: usize) -> Option<(Class, &'a Assessment)> {
        let workload = self.workloads.get(index)?;
        let admitted = self.admitted.get(index)?;
        Some((queue::class(*admitted, workload.entitled(), &workload.share), workload))
    }

    /// Serves the pods of one class in order; returns the pods of other classes.
    fn serve(&mut self, served: Class, queue: Vec<usize>, pods: &[Pod], outcome: &mut Grants) -> Vec<usize> {
        let mut left = Vec::with_capacity(queue.len());
        for index in queue {
            let Some(pod) = pods.get(index) else { continue };
            let Some((own, (class, workload))) = pod.workload.and_then(|w| Some((w, self.class(w)?))) else {
                left.push(index);
                continue;
            };
            if class != served {
                left.push(index);
                continue;
            }
            if class == Class::Rest && self.blocked {
                outcome.refused.push((index, Refusal::Behind));
                continue;
            }
            match self.fit(class, workload, index, pod) {
                Ok(grant) => {
                    self.admit(own, grant.bill);
                    outcome.granted.push(grant);
                }
                Err(want) => {
                    self.blocked |= matches!(class, Class::Task | Class::Rest) && pod.age >= PATIENCE;
                    outcome.refused.push((index, Refusal::NoRoom { missing: want.missing }));
                    outcome.wants.push(want);
                }
            }
        }
        left
    }

    /// The grant that fits for this pod now, or the sums that rule out any grant.
    fn fit(&self, class: Class, workload: &Assessment, index: usize, pod: &Pod) -> Result<Grant, Want> {
        let Share { min, instances, .. } = workload.share;
        let (kept, others) = match class {
            // Its own smallest bill is already part of the sum.
            Class::Lost => (0, self.kept.least.saturating_sub(u128::from(min.per_pod(instances).get()))),
            Class::Task | Class::Surge => (self.kept.lost, 0),
            Class::Rest | Class::Beyond => (self.kept.owed, 0),
        };
        let usable = if class == Class::Lost { self.usable_for_lost } else { self.usable };
        let taken = self.committed + kept;
        let refused = |bill: Connections, sum: u128| {
            let (committed, kept) =
                (narrow(self.committed), narrow(sum - self.committed - u128::from(bill.get())));
            let missing = narrow(sum - usable);
            Err(Want { pod: index, class, bill, committed, kept, missing })
        };
        let (least, most) = sizes(class, &workload.share, pod);
        let bill = least.per_pod(pod.instances);
        let smallest = taken + u128::from(bill.get());
        if smallest > usable {
            return refused(bill, smallest);
        }
        let full = most.per_pod(pod.instances);
        let largest = taken + others + u128::from(full.get());
        let with_returning = usable + u128::from(workload.standing.returning.get());
        if class == Class::Lost
            && pod.age < PATIENCE_FOR_SIZE
            && (usable < largest && largest <= with_returning)
        {
            return refused(full, largest);
        }
        // A lost pod gets its smallest size if that much is free, and more only if the other lost pods can spare it.
        let spare = usable.saturating_sub(taken + others) / u128::from(pod.instances.get());
        let size = narrow(spare).clamp(least, most);
        Ok(Grant { pod: index, size, bill: size.per_pod(pod.instances) })
    }

    fn admit(&mut self, workload: usize, bill: Connections) {
        self.committed += u128::from(bill.get());
        if let (Some(workload), Some(admitted)) =
            (self.workloads.get(workload), self.admitted.get_mut(workload))
        {
            let before = Kept::of(workload, *admitted);
            *admitted = admitted.plus(Pods::ONE);
            self.kept.replace(before, Kept::of(workload, *admitted));
        }
    }
}

/// The number, or the largest one that fits.
fn narrow(sum: u128) -> Connections {
    Connections::new(u64::try_from(sum).unwrap_or(u64::MAX))
}

/// The smallest and the largest size for a pod. Only lost pods may come back smaller than planned. A pod with more
/// instances than planned for its workload gets smaller ones; otherwise it would be oversize from its grant on and be
/// evicted for it. No pod gets a size that its pools would not obey.
fn sizes(class: Class, share: &Share, pod: &Pod) -> (Connections, Connections) {
    let own = Connections::new(share.bill.get() / u64::from(pod.instances.get()));
    let most = own.clamp(share.min.min(share.size), share.size).max(pod.least);
    (if class == Class::Lost { share.min.max(pod.least).min(most) } else { most }, most)
}

#[cfg(test)]
mod tests;
