//! The plan of one budget: how many slots each workload has, and what one pod of it may open.
//!
//! In: the usable connections and one demand per workload. Out: one share per demand, in the same order, with
//! Σ slots × bill ≤ usable whatever the demands are, and whether they could be met.
//! Forbidden here: existing pods. What they hold is the ledger's business, which are granted is the queue's.

use std::fmt;

use super::amount::{Connections, Instances, Pods};
use super::basis::Basis;
use super::fair::{Claim, sizes};
use super::fill::{Climber, fill};
use super::rollout::{Nature, Strategy, Surge};
use super::shortfall::Shortfall;

/// What holds for the whole budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// U: limit − reserved − what escaped the gate.
    pub usable: Connections,
    /// limit − reserved: the most that a workload could ever have.
    pub available: Connections,
    /// For which surge pods slots are kept.
    pub surge: Surge,
    /// What the sizes are made for; the demands' `pods` were derived with it.
    pub basis: Basis,
}

/// What one workload needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The workload's key, such as `Deployment/api`; unique in the budget.
    pub name: String,
    /// n: the replicas it asks for now.
    pub replicas: Pods,
    /// N: the pods that the sizes are made for ([`Basis::pods`]); a number below the replicas is read as the replicas.
    pub pods: Pods,
    /// b: the replicas at which it was last complete; a number above the replicas is read as the replicas.
    pub baseline: Pods,
    /// How it replaces pods.
    pub strategy: Strategy,
    /// Processes in a pod that have pools of their own.
    pub processes: u32,
    /// Engines (pools) in each process.
    pub engines: u32,
    /// kmin: the smallest size of an instance; 0 is read as 1.
    pub min: Connections,
    /// What requires this minimum, where that is not the budget: such as `profile Keycloak`.
    pub needed_by: Option<String>,
    /// kmax: the largest size that it has a use for.
    pub max: Option<Connections>,
    /// Its weight compared with the other workloads'; 0 is read as 1.
    pub weight: u32,
}

/// What one workload gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// k: connections of one instance.
    pub size: Connections,
    /// kmin: the smallest size that a pod may be granted.
    pub min: Connections,
    /// p: instances in one pod.
    pub instances: Instances,
    /// c: what one pod may open, size × instances.
    pub bill: Connections,
    /// N: the pods that the size was made for.
    pub pods: Pods,
    /// Pods that may hold a grant at the same time, surge included.
    pub slots: Pods,
    /// ρ: the surge pods without which a rollout of the current replicas cannot move.
    pub rho: Pods,
    /// S: surge pods that a rollout of the current replicas may add.
    pub surge: Pods,
    /// V: pods that may be missing from the current replicas.
    pub unavailable: Pods,
    /// What the end of a pod means to the workload.
    pub nature: Nature,
    /// Whether its controller makes pods one at a time.
    pub one_by_one: bool,
    /// Not even one pod of it fits, at the smallest size and alone.
    pub hopeless: bool,
}

/// The shares of all workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One for each demand, in the order of the demands.
    pub shares: Vec<Share>,
    /// Whether they are enough.
    pub outlook: Outlook,
}

/// Whether a plan gives every workload what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Whether every workload has all its slots.
    pub feasibility: Feasibility,
    /// Whether workloads that can have slots lack some. A workload that does not fit even alone has no slots and takes
    /// none from the others.
    pub scarce: bool,
}

/// Whether the demands can be met at the minimum sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feasibility {
    /// All slots fit.
    Feasible {
        /// What all slots hold at the planned sizes.
        planned: Connections,
        /// Of this many.
        usable: Connections,
    },
    /// Some slots do not fit: sizes are at their minima, slots are short, and this is why.
    Infeasible(Shortfall),
}

impl Demand {
    /// p: instances in one pod.
    #[must_use]
    pub fn instances(&self) -> Instances {
        Instances::of(self.processes, self.engines)
    }

    /// kmin: the smallest size.
    #[must_use]
    pub fn floor(&self) -> Connections {
        self.min.max(Connections::ONE)
    }

    /// N: the pods that the sizes are made for.
    #[must_use]
    pub fn peak(&self) -> Pods {
        self.pods.max(self.replicas)
    }

    fn claim(&self, surge: Surge) -> Claim<'_> {
        Claim {
            name: &self.name,
            slots: self.strategy.slots(self.peak(), surge),
            instances: self.instances(),
            min: self.min,
            max: self.max,
            weight: self.weight,
        }
    }

    fn share(&self, size: Connections, slots: Pods) -> Share {
        Share {
            size,
            min: self.floor(),
            instances: self.instances(),
            bill: size.per_pod(self.instances()),
            pods: self.peak(),
            slots,
            rho: self.strategy.rho(self.replicas),
            surge: self.strategy.surge(self.replicas),
            unavailable: self.strategy.unavailable(self.replicas),
            nature: self.strategy.nature(),
            one_by_one: self.strategy.one_by_one(),
            hopeless: false,
        }
    }
}

impl Plan {
    /// Shares `terms.usable` among `demands`.
    #[must_use]
    pub fn of(terms: Terms, demands: &[Demand]) -> Self {
        // The largest number means that a sum overflowed, so nothing may fit into it.
        let largest = Connections::MAX.minus(Connections::ONE);
        let (usable, available) = (terms.usable.min(largest), terms.available.min(largest));
        let terms = Terms { usable, available, ..terms };
        let hopeless = hopeless(terms, demands);
        if !hopeless.contains(&true) {
            return Self::among(terms, demands);
        }
        let others: Vec<Demand> = demands
            .iter()
            .zip(&hopeless)
            .filter(|(_, hopeless)| !**hopeless)
            .map(|(d, _)| d.clone())
            .collect();
        let Self { shares, outlook } = Self::among(terms, &others);
        let mut of_others = shares.into_iter();
        let share = |(demand, hopeless): (&Demand, &bool)| {
            let other = if *hopeless { None } else { of_others.next() };
            other.unwrap_or_else(|| Share { hopeless: true, ..demand.share(demand.floor(), Pods::ZERO) })
        };
        let shares = demands.iter().zip(&hopeless).map(share).collect();
        let feasibility = Feasibility::Infeasible(Shortfall::of(terms, demands, &hopeless));
        Self { shares, outlook: Outlook { feasibility, ..outlook } }
    }

    fn among(terms: Terms, demands: &[Demand]) -> Self {
        let claims: Vec<Claim<'_>> = demands.iter().map(|d| d.claim(terms.surge)).collect();
        match sizes(terms.usable, &claims) {
            Some(sizes) => feasible(terms, demands, &claims, &sizes),
            None => infeasible(terms, demands, &claims),
        }
    }
}

/// Which workloads do not fit even alone: one of their pods, at the smallest size, needs more than there is. If that
/// holds for all workloads that want pods, none is marked, because there are no others to protect.
fn hopeless(terms: Terms, demands: &[Demand]) -> Vec<bool> {
    let wants = |d: &Demand| d.strategy.slots(d.peak(), terms.surge) > Pods::ZERO;
    let is_hopeless = |d: &Demand| wants(d) && d.floor().per_pod(d.instances()) > terms.available;
    let hopeless: Vec<bool> = demands.iter().map(is_hopeless).collect();
    let possible = demands.iter().zip(&hopeless).any(|(d, hopeless)| wants(d) && !hopeless);
    if possible { hopeless } else { vec![false; demands.len()] }
}

fn feasible(terms: Terms, demands: &[Demand], claims: &[Claim<'_>], sizes: &[Connections]) -> Plan {
    let shares: Vec<Share> =
        demands.iter().zip(claims).zip(sizes).map(|((d, claim), size)| d.share(*size, claim.slots)).collect();
    let planned = shares.iter().map(|s| s.bill.times(s.slots)).sum();
    let feasibility = Feasibility::Feasible { planned, usable: terms.usable };
    Plan { shares, outlook: Outlook { feasibility, scarce: false } }
}

fn infeasible(terms: Terms, demands: &[Demand], claims: &[Claim<'_>]) -> Plan {
    let slots = scarce_slots(terms.usable, demands, claims);
    let shares = demands.iter().zip(slots).map(|(d, slots)| d.share(d.floor(), slots)).collect();
    let feasibility = Feasibility::Infeasible(Shortfall::of(terms, demands, &[]));
    Plan { shares, outlook: Outlook { feasibility, scarce: true } }
}

/// Slots when not all of them fit: first the pods of the baseline, then the surge pod that a rollout needs, then the
/// rest; each time one by one to the workload with the fewest connections.
///
/// When the limit was lowered so far that not even the baselines fit, they are cut too: only then is a pod above its
/// slots, which is what making room looks for.
fn scarce_slots(usable: Connections, demands: &[Demand], claims: &[Claim<'_>]) -> Vec<Pods> {
    let mut climbers: Vec<Climber<'_>> = demands.iter().map(slot_climber).collect();
    let baseline = |d: &Demand| d.baseline.min(d.replicas);
    let room = fill_up_to(&mut climbers, usable.get(), demands.iter().map(baseline));
    let moving = |d: &Demand| baseline(d).plus(d.strategy.rho(d.replicas));
    let room = fill_up_to(&mut climbers, room, demands.iter().map(moving));
    fill_up_to(&mut climbers, room, claims.iter().map(|claim| claim.slots));
    // No climber passes its end, which is a number of pods.
    climbers.iter().map(|c| Pods::new(u32::try_from(c.at).unwrap_or(u32::MAX))).collect()
}

fn fill_up_to(climbers: &mut [Climber<'_>], room: u64, ends: impl Iterator<Item = Pods>) -> u64 {
    for (climber, end) in climbers.iter_mut().zip(ends) {
        climber.end = end.get().into();
    }
    fill(climbers, room)
}

fn slot_climber(demand: &Demand) -> Climber<'_> {
    let bill = demand.floor().per_pod(demand.instances()).get();
    Climber { name: &demand.name, at: 0, end: 0, price: bill, step: bill, weight: 1 }
}

impl fmt::Display for Feasibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feasible { planned, usable } => {
                write!(f, "{planned} of {usable} usable connections are planned")
            }
            Self::Infeasible(shortfall) => shortfall.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(name: &str, replicas: u32) -> Demand {
        Demand {
            name: name.to_owned(),
            replicas: Pods::new(replicas),
            pods: Pods::new(replicas),
            baseline: Pods::new(replicas),
            strategy: Strategy::default(),
            processes: 1,
            engines: 1,
            min: Connections::ONE,
            needed_by: None,
            max: None,
            weight: 1,
        }
    }

    fn terms(usable: u64) -> Terms {
        let usable = Connections::new(usable);
        Terms { usable, available: usable, surge: Surge::Minimal, basis: Basis::Ceiling }
    }

    /// (slots, size) of each share.
    fn plan(usable: u64, demands: &[Demand]) -> Vec<(u32, u64)> {
        let plan = Plan::of(terms(usable), demands);
        plan.shares.iter().map(|s| (s.slots.get(), s.size.get())).collect()
    }

    #[test]
    fn a_plan_keeps_a_slot_for_the_surge_pod_that_a_rollout_needs() {
        let plan = Plan::of(terms(13), &[demand("Deployment/api", 2)]);
        let share = Share {
            size: Connections::new(4),
            min: Connections::ONE,
            instances: Instances::ONE,
            bill: Connections::new(4),
            pods: Pods::new(2),
            slots: Pods::new(3),
            rho: Pods::ONE,
            surge: Pods::ONE,
            unavailable: Pods::ZERO,
            nature: Nature::Service,
            one_by_one: false,
            hopeless: false,
        };
        assert_eq!(plan.shares, [share]);
        assert_eq!(plan.outlook.feasibility.to_string(), "12 of 13 usable connections are planned");
    }

    #[test]
    fn sizes_are_made_for_the_peak_and_rollouts_reckon_with_the_replicas_of_now() {
        let api = Demand { pods: Pods::new(6), ..demand("Deployment/api", 2) };
        let plan = Plan::of(terms(13), &[api]);
        let seen: Vec<_> = plan.shares.iter().map(|s| (s.pods, s.slots, s.size, s.rho)).collect();
        assert_eq!(seen, [(Pods::new(6), Pods::new(6), Connections::new(2), Pods::ONE)]);
    }

    #[test]
    fn a_peak_below_the_replicas_is_the_replicas() {
        let api = Demand { pods: Pods::ONE, ..demand("Deployment/api", 4) };
        assert_eq!(plan(13, &[api]), [(4, 3)]);
    }

    #[test]
    fn a_full_reserve_keeps_a_slot_for_every_surge_pod() {
        let terms = Terms { surge: Surge::Full, ..terms(26) };
        let plan = Plan::of(terms, &[demand("Deployment/api", 10)]);
        let seen: Vec<_> = plan.shares.iter().map(|s| (s.slots.get(), s.size.get())).collect();
        assert_eq!(seen, [(13, 2)]);
    }

    #[test]
    fn instances_multiply_into_the_bill() {
        let api = Demand { processes: 2, engines: 2, ..demand("Deployment/api", 4) };
        let plan = Plan::of(terms(40), &[api]);
        let seen: Vec<_> = plan.shares.iter().map(|s| (s.size.get(), s.bill.get())).collect();
        assert_eq!(seen, [(2, 8)]);
    }

    #[test]
    fn what_fits_not_even_alone_takes_nothing_from_the_others() {
        let typo = Demand { processes: 1_000_000, ..demand("Deployment/typo", 2) };
        let large = Demand { min: Connections::new(20), ..demand("Deployment/large", 2) };
        let api = demand("Deployment/api", 2);
        assert_eq!(plan(13, &[typo.clone(), api.clone(), large]), [(0, 1), (3, 4), (0, 20)]);
        let none = Demand { replicas: Pods::ZERO, pods: Pods::ZERO, ..typo.clone() };
        assert_eq!(plan(13, &[none, api.clone()]), [(0, 1), (3, 4)]);
        let told = Plan::of(terms(13), &[typo.clone(), api]);
        assert!(!told.outlook.scarce, "nobody else lacks a slot");
        assert_eq!(
            told.outlook.feasibility.to_string(),
            "Deployment/typo: one pod alone needs 1000000 connections, 13 usable: it can never be granted and takes \
             nothing from the others. The other workloads need at least 3 of them and fit"
        );
        assert!(Plan::of(terms(13), &[typo, demand("Deployment/many", 20)]).outlook.scarce);
    }

    #[test]
    fn when_not_all_fit_the_pods_of_the_baseline_keep_their_slots_first() {
        let api = Demand { baseline: Pods::new(4), ..demand("Deployment/api", 20) };
        let web = Demand { baseline: Pods::new(6), ..demand("Deployment/web", 6) };
        assert_eq!(plan(13, &[api.clone(), web.clone()]), [(7, 1), (6, 1)]);
        assert_eq!(plan(10, &[api, web]), [(4, 1), (6, 1)]);
    }

    #[test]
    fn when_not_all_fit_the_surge_pods_of_settled_workloads_come_second() {
        let api = Demand { baseline: Pods::ZERO, ..demand("Deployment/api", 20) };
        let web = demand("Deployment/web", 2);
        assert_eq!(plan(3, &[api.clone(), web.clone()]), [(0, 1), (3, 1)]);
        assert_eq!(plan(4, &[api, web]), [(1, 1), (3, 1)]);
    }

    #[test]
    fn when_not_all_fit_the_rest_goes_to_the_workload_with_the_least_connections() {
        let wide = Demand { processes: 4, baseline: Pods::ZERO, ..demand("Deployment/wide", 20) };
        let narrow = Demand { baseline: Pods::ZERO, ..demand("Deployment/narrow", 20) };
        assert_eq!(plan(13, &[wide, narrow]), [(2, 1), (5, 1)]);
    }

    #[test]
    fn a_limit_lowered_under_the_baseline_cuts_their_slots() {
        let demands = [demand("Deployment/api", 8), demand("Deployment/web", 4)];
        assert_eq!(plan(7, &demands), [(4, 1), (3, 1)]);
        assert_eq!(plan(0, &demands), [(0, 1), (0, 1)]);
    }

    #[test]
    fn a_settled_count_above_the_replicas_keeps_no_slots() {
        let api = Demand { baseline: Pods::new(100), ..demand("Deployment/api", 4) };
        let web = Demand { baseline: Pods::ZERO, ..demand("Deployment/web", 20) };
        assert_eq!(plan(5, &[api, web]), [(4, 1), (1, 1)]);
    }

    #[test]
    fn nothing_fits_into_the_largest_number_that_there_is() {
        let huge = Demand {
            processes: u32::MAX,
            min: Connections::MAX,
            strategy: Strategy::Recreate,
            ..demand("Deployment/huge", u32::MAX)
        };
        assert_eq!(plan(u64::MAX, &[huge]), [(0, u64::MAX)]);
    }

    #[test]
    fn four_billion_slots_are_not_counted_one_by_one() {
        let many = demand("Deployment/many", u32::MAX);
        let dear = Demand { processes: 3, ..demand("Deployment/dear", u32::MAX) };
        let usable = 4 * u64::from(u32::MAX) - 1;
        assert_eq!(plan(usable, &[many, dear]), [(u32::MAX, 1), (u32::MAX - 1, 1)]);
    }

    #[test]
    fn a_budget_without_workloads_is_feasible() {
        assert_eq!(
            Plan::of(terms(13), &[]).outlook.feasibility.to_string(),
            "0 of 13 usable connections are planned"
        );
    }
}
