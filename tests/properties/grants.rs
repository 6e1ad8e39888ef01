//! Grants against the rule of the protocol, done pod by pod with nothing carried along.

use poolbudget::budget::decide::{Decision, Situation, decide};
use poolbudget::budget::grant::{PATIENCE_FOR_SIZE, Refusal};
use poolbudget::budget::ledger::{Hold, Pod};
use poolbudget::budget::rollout::Strategy as Rollout;
use proptest::prelude::*;

use crate::situations::{USUAL, situation};

/// Who is granted how much, in the order of the grants, and who is refused for what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    granted: Vec<(String, u64)>,
    refused: Vec<(String, Refusal)>,
}

/// What is known of a workload.
#[derive(Clone, Copy, Debug)]
struct Known {
    baseline: u64,
    rho: u64,
    task: bool,
    slots: u64,
    size: u64,
    min: u64,
    bill: u64,
    /// The bill of a pod of the smallest size.
    least: u64,
    /// Pods that stand before anything is granted.
    standing: u64,
}

impl Known {
    /// The pods that room is kept for, the surge pod included.
    fn owed(&self) -> u64 {
        (self.baseline + self.rho).min(self.slots)
    }
}

fn known(situation: &Situation, decision: &Decision, w: usize) -> Known {
    let share = decision.workloads[w].share;
    let stands =
        |pod: &&Pod| pod.workload == Some(w) && !pod.terminating && !pod.leaving && pod.hold != Hold::Waiting;
    let standing = situation.pods.iter().filter(stands).count() as u64;
    Known {
        baseline: decision.workloads[w].baseline.min(share.slots).get().into(),
        rho: share.rho.get().into(),
        task: situation.workloads[w].demand.strategy == Rollout::Task,
        slots: share.slots.get().into(),
        size: share.size.get(),
        min: share.min.get(),
        bill: share.bill.get(),
        least: share.min.get() * u64::from(share.instances.get()),
        standing: standing + u64::from(situation.workloads[w].unadopted.pods.get()),
    }
}

/// The classes in the order in which they are served: lost pods, tasks, surge pods, and the rest.
const CLASSES: usize = 4;

/// The state that each question is answered from afresh: the grants so far.
struct Oracle<'a> {
    situation: &'a Situation,
    known: Vec<Known>,
    /// What lost pods may come back within.
    mark: u64,
    granted: Vec<(usize, u64)>,
}

impl Oracle<'_> {
    fn admitted(&self, w: usize) -> u64 {
        let granted = self.granted.iter().filter(|(pod, _)| self.situation.pods[*pod].workload == Some(w));
        self.known[w].standing + granted.count() as u64
    }

    /// The place in [`CLASSES`] of the class of the next pod; none for a pod without a slot.
    fn class(&self, w: usize) -> Option<usize> {
        let (known, admitted) = (self.known[w], self.admitted(w));
        let tasks = if known.task { known.slots } else { 0 };
        let ends = [known.baseline, tasks, known.owed(), known.slots];
        ends.iter().position(|end| admitted < *end)
    }

    /// What is free, or how much too much is held, when room is kept for the pods of all classes before `class`.
    fn free(&self, class: usize) -> i64 {
        let pods = &self.situation.pods;
        let escaped = |pod: &&Pod| matches!(pod.hold, Hold::Escaped(_));
        let escaped = total(pods.iter().filter(escaped).map(|pod| pod.hold.bill().get()));
        let held = total(pods.iter().map(|pod| pod.hold.bill().get())) - escaped;
        let ungranted = escaped + total(pods.iter().map(|pod| pod.excess.get()));
        let quarantined = total(self.situation.quarantine.iter().map(|bill| bill.get()));
        let granted = total(self.granted.iter().map(|(pod, size)| self.bill(*pod, *size)));
        let kept = total(self.known.iter().enumerate().map(|(w, known)| {
            let owed = [0, known.baseline, known.baseline, known.owed()][class];
            owed.saturating_sub(self.admitted(w)) * known.bill
        }));
        let mark = if class == 0 { self.mark } else { 0 };
        let available = self.situation.available.get().max(mark);
        let usable = (total([available].into_iter()) - ungranted).max(0);
        usable - held - quarantined - granted - kept
    }

    /// What draining pods of a workload give back before their time is over.
    fn returning(&self, w: Option<usize>) -> i64 {
        let drains = |pod: &&Pod| pod.workload == w && pod.terminating && !pod.overdue;
        total(self.situation.pods.iter().filter(drains).map(|pod| pod.hold.bill().get()))
    }

    fn bill(&self, pod: usize, size: u64) -> u64 {
        size * u64::from(self.situation.pods[pod].instances.get())
    }

    /// The size for a pod of that class, or what is missing for the smallest.
    fn size(&self, pod: usize, class: usize) -> Result<u64, i64> {
        let known = self.known[self.situation.pods[pod].workload.unwrap()];
        let free = self.free(class);
        let bill = |size: u64| i64::try_from(self.bill(pod, size)).unwrap();
        // Never more than the workload's bill, unless its smallest size already is.
        let within = |size: &u64| *size == known.min || self.bill(pod, *size) <= known.bill;
        let sizes: Vec<u64> = (known.min..=known.size).filter(within).collect();
        let planned = *sizes.last().unwrap();
        if class > 0 {
            return if bill(planned) <= free { Ok(planned) } else { Err(bill(planned) - free) };
        }
        // Beyond the smallest size only beside the smallest bills of all other lost pods.
        let others = total(self.known.iter().enumerate().map(|(w, known)| {
            let lost = known.baseline.saturating_sub(self.admitted(w));
            let own = u64::from(Some(w) == self.situation.pods[pod].workload);
            lost.saturating_sub(own) * known.least
        }));
        let full = bill(planned) + others;
        let in_time = self.situation.pods[pod].age < PATIENCE_FOR_SIZE;
        let returning = self.returning(self.situation.pods[pod].workload);
        if in_time && bill(sizes[0]) <= free && full > free && full <= free + returning {
            return Err(full - free);
        }
        let fits = |size: &u64| bill(*size) <= if *size == sizes[0] { free } else { free - others };
        sizes.iter().copied().rev().find(fits).ok_or(bill(sizes[0]) - free)
    }

    fn answer(mut self, mut queue: Vec<usize>) -> Answer {
        let mut answer = Answer::default();
        let uid = |pod: usize| self.situation.pods[pod].uid.clone();
        let mut blocked = false;
        for class in 0..CLASSES {
            for pod in std::mem::take(&mut queue) {
                let w = self.situation.pods[pod].workload;
                if w.and_then(|w| self.class(w)) != Some(class) {
                    queue.push(pod);
                } else if class == 3 && blocked {
                    answer.refused.push((uid(pod), Refusal::Behind));
                } else {
                    match self.size(pod, class) {
                        Ok(size) => {
                            self.granted.push((pod, size));
                            answer.granted.push((uid(pod), size));
                        }
                        Err(missing) => {
                            let missing = u64::try_from(missing).unwrap();
                            answer.refused.push((uid(pod), no_room(missing)));
                            blocked |= [1, 3].contains(&class) && self.situation.pods[pod].age >= 30;
                        }
                    }
                }
            }
        }
        let why = |pod: usize| match self.situation.pods[pod].workload {
            Some(_) => Refusal::NoSlot,
            None => Refusal::NoWorkload,
        };
        answer.refused.extend(queue.into_iter().map(|pod| (uid(pod), why(pod))));
        self.hold_back(&mut answer);
        answer
    }

    /// Tasks wait while others come, unless they get no more than the least, or leave as much again.
    fn hold_back(&self, answer: &mut Answer) {
        let task = |pod: &Pod| pod.workload.map(|w| self.known[w]).filter(|known| known.task);
        if !self.situation.pods.iter().any(|pod| pod.age < 2 && task(pod).is_some()) {
            return;
        }
        let waits = |(index, size): &(usize, u64)| {
            let pod = &self.situation.pods[*index];
            let least = pod.least.get();
            let room = i64::try_from(self.bill(*index, *size)).unwrap() <= self.free(0);
            let more = |known: Known| *size > known.min.max(least) && known.standing >= known.baseline;
            pod.age < 5 && !room && task(pod).is_some_and(more)
        };
        let held = self.granted.iter().filter(|grant| waits(grant));
        let held: Vec<String> = held.map(|(pod, _)| self.situation.pods[*pod].uid.clone()).collect();
        answer.granted.retain(|(uid, _)| !held.contains(uid));
        answer.refused.splice(0..0, held.into_iter().map(|uid| (uid, Refusal::Burst)));
    }
}

fn total(bills: impl Iterator<Item = u64>) -> i64 {
    i64::try_from(bills.sum::<u64>()).unwrap()
}

fn no_room(missing: u64) -> Refusal {
    Refusal::NoRoom { missing: poolbudget::budget::amount::Connections::new(missing) }
}

fn by_the_protocol(situation: &Situation, decision: &Decision) -> Answer {
    let known = (0..situation.workloads.len()).map(|w| known(situation, decision, w)).collect();
    let mut queue: Vec<usize> = (0..situation.pods.len()).filter(|i| situation.pods[*i].waits()).collect();
    queue.sort_by_key(|i| {
        let pod = &situation.pods[*i];
        (pod.created, &pod.name, &pod.uid)
    });
    let mark = decision.high_water.map_or(0, |mark| mark.get());
    Oracle { situation, known, mark, granted: Vec::new() }.answer(queue)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn grants_are_those_of_the_protocol_done_pod_by_pod(situation in situation(USUAL, 3)) {
        let decision = decide(&situation);
        let uid = |pod: usize| situation.pods[pod].uid.clone();
        let answer = Answer {
            granted: decision.grants.granted.iter().map(|g| (uid(g.pod), g.size.get())).collect(),
            refused: decision.grants.refused.iter().map(|(pod, why)| (uid(*pod), *why)).collect(),
        };
        prop_assert_eq!(answer, by_the_protocol(&situation, &decision));
    }
}
