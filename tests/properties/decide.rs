//! Decisions: what must hold in every situation, the impossible ones included.

use std::collections::{BTreeMap, BTreeSet};

use poolbudget::budget::amount::{Connections, Pods};
use poolbudget::budget::decide::{Decision, Enforcement, Situation, decide};
use poolbudget::budget::grant::Refusal;
use poolbudget::budget::ledger::{Hold, Ledger, Pod, Standing};
use poolbudget::budget::plan::{Feasibility, Share};
use poolbudget::budget::queue::{Class, class};
use poolbudget::budget::reclaim::{Candidate, Cause, DEADLINE, PATIENCE, Reclaim};
use proptest::prelude::*;

use crate::situations::{EXTREME, USUAL, situation};

/// What all pods may open that count against the limit, in numbers that cannot overflow.
fn committed(situation: &Situation) -> u128 {
    let granted = |pod: &&Pod| matches!(pod.hold, Hold::InFlight(_) | Hold::Granted(_));
    let pods = situation.pods.iter().filter(granted).map(|pod| u128::from(pod.hold.bill().get()));
    let quarantine = situation.quarantine.iter().map(|bill| u128::from(bill.get()));
    pods.chain(quarantine).sum()
}

/// What pods hold that no grant gave them.
fn ungranted(situation: &Situation) -> u128 {
    let escaped = situation.pods.iter().filter(|pod| matches!(pod.hold, Hold::Escaped(_)));
    let excess: u128 = situation.pods.iter().map(|pod| u128::from(pod.excess.get())).sum();
    excess + escaped.map(|pod| u128::from(pod.hold.bill().get())).sum::<u128>()
}

/// limit − reserved − what pods hold that no grant gave them.
fn usable(situation: &Situation) -> u128 {
    u128::from(situation.available.get()).saturating_sub(ungranted(situation))
}

/// What the grants of a decision add, by the sizes that the pods will read, not by the recorded bills.
fn added(situation: &Situation, decision: &Decision) -> u128 {
    let real = |grant: &poolbudget::budget::grant::Grant| {
        u128::from(grant.size.get()) * u128::from(situation.pods[grant.pod].instances.get())
    };
    decision.grants.granted.iter().map(real).sum()
}

/// The baseline count of workload `w`, as far as there are slots for it: by what its pods are measured.
fn measured(decision: &Decision, w: usize) -> Pods {
    let workload = &decision.workloads[w];
    workload.baseline.min(workload.share.slots.max(workload.rightful.slots))
}

/// The baseline count of workload `w`, as far as there are slots for it.
fn baseline(decision: &Decision, w: usize) -> Pods {
    decision.workloads[w].baseline.min(decision.workloads[w].share.slots)
}

/// Reclaim for `pods` pods of workload `w` at its bill.
fn room_for(decision: &Decision, w: usize, pods: Pods) -> u128 {
    u128::from(pods.get()) * u128::from(decision.workloads[w].share.bill.get())
}

/// The readiness condition of 5b, and no more than max(1, V) at a time.
fn may_lose_one(situation: &Situation, decision: &Decision, pod: usize) -> bool {
    let w = situation.pods[pod].workload.unwrap();
    let of = |p: &&Pod| p.workload == Some(w) && p.hold != Hold::Waiting;
    let draining = |p: &&Pod| p.terminating && p.hold.is_grant();
    let ready = |p: &&Pod| p.ready && !p.terminating;
    let draining = situation.pods.iter().filter(of).filter(draining).count() as u64;
    let ready = situation.pods.iter().filter(of).filter(ready).count() as u64
        + u64::from(situation.workloads[w].unadopted.ready.get());
    let at_once = u64::from(decision.workloads[w].share.unavailable.get()).max(1);
    draining < at_once && ready + at_once > u64::from(measured(decision, w).get())
}

fn uid(situation: &Situation, pod: usize) -> String {
    situation.pods[pod].uid.clone()
}

proptest! {
    #[test]
    fn nothing_is_granted_beyond_what_is_usable(situation in situation(EXTREME, 5)) {
        let decision = decide(&situation);
        if !decision.grants.granted.is_empty() {
            let sum = committed(&situation) + added(&situation, &decision);
            // On the way down no more than was held when it began, what no grant gave included.
            let mark = decision.high_water.map_or(0, |mark| u128::from(mark.get()));
            let usable = usable(&situation).max(mark.saturating_sub(ungranted(&situation)));
            prop_assert!(sum <= usable, "{sum} of {usable}");
        }
    }

    #[test]
    fn grants_keep_to_the_planned_sizes_and_pay_for_the_pods_own_instances(
        situation in situation(EXTREME, 5),
    ) {
        let decision = decide(&situation);
        for grant in &decision.grants.granted {
            let pod = &situation.pods[grant.pod];
            let share = decision.workloads[pod.workload.unwrap()].share;
            prop_assert!(pod.waits());
            prop_assert!((share.min..=share.size).contains(&grant.size));
            prop_assert!(grant.size >= Connections::ONE);
            let bill = u128::from(grant.size.get()) * u128::from(pod.instances.get());
            prop_assert_eq!(u128::from(grant.bill.get()), bill);
            prop_assert!(grant.bill <= share.bill || grant.size == share.min, "a grant makes a pod oversize");
        }
    }

    #[test]
    fn every_waiting_pod_is_answered_exactly_once(situation in situation(EXTREME, 5)) {
        let decision = decide(&situation);
        let granted = decision.grants.granted.iter().map(|grant| grant.pod);
        let refused = decision.grants.refused.iter().map(|(pod, _)| *pod);
        let mut answered: Vec<usize> = granted.chain(refused).collect();
        answered.sort_unstable();
        let waiting = situation.pods.iter().enumerate().filter(|(_, pod)| pod.waits()).map(|(i, _)| i);
        prop_assert_eq!(answered, waiting.collect::<Vec<_>>());
    }

    /// R1 and R3: what is kept for lost pods, and for the surge pod of each workload, is still free when
    /// others have been granted.
    #[test]
    fn surge_and_other_pods_leave_the_room_of_lost_pods_alone(situation in situation(USUAL, 4)) {
        let decision = decide(&situation);
        let mut admitted: Vec<Pods> = decision.workloads.iter().map(|w| w.standing.admitted).collect();
        let mut sum = committed(&situation);
        let shares: Vec<Share> = decision.workloads.iter().map(|w| w.share).collect();
        for grant in &decision.grants.granted {
            let w = situation.pods[grant.pod].workload.unwrap();
            let class = class(admitted[w], baseline(&decision, w), &shares[w]);
            sum += u128::from(grant.bill.get());
            admitted[w] = admitted[w].plus(Pods::ONE);
            let kept = |surge: bool| -> u128 {
                let owed = |w: usize| {
                    let rho = if surge { shares[w].rho } else { Pods::ZERO };
                    let owed = baseline(&decision, w).plus(rho).min(shares[w].slots);
                    room_for(&decision, w, owed.minus(admitted[w]))
                };
                (0..shares.len()).map(owed).sum()
            };
            match class {
                Class::Lost => {}
                Class::Task | Class::Surge => prop_assert!(sum + kept(false) <= usable(&situation)),
                Class::Rest => prop_assert!(sum + kept(true) <= usable(&situation)),
                Class::Beyond => prop_assert!(false, "a pod without a slot was granted"),
            }
        }
    }

    #[test]
    fn the_order_of_what_is_observed_changes_nothing(
        (situation, pods, workloads) in situation(USUAL, 4).prop_flat_map(|situation| {
            let pods: Vec<usize> = (0..situation.pods.len()).collect();
            let workloads: Vec<usize> = (0..situation.workloads.len()).collect();
            (Just(situation), Just(pods).prop_shuffle(), Just(workloads).prop_shuffle())
        }),
    ) {
        let mut shuffled = situation.clone();
        shuffled.workloads = workloads.iter().map(|w| situation.workloads[*w].clone()).collect();
        shuffled.pods = pods.iter().map(|pod| situation.pods[*pod].clone()).collect();
        for pod in &mut shuffled.pods {
            pod.workload = pod.workload.map(|old| workloads.iter().position(|w| *w == old).unwrap());
        }
        prop_assert_eq!(outcome(&situation), outcome(&shuffled));
    }

    #[test]
    fn only_pods_that_hold_something_or_wait_in_vain_are_ended(situation in situation(EXTREME, 5)) {
        let decision = decide(&situation);
        let mut seen = BTreeSet::new();
        for candidate in &decision.reclaim.candidates {
            let pod = &situation.pods[candidate.pod];
            prop_assert!(!pod.terminating);
            prop_assert!(pod.workload.is_some());
            match candidate.cause {
                Cause::Escaped => prop_assert!(matches!(pod.hold, Hold::Escaped(_))),
                Cause::Stalled => prop_assert!(pod.hold == Hold::Waiting && pod.leaving),
                _ => prop_assert!(matches!(pod.hold, Hold::Granted(_))),
            }
            prop_assert!(seen.insert((candidate.pod, candidate.cause)), "the same pod twice");
        }
    }

    #[test]
    fn without_leave_to_evict_only_unready_pods_that_nobody_wants_go(
        situation in situation(USUAL, 4).prop_map(|s| Situation { eviction: false, ..s }),
    ) {
        let decision = decide(&situation);
        let unwanted = |c: &Candidate| matches!(c.cause, Cause::Superseded | Cause::Stalled);
        prop_assert!(decision.reclaim.candidates.iter().all(unwanted));
    }

    /// What is only observed is told as it would be, held back is nobody, and nobody goes; where the limit is not known,
    /// nobody goes either.
    #[test]
    fn nobody_goes_where_nothing_is_enforced(situation in situation(EXTREME, 4)) {
        let enforced = decide(&situation);
        let of = |enforcement| decide(&Situation { enforcement, ..situation.clone() });
        let observed = of(Enforcement::Observed);
        let waiting = situation.pods.iter().filter(|pod| pod.waits()).count();
        prop_assert_eq!(observed.grants.granted.len(), waiting);
        prop_assert!(observed.grants.refused.is_empty());
        for decision in [&observed, &of(Enforcement::Suspended)] {
            prop_assert_eq!(&decision.reclaim, &Reclaim::default());
            prop_assert_eq!(&decision.workloads, &enforced.workloads);
            prop_assert_eq!(&decision.plan, &enforced.plan);
            prop_assert_eq!(&decision.ledger, &enforced.ledger);
        }
    }

    /// Whoever keeps within what he would have if no pod held more than a grant gave it is not sent away.
    #[test]
    fn nobody_is_sent_away_for_what_no_grant_gave(situation in situation(USUAL, 4)) {
        let decision = decide(&situation);
        let innocent = Situation {
            pods: situation.pods.iter().map(|pod| match pod.hold {
                Hold::Escaped(_) => Pod { hold: Hold::Escaped(Connections::ZERO), excess: Connections::ZERO, ..pod.clone() },
                _ => Pod { excess: Connections::ZERO, ..pod.clone() },
            }).collect(),
            ..situation.clone()
        };
        let rightful = decide(&innocent);
        for candidate in &decision.reclaim.candidates {
            let pod = &situation.pods[candidate.pod];
            match candidate.cause {
                Cause::Oversize => prop_assert!(pod.hold.bill() > rightful.workloads[pod.workload.unwrap()].share.bill),
                Cause::Surplus => prop_assert!(rightful.plan.scarce),
                _ => {}
            }
        }
    }

    #[test]
    fn a_superseded_pod_is_old_unready_and_in_the_way_of_a_newer_one(situation in situation(USUAL, 4)) {
        let decision = decide(&situation);
        for candidate in decision.reclaim.candidates.iter().filter(|c| c.cause == Cause::Superseded) {
            let pod = &situation.pods[candidate.pod];
            prop_assert!(!pod.ready && !pod.current && pod.age >= PATIENCE);
            let waits = |other: &Pod| other.workload == pod.workload && other.current && other.waits();
            prop_assert!(situation.pods.iter().any(waits));
        }
    }

    /// 5b: an oversize pod goes only if its workload then still has at most max(1, V) fewer ready pods than it was
    /// baseline at; otherwise only when no oversize pod is in such a place and nothing is on its way.
    #[test]
    fn an_oversize_pod_goes_only_while_enough_others_are_ready_or_nothing_else_could_ever_change(
        situation in situation(USUAL, 4),
    ) {
        let decision = decide(&situation);
        let oversize: Vec<usize> =
            decision.reclaim.candidates.iter().filter(|c| c.cause == Cause::Oversize).map(|c| c.pod).collect();
        for pod in &oversize {
            let pod = &situation.pods[*pod];
            prop_assert!(pod.hold.bill() > decision.workloads[pod.workload.unwrap()].share.bill);
        }
        if !oversize.iter().all(|pod| may_lose_one(&situation, &decision, *pod)) {
            prop_assert!(!oversize.iter().any(|pod| may_lose_one(&situation, &decision, *pod)));
            prop_assert!(decision.grants.granted.is_empty());
            prop_assert!(!situation.pods.iter().any(|pod| pod.terminating && pod.hold.is_grant()));
            prop_assert!(situation.quarantine.is_empty());
            for pod in &oversize {
                let own = |p: &&Pod| p.workload == situation.pods[*pod].workload && p.admitted();
                let starts = |p: &Pod| matches!(p.hold, Hold::InFlight(_)) || (!p.ready && p.age < DEADLINE);
                prop_assert!(!situation.pods.iter().filter(own).any(starts));
            }
        }
    }

    #[test]
    fn a_surplus_pod_goes_only_when_not_everything_fits_and_its_workload_is_above_its_slots(
        situation in situation(USUAL, 4),
    ) {
        let decision = decide(&situation);
        for candidate in decision.reclaim.candidates.iter().filter(|c| c.cause == Cause::Surplus) {
            let w = situation.pods[candidate.pod].workload.unwrap();
            prop_assert!(decision.rightful.scarce);
            prop_assert!(decision.workloads[w].standing.admitted > decision.workloads[w].rightful.slots);
        }
    }

    #[test]
    fn no_room_is_made_while_draining_pods_give_back_what_is_missing(situation in situation(USUAL, 4)) {
        let decision = decide(&situation);
        let terminating = |pod: &&Pod| pod.terminating && pod.hold != Hold::Waiting;
        let held = |pod: &Pod| pod.hold.bill().get() + pod.excess.get();
        let returning: u64 = situation.pods.iter().filter(terminating).map(held).sum();
        let returning = returning + situation.quarantine.iter().map(|bill| bill.get()).sum::<u64>();
        // Who waits in vain holds nothing, and makes no room.
        let mut candidates = decision.reclaim.candidates.clone();
        candidates.retain(|c| c.cause != Cause::Stalled);
        let only_escaped = candidates.iter().all(|c| c.cause == Cause::Escaped);
        match decision.reclaim.missing {
            None => {
                // Where not all have a slot, one that is of no use goes as well.
                let infeasible = matches!(decision.plan.feasibility, Feasibility::Infeasible(_));
                let useless = |c: &Candidate| matches!(c.cause, Cause::Escaped | Cause::Superseded);
                let useless = infeasible && candidates.iter().all(useless);
                prop_assert!((only_escaped || useless) && !decision.reclaim.draining);
            }
            Some(missing) => {
                prop_assert_eq!(decision.reclaim.draining, missing.get() <= returning);
                prop_assert!(!decision.reclaim.draining || only_escaped);
            }
        }
    }

    #[test]
    fn room_is_asked_for_exactly_when_somebody_entitled_was_refused_or_too_much_is_committed(
        situation in situation(USUAL, 4),
    ) {
        let decision = decide(&situation);
        let refused = decision.grants.refused.iter().any(|(_, why)| matches!(why, Refusal::NoRoom { .. }));
        let over = committed(&situation) > u128::from(situation.available.get());
        prop_assert_eq!(decision.reclaim.missing.is_some(), refused || over);
    }

    #[test]
    fn a_pod_is_passed_over_only_behind_one_that_lost_its_patience(situation in situation(USUAL, 4)) {
        let decision = decide(&situation);
        let mut head_is_out_of_patience = false;
        for (pod, why) in &decision.grants.refused {
            let old = situation.pods[*pod].age >= poolbudget::budget::grant::PATIENCE;
            match why {
                Refusal::NoRoom { .. } => head_is_out_of_patience |= old,
                Refusal::Behind => prop_assert!(head_is_out_of_patience),
                Refusal::NoSlot | Refusal::NoWorkload | Refusal::Burst => {}
            }
        }
    }

    #[test]
    fn the_parts_of_a_ledger_add_up(situation in situation(USUAL, 4)) {
        let ledger = Ledger::of(&situation.pods, &situation.quarantine);
        let standings = Standing::of_each(&situation.pods, situation.workloads.iter().map(|w| w.unadopted));
        prop_assert_eq!(u128::from(ledger.committed.get()), committed(&situation));
        let known: u64 = standings.iter().map(|w| w.committed.get()).sum();
        let unknown = situation.pods.iter().filter(|p| p.workload.is_none() && p.hold.is_grant());
        let unknown: u64 = unknown.map(|p| p.hold.bill().get()).sum();
        let quarantined: u64 = situation.quarantine.iter().map(|bill| bill.get()).sum();
        prop_assert_eq!(ledger.committed.get(), known + unknown + quarantined);
        prop_assert!(ledger.draining <= ledger.committed.plus(ledger.ungranted()));
        for standing in &standings {
            prop_assert!(standing.ready <= standing.admitted);
            prop_assert!(standing.granted.plus(standing.escaped) <= standing.admitted);
        }
    }
}

/// Who is granted what, who waits for what reason, and who should go in which order, by uid.
type Outcome = (BTreeMap<String, (u64, u64)>, Vec<(String, Refusal)>, Vec<(String, Cause)>);

fn outcome(situation: &Situation) -> Outcome {
    let decision = decide(situation);
    let granted = decision.grants.granted.iter();
    let refused = decision.grants.refused.iter();
    (
        granted.map(|g| (uid(situation, g.pod), (g.size.get(), g.bill.get()))).collect(),
        refused.map(|(pod, why)| (uid(situation, *pod), *why)).collect(),
        decision.reclaim.candidates.iter().map(|c| (uid(situation, c.pod), c.cause)).collect(),
    )
}
