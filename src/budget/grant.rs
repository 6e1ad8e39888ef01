//! Grant decisions: which waiting pods get how many connections now (protocol §5, classes 0a, 0b, 1).
//!
//! In: what may be used, what is committed, what each workload is allotted, the queue. Out: grants, and
//! a reason for every pod that is not granted. The one rule behind all others: committed + bill ≤ usable.

use super::amount::{Connections, Instances, Pods};
use super::ledger::{Ledger, Pod};
use super::plan::Share;
use super::queue::{self, Class};

/// After this many seconds at the head of the queue nobody passes it any more.
pub const PATIENCE: u64 = 30;

/// What a workload is allotted by the plan, and its settled count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allotment {
    /// Size, bill, slots.
    pub share: Share,
    /// The settled count (`b`).
    pub settled: Pods,
}

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
    /// An older pod has waited so long that nobody passes it.
    Behind,
}

/// The outcome for the whole queue, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Pods to be granted.
    pub granted: Vec<Grant>,
    /// Pods that wait on, with the reason.
    pub refused: Vec<(usize, Refusal)>,
}

impl Grants {
    /// The connections that the first entitled pod lacks, if one was refused for want of room.
    #[must_use]
    pub fn shortfall(&self) -> Option<Connections> {
        self.refused.iter().find_map(|(_, refusal)| match refusal {
            Refusal::NoRoom { missing } => Some(*missing),
            _ => None,
        })
    }
}

/// Decides over all waiting pods. `usable` is what may be committed in all, escaped pods taken off.
#[must_use]
pub fn grants(usable: Connections, ledger: &Ledger, allotments: &[Allotment], pods: &[Pod]) -> Grants {
    let mut tally = Tally::new(usable, ledger, allotments);
    let mut outcome = Grants::default();
    let mut left = queue::order(pods);
    for served in [Class::Lost, Class::Surge, Class::Rest] {
        left = tally.serve(served, left, pods, &mut outcome);
    }
    for index in left {
        let workload = pods.get(index).and_then(|pod| pod.workload).filter(|w| *w < allotments.len());
        let refusal = if workload.is_some() { Refusal::NoSlot } else { Refusal::NoWorkload };
        outcome.refused.push((index, refusal));
    }
    outcome
}

/// The running sums while a queue is served. Wide integers, so that taking off what was added is exact.
struct Tally<'a> {
    allotments: &'a [Allotment],
    admitted: Vec<Pods>,
    usable: u128,
    committed: u128,
    kept: Kept,
}

/// Room that is kept, of one workload or of all.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// Σ max(0, b − adm) · smallest bill: what lost pods cannot do without.
    least: u128,
    /// Σ max(0, b − adm) · c: the room of lost pods (R3).
    lost: u128,
    /// Σ max(0, b + ρ − adm) · c: that, and the surge slots without which rollouts hang (R1).
    owed: u128,
}

impl Kept {
    fn of(allotment: &Allotment, admitted: Pods) -> Self {
        let Allotment { share, settled } = allotment;
        let room =
            |pods: Pods, bill: Connections| u128::from(pods.minus(admitted).get()) * u128::from(bill.get());
        Self {
            least: room(*settled, share.min.per_pod(share.instances)),
            lost: room(*settled, share.bill),
            owed: room(settled.plus(share.rho), share.bill),
        }
    }

    fn replace(&mut self, before: Self, after: Self) {
        self.least = self.least + after.least - before.least;
        self.lost = self.lost + after.lost - before.lost;
        self.owed = self.owed + after.owed - before.owed;
    }
}

impl<'a> Tally<'a> {
    fn new(usable: Connections, ledger: &Ledger, allotments: &'a [Allotment]) -> Self {
        let admitted: Vec<Pods> = ledger.workloads.iter().map(|w| w.admitted).collect();
        let mut kept = Kept::default();
        for (allotment, admitted) in allotments.iter().zip(&admitted) {
            kept.replace(Kept::default(), Kept::of(allotment, *admitted));
        }
        Self {
            allotments,
            admitted,
            // The largest number stands for sums that overflowed, so nothing may fit into it.
            usable: u128::from(usable.get().min(u64::MAX - 1)),
            committed: u128::from(ledger.committed.get()),
            kept,
        }
    }

    fn class(&self, workload: usize) -> Option<(Class, &'a Allotment)> {
        let allotment = self.allotments.get(workload)?;
        let admitted = self.admitted.get(workload)?;
        Some((
            queue::class(*admitted, allotment.settled, allotment.share.rho, allotment.share.slots),
            allotment,
        ))
    }

    /// Serves the pods of one class in order; gives back those that are of another class.
    fn serve(&mut self, served: Class, queue: Vec<usize>, pods: &[Pod], outcome: &mut Grants) -> Vec<usize> {
        let mut left = Vec::with_capacity(queue.len());
        let mut blocked = false;
        for index in queue {
            let Some(pod) = pods.get(index) else { continue };
            let Some((workload, (class, allotment))) = pod.workload.and_then(|w| Some((w, self.class(w)?)))
            else {
                left.push(index);
                continue;
            };
            if class != served {
                left.push(index);
                continue;
            }
            if blocked {
                outcome.refused.push((index, Refusal::Behind));
                continue;
            }
            match self.fit(class, allotment, pod) {
                Ok((size, bill)) => {
                    self.admit(workload, bill);
                    outcome.granted.push(Grant { pod: index, size, bill });
                }
                Err(missing) => {
                    blocked = class == Class::Rest && pod.age >= PATIENCE;
                    outcome.refused.push((index, Refusal::NoRoom { missing }));
                }
            }
        }
        left
    }

    /// The size and bill that fit for this pod now, or the connections that are missing.
    fn fit(
        &self,
        class: Class,
        allotment: &Allotment,
        pod: &Pod,
    ) -> Result<(Connections, Connections), Connections> {
        let Share { min, instances, .. } = allotment.share;
        let (kept, others) = match class {
            // Its own smallest bill is part of the sum.
            Class::Lost => (0, self.kept.least.saturating_sub(u128::from(min.per_pod(instances).get()))),
            Class::Surge => (self.kept.lost, 0),
            Class::Rest | Class::Beyond => (self.kept.owed, 0),
        };
        let taken = self.committed + kept;
        let (least, most) = sizes(class, &allotment.share, pod.instances);
        let smallest = taken + u128::from(least.per_pod(pod.instances).get());
        if smallest > self.usable {
            let missing = u64::try_from(smallest - self.usable).unwrap_or(u64::MAX);
            return Err(Connections::new(missing));
        }
        // A lost pod takes its smallest size from whatever is free, more only from what the others can do without.
        let spare = self.usable.saturating_sub(taken + others) / u128::from(pod.instances.get());
        let size = Connections::new(u64::try_from(spare).unwrap_or(u64::MAX)).clamp(least, most);
        Ok((size, size.per_pod(pod.instances)))
    }

    fn admit(&mut self, workload: usize, bill: Connections) {
        self.committed += u128::from(bill.get());
        if let (Some(allotment), Some(admitted)) =
            (self.allotments.get(workload), self.admitted.get_mut(workload))
        {
            let before = Kept::of(allotment, *admitted);
            *admitted = admitted.plus(Pods::ONE);
            self.kept.replace(before, Kept::of(allotment, *admitted));
        }
    }
}

/// The smallest and the largest size for a pod of these instances. Lost pods alone may come back smaller than
/// planned. A pod with more instances than its workload was planned with gets smaller ones, or it would be
/// oversize from its grant on and be evicted for it.
fn sizes(class: Class, share: &Share, instances: Instances) -> (Connections, Connections) {
    let own = Connections::new(share.bill.get() / u64::from(instances.get()));
    let most = own.clamp(share.min.min(share.size), share.size);
    (if class == Class::Lost { share.min.min(most) } else { most }, most)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{Hold, Unadopted};
    use super::*;

    /// A workload of `size` per instance, with slots for 4, settled at 2.
    fn allotment(size: u64, rho: u32) -> Allotment {
        let share = Share {
            size: Connections::new(size),
            min: Connections::ONE,
            instances: Instances::ONE,
            bill: Connections::new(size),
            pods: Pods::new(4),
            slots: Pods::new(4),
            rho: Pods::new(rho),
            surge: Pods::ONE,
            unavailable: Pods::ONE.minus(Pods::new(rho)),
        };
        Allotment { share, settled: Pods::new(2) }
    }

    fn waiting(workload: usize, created: i64) -> Pod {
        Pod {
            uid: format!("uid-{created}"),
            name: format!("pod-{created}"),
            workload: Some(workload),
            created,
            age: 5,
            hold: Hold::Waiting,
            ready: false,
            terminating: false,
            current: true,
            instances: Instances::ONE,
        }
    }

    fn granted(workload: usize, bill: u64) -> Pod {
        Pod { hold: Hold::Granted(Connections::new(bill)), ready: true, ..waiting(workload, 0) }
    }

    fn outcome(usable: u64, allotments: &[Allotment], pods: &[Pod]) -> Grants {
        let unadopted = vec![Unadopted::default(); allotments.len()];
        let ledger = Ledger::of(pods, &unadopted, &[]);
        grants(Connections::new(usable), &ledger, allotments, pods)
    }

    /// (creation time, bill) of what is granted.
    fn bills(usable: u64, allotments: &[Allotment], pods: &[Pod]) -> Vec<(i64, u64)> {
        let granted = outcome(usable, allotments, pods).granted;
        granted.iter().map(|g| (pods[g.pod].created, g.bill.get())).collect()
    }

    fn no_room(missing: u64) -> Refusal {
        Refusal::NoRoom { missing: Connections::new(missing) }
    }

    #[test]
    fn a_lost_pod_takes_the_largest_size_that_fits() {
        let pods = [granted(0, 3), waiting(0, 1)];
        let with = |usable| bills(usable, &[allotment(3, 0)], &pods);
        assert_eq!(
            [with(7), with(6), with(5), with(4)],
            [vec![(1, 3)], vec![(1, 3)], vec![(1, 2)], vec![(1, 1)]]
        );
        assert_eq!(outcome(3, &[allotment(3, 0)], &pods).refused, [(1, no_room(1))]);
    }

    #[test]
    fn a_lost_pod_takes_more_than_the_smallest_size_only_from_what_other_lost_pods_can_do_without() {
        let mut two = allotment(4, 0);
        two.share.min = Connections::new(2);
        let pods = [granted(0, 3), waiting(0, 1), granted(1, 4), waiting(1, 2)];
        let with = |usable| bills(usable, &[allotment(3, 0), two], &pods);
        assert_eq!(with(14), [(1, 3), (2, 4)]);
        assert_eq!(with(12), [(1, 3), (2, 2)]);
        assert_eq!(with(11), [(1, 2), (2, 2)]);
        assert_eq!(with(10), [(1, 1), (2, 2)]);
        // Not even the smallest sizes of both: the first that fits.
        assert_eq!(with(8), [(1, 1)]);
    }

    #[test]
    fn a_lost_pod_never_comes_back_below_the_smallest_size() {
        let mut two = allotment(3, 0);
        two.share.min = Connections::new(2);
        assert_eq!(outcome(4, &[two], &[granted(0, 3), waiting(0, 1)]).refused, [(1, no_room(1))]);
    }

    #[test]
    fn a_lost_pod_pays_for_its_own_instances() {
        let four = Pod { instances: Instances::of(4, 1), ..waiting(0, 1) };
        let mut wide = allotment(2, 0);
        (wide.share.instances, wide.share.bill) = (Instances::of(4, 1), Connections::new(8));
        let pods = [granted(0, 2), four];
        assert_eq!(bills(10, &[wide], &pods), [(1, 8)]);
        assert_eq!(bills(9, &[wide], &pods), [(1, 4)]);
        assert_eq!(outcome(5, &[wide], &pods).refused, [(1, no_room(1))]);
    }

    #[test]
    fn a_pod_with_more_instances_than_planned_is_not_born_oversize() {
        let pods = [granted(0, 6), Pod { instances: Instances::of(3, 1), ..waiting(0, 1) }];
        assert_eq!(bills(100, &[allotment(6, 0)], &pods), [(1, 6)]);
    }

    #[test]
    fn other_pods_are_granted_the_planned_size_or_nothing() {
        let pods = [granted(0, 3), granted(0, 3), waiting(0, 1)];
        assert_eq!(bills(9, &[allotment(3, 0)], &pods), [(1, 3)]);
        assert_eq!(outcome(8, &[allotment(3, 0)], &pods).refused, [(2, no_room(1))]);
    }

    #[test]
    fn a_surge_pod_leaves_the_room_of_lost_pods_alone() {
        let (surging, short) = (allotment(3, 1), allotment(2, 0));
        let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2)];
        assert_eq!(bills(13, &[surging, short], &pods), [(1, 3)]);
        assert_eq!(outcome(12, &[surging, short], &pods).refused, [(2, no_room(1))]);
    }

    #[test]
    fn any_other_pod_leaves_the_room_of_surge_pods_alone_too() {
        let (growing, surging) = (allotment(3, 0), allotment(2, 1));
        let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2), granted(1, 2)];
        assert_eq!(bills(15, &[growing, surging], &pods), [(1, 3)]);
        assert_eq!(outcome(14, &[growing, surging], &pods).refused, [(2, no_room(1))]);
    }

    #[test]
    fn lost_pods_come_before_older_ones_of_other_classes() {
        let pods = [granted(0, 3), granted(0, 3), waiting(0, 1), granted(1, 2), waiting(1, 2)];
        assert_eq!(bills(13, &[allotment(3, 0), allotment(2, 0)], &pods), [(2, 2), (1, 3)]);
        assert_eq!(bills(12, &[allotment(3, 0), allotment(2, 0)], &pods), [(2, 2)]);
    }

    #[test]
    fn a_pod_beyond_the_slots_waits_for_its_own_workload() {
        let pods = [granted(0, 1), granted(0, 1), granted(0, 1), granted(0, 1), waiting(0, 1)];
        assert_eq!(outcome(100, &[allotment(1, 0)], &pods).refused, [(4, Refusal::NoSlot)]);
    }

    #[test]
    fn a_pod_of_an_unknown_workload_waits() {
        let pods = [Pod { workload: None, ..waiting(0, 1) }, waiting(7, 2)];
        let refused = outcome(100, &[allotment(1, 0)], &pods).refused;
        assert_eq!(refused, [(0, Refusal::NoWorkload), (1, Refusal::NoWorkload)]);
    }

    #[test]
    fn a_younger_pod_passes_one_that_does_not_fit_until_that_has_waited_long() {
        let (large, small) = (allotment(5, 0), allotment(1, 0));
        let stand = [granted(0, 5), granted(0, 5), granted(1, 1), granted(1, 1)];
        let with = |age| {
            let queue = [Pod { age, ..waiting(0, 1) }, waiting(1, 2)];
            let outcome = outcome(14, &[large, small], &[&stand[..], &queue].concat());
            (outcome.granted.len(), outcome.refused)
        };
        assert_eq!(with(29), (1, vec![(4, no_room(3))]));
        assert_eq!(with(30), (0, vec![(4, no_room(3)), (5, Refusal::Behind)]));
    }

    #[test]
    fn pods_that_stand_from_before_the_label_keep_their_successors_from_being_new() {
        let unadopted =
            Unadopted { pods: Pods::new(2), ready: Pods::new(2), connections: Connections::new(30) };
        let pods = [waiting(0, 1)];
        let ledger = Ledger::of(&pods, &[unadopted], &[]);
        let grants = |usable| grants(Connections::new(usable), &ledger, &[allotment(3, 1)], &pods);
        // A surge pod: the full size or nothing, though nothing is committed.
        assert_eq!(grants(3).granted.len(), 1);
        assert_eq!(grants(2).refused, [(0, no_room(1))]);
    }

    #[test]
    fn the_first_entitled_pod_that_was_refused_says_how_much_is_missing() {
        let stand = [granted(0, 3), granted(0, 3), granted(0, 3), granted(0, 3), granted(1, 9)];
        let pods = [&stand[..], &[waiting(0, 1), waiting(1, 2), waiting(1, 3)]].concat();
        let outcome = outcome(21, &[allotment(3, 0), allotment(9, 0)], &pods);
        assert_eq!(outcome.shortfall(), Some(Connections::ONE));
    }

    #[test]
    fn nothing_is_granted_into_a_limit_that_is_the_largest_number_there_is() {
        let mut huge = allotment(u64::MAX, 0);
        huge.share.min = Connections::MAX;
        let pods = [Pod { instances: Instances::of(2, 1), ..waiting(0, 1) }];
        assert_eq!(outcome(u64::MAX, &[huge], &pods).granted, []);
    }
}
