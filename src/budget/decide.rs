//! The whole decision for one budget: ledger → baseline → plan → assessments → grants → reclaim.
//!
//! In: a [`Situation`], plain values of one instant. Out: a [`Decision`]. The controller, the simulator and the offline
//! plan all use this function; it keeps nothing between calls.

use super::amount::{Connections, Pods};
use super::assessment::Assessment;
use super::baseline::baseline;
use super::basis::Basis;
use super::burst;
use super::descent::{Past, high_water};
use super::grant::{Bounds, Grants, at_their_own_sizes, grants};
use super::ledger::{Ledger, Pod, Standing, Unadopted};
use super::plan::{Demand, Outlook, Plan, Share, Terms};
use super::reclaim::{Holdings, Reclaim, reclaim};
use super::rollout::{Nature, Surge};
use super::shortfall::largest_replicas;
use super::sound;

/// How a plan is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// No pod is granted more than fits, and pods are ended to make room.
    #[default]
    Enforced,
    /// Every waiting pod is let through at its own size, and no pod is ended.
    Observed,
    /// The limit is not known: no pod is granted anything, and no pod is ended for that.
    Suspended,
}

/// One instant of one budget.
#[derive(Clone, Debug)]
pub struct Situation {
    /// How the plan is applied.
    pub enforcement: Enforcement,
    /// limit − reserved.
    pub available: Connections,
    /// For which surge pods slots are kept.
    pub surge: Surge,
    /// What the sizes are made for.
    pub basis: Basis,
    /// Whether running pods may be evicted.
    pub eviction: bool,
    /// The workloads that share the budget.
    pub workloads: Vec<Workload>,
    /// Every labelled pod that is not gone.
    pub pods: Vec<Pod>,
    /// Bills of pods that vanished without showing that their containers ended.
    pub quarantine: Vec<Connections>,
    /// The previous state, for [the way down](super::descent).
    pub past: Past,
}

/// One workload of the budget.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it needs; its baseline is the one carried over, or the replicas when there is none.
    pub demand: Demand,
    /// The baseline of the last status; none when the workload was not seen before.
    pub carried: Option<Pods>,
    /// Whether its controller has acted on its newest spec.
    pub observed: bool,
    /// Its pods from before the label.
    pub unadopted: Unadopted,
}

/// The state, and what to do.
#[derive(Clone, Debug)]
pub struct Decision {
    /// limit − reserved − what pods hold that no grant gave them.
    pub usable: Connections,
    /// The sums, before the grants of this decision.
    pub ledger: Ledger,
    /// The workloads, in the order of the situation.
    pub workloads: Vec<Assessment>,
    /// Whether the shares are enough.
    pub plan: Outlook,
    /// Whether they would be if no pod held more than a grant gave it.
    pub rightful: Outlook,
    /// What pods held when the current [way down](super::descent) began.
    pub high_water: Option<Connections>,
    /// Which pods are granted, which wait and why.
    pub grants: Grants,
    /// Which pods should be ended.
    pub reclaim: Reclaim,
}

impl Situation {
    /// The most replicas that each workload could have while the others keep theirs. Pods that escaped the gate do not
    /// count here: they are temporary, and this is about what can never fit.
    #[must_use]
    pub fn largest_replicas(&self) -> Vec<Pods> {
        let demands: Vec<Demand> = self.workloads.iter().map(|w| w.demand.clone()).collect();
        largest_replicas(
            Terms { usable: self.available, available: self.available, surge: self.surge, basis: self.basis },
            &demands,
        )
    }
}

/// Decides.
#[must_use]
pub fn decide(situation: &Situation) -> Decision {
    let ledger = Ledger::of(&situation.pods, &situation.quarantine);
    let usable = situation.available.minus(ledger.ungranted());
    let (workloads, plan, rightful) = assess(situation, &ledger);
    let high_water = high_water(situation.past, situation.available, &ledger, &situation.pods);
    let grants = if situation.enforcement == Enforcement::Observed {
        at_their_own_sizes(&situation.pods)
    } else {
        let bounds = bounds(usable, high_water, &ledger);
        let mut grants = grants(bounds, ledger.committed, &workloads, &situation.pods);
        burst::hold_back(&mut grants, usable.minus(ledger.committed), &workloads, &situation.pods);
        grants
    };
    let holdings = Holdings {
        available: situation.available,
        ledger: &ledger,
        workloads: &workloads,
        pods: &situation.pods,
        fits: !plan.scarce,
        ever_fits: !rightful.scarce,
        eviction: situation.eviction,
    };
    let enforced = situation.enforcement == Enforcement::Enforced;
    let reclaim = if enforced { reclaim(&holdings, &grants) } else { Reclaim::default() };
    let decision = Decision { usable, ledger, workloads, plan, rightful, high_water, grants, reclaim };
    debug_assert_eq!(sound::fault(situation, &decision), None, "{situation:?}");
    decision
}

/// What each workload holds and is entitled to, and whether the shares are enough: with what pods hold that no grant gave
/// them, and without it.
fn assess(situation: &Situation, ledger: &Ledger) -> (Vec<Assessment>, Outlook, Outlook) {
    let Situation { available, surge, basis, ref pods, ref workloads, .. } = *situation;
    let standings = Standing::of_each(pods, workloads.iter().map(|w| w.unadopted));
    let of_each = workloads.iter().zip(&standings);
    let demands: Vec<Demand> = of_each
        .map(|(w, standing)| {
            let baseline = baseline(w.carried, w.demand.replicas, standing, w.observed);
            Demand { baseline, ..w.demand.clone() }
        })
        .collect();
    let terms = Terms { usable: available.minus(ledger.ungranted()), available, surge, basis };
    let plan = plan_beside_what_stays(terms, &demands, pods);
    let rightful = if ledger.ungranted() == Connections::ZERO {
        plan.clone()
    } else {
        plan_beside_what_stays(Terms { usable: available, ..terms }, &demands, pods)
    };
    let shares = plan.shares.into_iter().zip(rightful.shares);
    let of_each = workloads.iter().zip(standings).zip(demands).zip(shares);
    let assessed = of_each.map(|(((w, standing), demand), (share, rightful))| Assessment {
        baseline: demand.baseline,
        unadopted: w.unadopted,
        standing,
        share,
        rightful,
    });
    (assessed.collect(), plan.outlook, rightful.outlook)
}

/// The sums that grants must stay within.
#[must_use]
pub fn bounds(usable: Connections, high_water: Option<Connections>, ledger: &Ledger) -> Bounds {
    Bounds { usable, lost: high_water.map_or(usable, |mark| usable.max(mark.minus(ledger.ungranted()))) }
}

/// How often the plan is remade because of what staying pods hold, before the largest possible amount is subtracted.
const REPLANS: usize = 8;

/// The plan of what is left when pods that are never ended ([`Nature`]) hold more than their share. Otherwise it would
/// promise connections that those pods do not give back. Smaller sizes make the shares of those pods smaller still, so
/// the plan is remade until the excess stops growing.
fn plan_beside_what_stays(terms: Terms, demands: &[Demand], pods: &[Pod]) -> Plan {
    let beside = |above: Connections| Plan::of(Terms { usable: terms.usable.minus(above), ..terms }, demands);
    let mut above = Connections::ZERO;
    for _ in 0..REPLANS {
        let plan = beside(above);
        let now = above_their_share(&plan, pods, |share| share.bill);
        if now <= above {
            return plan;
        }
        above = now;
    }
    let smallest = |share: &Share| share.min.per_pod(share.instances);
    beside(above_their_share(&beside(above), pods, smallest))
}

/// What staying pods hold above `taken_for` of their workload's share.
fn above_their_share(plan: &Plan, pods: &[Pod], taken_for: impl Fn(&Share) -> Connections) -> Connections {
    let above = |pod: &Pod| {
        let share = plan.shares.get(pod.workload?)?;
        // Older pods of a workload that has become hopeless stay, and have no share.
        let stays = (share.nature != Nature::Service || share.hopeless) && pod.admitted();
        let taken_for = if share.hopeless { Connections::ZERO } else { taken_for(share) };
        stays.then(|| pod.hold.bill().minus(taken_for))
    };
    pods.iter().filter_map(above).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ledger::Hold;
    use crate::budget::reclaim::Cause;
    use crate::budget::rollout::Strategy;

    fn demand(name: &str, replicas: u32, strategy: Strategy) -> Demand {
        Demand {
            name: name.to_owned(),
            replicas: Pods::new(replicas),
            pods: Pods::new(replicas),
            baseline: Pods::new(replicas),
            strategy,
            processes: 1,
            engines: 1,
            min: Connections::ONE,
            needed_by: None,
            max: None,
            weight: 1,
        }
    }

    fn granted(bill: u64, workload: usize) -> Pod {
        Pod::sample(workload, Hold::Granted(Connections::new(bill)))
    }

    /// The sizes of a service and of a workload whose pods stay, with 12 to share.
    fn sizes(strategy: Strategy, bills: &[u64]) -> [u64; 2] {
        let demands = [demand("service", 4, Strategy::OnDelete), demand("stays", 2, strategy)];
        let pods: Vec<Pod> = bills.iter().map(|bill| granted(*bill, 1)).collect();
        let usable = Connections::new(12);
        let terms = Terms { usable, available: usable, surge: Surge::Minimal, basis: Basis::Ceiling };
        let plan = plan_beside_what_stays(terms, &demands, &pods);
        [plan.shares[0].size.get(), plan.shares[1].size.get()]
    }

    /// Four pods of a Deployment that hold three each, and `others`.
    fn four_of_three(available: u64, others: &[Pod]) -> Decision {
        let mut pods: Vec<Pod> = (0..4).map(|_| granted(3, 0)).collect();
        pods.extend_from_slice(others);
        for (i, pod) in pods.iter_mut().enumerate() {
            pod.uid = format!("{i}");
        }
        let api = demand("Deployment/api", 4, Strategy::default());
        decide(&Situation {
            enforcement: Enforcement::default(),
            available: Connections::new(available),
            surge: Surge::Minimal,
            basis: Basis::Ceiling,
            eviction: true,
            workloads: vec![Workload {
                carried: Some(Pods::new(4)),
                demand: api,
                observed: true,
                unadopted: Unadopted::default(),
            }],
            pods,
            quarantine: Vec::new(),
            past: Past::default(),
        })
    }

    #[test]
    fn an_escaped_pod_lowers_what_may_be_granted_and_sends_nobody_away() {
        let escaped =
            |bill| Pod { workload: None, hold: Hold::Escaped(Connections::new(bill)), ..granted(0, 0) };
        let waiting = Pod { hold: Hold::Waiting, ready: false, ..granted(0, 0) };
        for bill in [1, 2, 15, u64::MAX] {
            let decision = four_of_three(13, &[escaped(bill)]);
            assert_eq!(decision.reclaim, Reclaim::default(), "{bill}");
            let decision = four_of_three(13, &[escaped(bill), waiting.clone()]);
            assert_eq!(
                (&*decision.grants.granted, &*decision.reclaim.candidates),
                (&[][..], &[][..]),
                "{bill}"
            );
        }
        assert_eq!(
            four_of_three(13, &[waiting]).grants.granted,
            [],
            "nor without one: it is beyond the slots"
        );
    }

    #[test]
    fn a_pod_that_opens_more_than_its_grant_lowers_what_may_be_granted_and_sends_nobody_away() {
        let waiting = Pod { workload: None, hold: Hold::Waiting, ready: false, ..granted(0, 0) };
        for more in [1, 2, 15, u64::MAX] {
            let ignoring = Pod { excess: Connections::new(more), ..granted(3, 0) };
            for others in [vec![], vec![waiting.clone()]] {
                let mut decision = four_of_three(16, &[vec![ignoring.clone()], others].concat());
                let left = 16_u64.saturating_sub(more);
                assert_eq!(decision.usable, Connections::new(left));
                assert_eq!(decision.grants.granted, [], "{more}");
                // The fifth pod is beyond the slots; no pod is too large.
                decision.reclaim.candidates.retain(|candidate| candidate.cause != Cause::Surplus);
                assert_eq!(decision.reclaim.candidates, [], "{more}");
            }
        }
    }

    #[test]
    fn a_lowered_limit_is_no_escape_and_sends_oversize_pods_away() {
        let decision = four_of_three(10, &[]);
        let causes: Vec<_> = decision.reclaim.candidates.iter().map(|candidate| candidate.cause).collect();
        assert_eq!(causes, [Cause::Oversize; 4]);
    }

    #[test]
    fn what_pods_hold_that_are_never_sent_away_is_promised_to_nobody() {
        assert_eq!(sizes(Strategy::Loose, &[2, 2]), [2, 2]);
        assert_eq!(sizes(Strategy::Loose, &[3, 3]), [1, 3]);
        assert_eq!(sizes(Strategy::Task, &[4, 4]), [1, 2]);
        assert_eq!(sizes(Strategy::OnDelete, &[3, 3]), [2, 2]);
    }
}
