//! The protocol without one of its rules, to check that the simulation notices.
//!
//! A rule of the decision is left out of the decision here, built from the core's own parts; a rule of the transaction
//! is left out at the [door](super::door), and a rule of the spec in the spec.

use clap::ValueEnum;
use poolbudget::budget::amount::{Connections, Pods};
use poolbudget::budget::assessment::Assessment;
use poolbudget::budget::basis::Basis;
use poolbudget::budget::burst::hold_back;
use poolbudget::budget::decide::{Decision, Enforcement, Situation, bounds, decide};
use poolbudget::budget::descent::Past;
use poolbudget::budget::grant::{Grants, Refusal, grants};
use poolbudget::budget::ledger::Hold;
use poolbudget::budget::plan::{Demand, Plan, Terms};
use poolbudget::budget::reclaim::{Cause, Holdings, Reclaim, reclaim};
use poolbudget::budget::rollout::Strategy;

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mutation {
    /// Nothing: the code as it ships.
    #[default]
    None,
    /// No slot for the surge pod without which a rollout cannot move.
    WithoutR1,
    /// Shares are counted in connections instead of pods.
    WithoutR2,
    /// No room is kept for the replacement of a lost pod.
    WithoutR3,
    /// Neither that, nor the last resort that makes up for it.
    WithoutR3AndLastResort,
    /// Too few ready pods keep an oversize pod for ever, even when they can never become more.
    WithoutLastResort,
    /// The status does not say which grants are in flight.
    GrantsNotPersisted,
    /// A new leader lists the pods before it has raised the epoch.
    ListBeforeEpoch,
    /// Terminating pods are taken for gone.
    TerminatingForgotten,
    /// A kubelet is taken for well without asking.
    NodesNotAsked,
    /// Nobody is told for how long connections outlive their pods.
    LingerForgotten,
    /// Nothing is granted before all that is too much is gone.
    WithoutTheWayDown,
    /// Pods from before the label are on the bill.
    AdoptedOnTheBill,
    /// Pods from before the label stay, though new ones find no connection left.
    AdoptedStay,
}

impl Mutation {
    /// The decision without the rule.
    pub fn decision(self) -> fn(&Situation) -> Decision {
        match self {
            Self::None
            | Self::GrantsNotPersisted
            | Self::ListBeforeEpoch
            | Self::NodesNotAsked
            | Self::LingerForgotten => decide,
            Self::WithoutR1 => |situation| decide_without(Self::WithoutR1, situation),
            Self::WithoutR2 => |situation| decide_without(Self::WithoutR2, situation),
            Self::WithoutR3 => |situation| decide_without(Self::WithoutR3, situation),
            Self::WithoutR3AndLastResort => {
                |situation| decide_without(Self::WithoutR3AndLastResort, situation)
            }
            Self::WithoutLastResort => |situation| decide_without(Self::WithoutLastResort, situation),
            Self::TerminatingForgotten => |situation| {
                let mut situation = situation.clone();
                for pod in situation.pods.iter_mut().filter(|pod| pod.terminating) {
                    pod.hold = Hold::Granted(Connections::ZERO);
                }
                decide(&situation)
            },
            Self::WithoutTheWayDown => {
                |situation| decide(&Situation { past: Past::default(), ..situation.clone() })
            }
            Self::AdoptedStay => |situation| {
                let decision = decide(situation);
                let reclaim = Reclaim { foreign: None, ..decision.reclaim };
                Decision { reclaim, ..decision }
            },
            Self::AdoptedOnTheBill => |situation| {
                let mut situation = situation.clone();
                let before: Vec<Connections> =
                    situation.workloads.iter().map(|workload| workload.unadopted.connections).collect();
                situation.quarantine.extend(before);
                decide(&situation)
            },
        }
    }
}

/// Like the core's `decide`, without one of its rules: everything else comes from there.
pub fn decide_without(rule: Mutation, situation: &Situation) -> Decision {
    // If nothing is enforced, no rule applies.
    if situation.enforcement != Enforcement::Enforced {
        return decide(situation);
    }
    let Decision { usable, ledger, mut workloads, mut plan, rightful, high_water, .. } = decide(situation);
    if rule == Mutation::WithoutR1 {
        let without = plan_without_r1(situation, usable, &workloads);
        for (workload, share) in workloads.iter_mut().zip(without.shares) {
            workload.share = share;
        }
        plan = without.outlook;
    }
    let r3 = !matches!(rule, Mutation::WithoutR3 | Mutation::WithoutR3AndLastResort);
    let kept = |w: &Assessment| if r3 { *w } else { Assessment { baseline: Pods::ZERO, ..*w } };
    let for_grants: Vec<Assessment> = workloads.iter().map(kept).collect();
    let bounds = bounds(usable, high_water, &ledger);
    let mut grants = grants(bounds, ledger.committed, &for_grants, &situation.pods);
    hold_back(&mut grants, usable.minus(ledger.committed), &for_grants, &situation.pods);
    if rule == Mutation::WithoutR2 {
        grants = within_shares_in_connections(grants, situation, &workloads);
    }
    let scene = Holdings {
        available: situation.available,
        ledger: &ledger,
        workloads: &workloads,
        pods: &situation.pods,
        fits: !plan.scarce,
        ever_fits: !rightful.scarce,
        eviction: situation.eviction,
    };
    let mut reclaim = reclaim(&scene, &grants);
    if matches!(rule, Mutation::WithoutLastResort | Mutation::WithoutR3AndLastResort) {
        reclaim.candidates.retain(|candidate| {
            let workload = situation.pods[candidate.pod].workload.expect("a known workload");
            let Assessment { baseline, standing, share, .. } = workloads[workload];
            let at_once = share.unavailable.max(Pods::ONE);
            candidate.cause != Cause::Oversize || standing.ready.plus(at_once) > baseline
        });
    }
    Decision { usable, ledger, workloads, plan, rightful, high_water, grants, reclaim }
}

/// Refuses every pod with which its workload would hold more than slots × bill, however many pods that is.
fn within_shares_in_connections(grants: Grants, situation: &Situation, workloads: &[Assessment]) -> Grants {
    let mut held: Vec<Connections> = workloads.iter().map(|w| w.standing.committed).collect();
    let mut fits = |pod: usize, bill: Option<Connections>| {
        let Some(w) = situation.pods[pod].workload else { return true };
        let share = workloads[w].share;
        let with = held[w].plus(bill.unwrap_or(share.bill));
        let fits = with <= share.bill.times(share.slots);
        if fits && bill.is_some() {
            held[w] = with;
        }
        fits
    };
    let mut kept = Grants::default();
    for grant in grants.granted {
        if fits(grant.pod, Some(grant.bill)) {
            kept.granted.push(grant);
        } else {
            kept.refused.push((grant.pod, Refusal::NoSlot));
        }
    }
    for (pod, why) in grants.refused {
        kept.refused.push((pod, if fits(pod, None) { why } else { Refusal::NoSlot }));
    }
    kept
}

fn plan_without_r1(situation: &Situation, usable: Connections, workloads: &[Assessment]) -> Plan {
    let mut demands: Vec<Demand> = Vec::new();
    for (w, Assessment { baseline, .. }) in situation.workloads.iter().zip(workloads) {
        // A strategy without surge: no slot and no reserve for it.
        demands.push(Demand { baseline: *baseline, strategy: Strategy::Recreate, ..w.demand.clone() });
    }
    let mut plan = Plan::of(
        Terms { usable, available: situation.available, surge: situation.surge, basis: Basis::Ceiling },
        &demands,
    );
    for (share, w) in plan.shares.iter_mut().zip(&situation.workloads) {
        share.unavailable = w.demand.strategy.unavailable(w.demand.replicas);
    }
    plan
}
