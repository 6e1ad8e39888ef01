//! The whole decision for one budget: settle → plan → ledger → grants → room.
//!
//! In: a [`Situation`], plain values of one instant. Out: a [`Decision`]. The same function serves the
//! controller, the simulator and the offline plan; it keeps nothing between calls.

use super::amount::{Connections, Pods};
use super::basis::Basis;
use super::grant::{Allotment, Grants, grants};
use super::ledger::{Ledger, Pod, Unadopted};
use super::plan::{Demand, Feasibility, Plan, Terms};
use super::rollout::Surge;
use super::room::{Room, Scene, room};
use super::settle::settled;
use super::shortfall::largest_replicas;

/// One instant of one budget.
#[derive(Clone, Debug)]
pub struct Situation {
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
}

/// One workload of the budget.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it needs; its settled count is the one carried from before, or the replicas when none is.
    pub demand: Demand,
    /// The settled count of the last status; none when the workload was not seen before.
    pub carried: Option<Pods>,
    /// Whether its controller has acted on its newest spec.
    pub observed: bool,
    /// Its pods from before the label.
    pub unadopted: Unadopted,
}

/// What is so, and what is to be done.
#[derive(Clone, Debug)]
pub struct Decision {
    /// limit − reserved − what escaped the gate may hold.
    pub usable: Connections,
    /// The sums, before the grants of this decision.
    pub ledger: Ledger,
    /// Sizes and slots.
    pub plan: Plan,
    /// The settled count of each workload.
    pub settled: Vec<Pods>,
    /// Who is granted, who waits and why.
    pub grants: Grants,
    /// Who should go.
    pub room: Room,
}

impl Situation {
    /// The most replicas that each workload could have while the others keep theirs. Pods that escaped the gate do not
    /// count here: they pass, and this is about what can never fit.
    #[must_use]
    pub fn largest_replicas(&self) -> Vec<Pods> {
        let demands: Vec<Demand> = self.workloads.iter().map(|w| w.demand.clone()).collect();
        largest_replicas(Terms { usable: self.available, surge: self.surge, basis: self.basis }, &demands)
    }
}

/// Decides.
#[must_use]
pub fn decide(situation: &Situation) -> Decision {
    let unadopted: Vec<Unadopted> = situation.workloads.iter().map(|w| w.unadopted).collect();
    let ledger = Ledger::of(&situation.pods, &unadopted, &situation.quarantine);
    let usable = situation.available.minus(ledger.escaped);
    let settled: Vec<Pods> = situation
        .workloads
        .iter()
        .zip(&ledger.workloads)
        .map(|(w, standing)| settled(w.carried, w.demand.replicas, standing, w.observed))
        .collect();
    let demands: Vec<Demand> = situation
        .workloads
        .iter()
        .zip(&settled)
        .map(|(w, settled)| Demand { settled: *settled, ..w.demand.clone() })
        .collect();
    let plan = Plan::of(Terms { usable, surge: situation.surge, basis: situation.basis }, &demands);
    let allotments: Vec<Allotment> =
        plan.shares.iter().zip(&settled).map(|(share, settled)| Allotment::new(*share, *settled)).collect();
    let grants = grants(usable, &ledger, &allotments, &situation.pods);
    let scene = Scene {
        usable,
        ledger: &ledger,
        allotments: &allotments,
        pods: &situation.pods,
        feasible: matches!(plan.feasibility, Feasibility::Feasible { .. }),
        eviction: situation.eviction,
    };
    let room = room(&scene, &grants);
    Decision { usable, ledger, plan, settled, grants, room }
}
