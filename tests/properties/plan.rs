//! Plans: nothing over what is usable, whatever is demanded.

use poolbudget::budget::amount::{Connections, Pods};
use poolbudget::budget::basis::Basis;
use poolbudget::budget::plan::{Demand, Feasibility, Plan, Share, Terms};
use poolbudget::budget::rollout::{Strategy as Rollout, Surge};
use proptest::prelude::*;

use crate::situations::{Numbers, demand};
use crate::values::{large, number, surge};

fn named(demands: Vec<Demand>) -> Vec<Demand> {
    let name = |(i, d)| Demand { name: format!("Deployment/w{i}"), ..d };
    demands.into_iter().enumerate().map(name).collect()
}

/// Numbers as they are met in clusters, of more and larger workloads than in a situation.
const USUAL: Numbers =
    Numbers { count: |most| (0..=most * 3 / 2).boxed(), connections: |most| (0..=most * 3 / 2).boxed() };

/// The same, and now and then the largest.
const EXTREME: Numbers =
    Numbers { count: |most| number(most * 3 / 2).boxed(), connections: |most| large(most * 3 / 2).boxed() };

fn demands(numbers: Numbers) -> impl Strategy<Value = Vec<Demand>> {
    prop::collection::vec(demand(numbers), 0..8).prop_map(named)
}

fn terms(usable: u64, surge: Surge) -> Terms {
    Terms {
        usable: Connections::new(usable),
        available: Connections::new(usable),
        surge,
        basis: Basis::Ceiling,
    }
}

/// Σ slots × bill, in numbers that cannot overflow.
fn spent(plan: &Plan) -> u128 {
    let pods = |s: &Share| u128::from(s.slots.get()) * u128::from(s.bill.get());
    plan.shares.iter().map(pods).sum()
}

/// What all slots need at the minimum sizes.
fn needed(terms: Terms, demands: &[Demand]) -> u128 {
    let need = |d: &Demand| {
        let slots = u128::from(d.strategy.slots(d.peak(), terms.surge).get());
        slots * u128::from(d.floor().get()) * u128::from(d.instances().get())
    };
    demands.iter().map(need).fold(0, u128::saturating_add)
}

/// The slots of an infeasible plan by the protocol's rule: one by one, in three stages, to the workload with
/// the least connections.
fn slots_one_by_one(terms: Terms, demands: &[Demand]) -> Vec<u32> {
    let bill = |d: &Demand| d.floor().get() * u64::from(d.instances().get());
    let stage = |d: &Demand, stage: usize| {
        let baseline = d.baseline.min(d.replicas);
        [baseline, baseline.plus(d.strategy.rho(d.replicas)), d.strategy.slots(d.peak(), terms.surge)][stage]
    };
    let mut slots = vec![0_u32; demands.len()];
    let mut room = terms.usable.get();
    for end in 0..3 {
        while let Some((least, d)) = demands
            .iter()
            .enumerate()
            .filter(|(i, d)| slots[*i] < stage(d, end).get() && bill(d) <= room)
            .min_by_key(|(i, d)| (u64::from(slots[*i]) * bill(d), bill(d), d.name.clone()))
        {
            slots[least] += 1;
            room -= bill(d);
        }
    }
    slots
}

proptest! {
    #[test]
    fn no_plan_ever_exceeds_what_is_usable(
        usable in large(200),
        surge in surge(),
        demands in demands(EXTREME),
    ) {
        let terms = terms(usable, surge);
        let plan = Plan::of(terms, &demands);
        prop_assert_eq!(plan.shares.len(), demands.len());
        prop_assert!(spent(&plan) <= u128::from(usable));
        for (share, demand) in plan.shares.iter().zip(&demands) {
            prop_assert!(share.size >= demand.floor());
            let most = demand.max.map_or(Connections::MAX, |max| max.max(demand.floor()));
            prop_assert!(share.size <= most);
            prop_assert!(share.slots <= demand.strategy.slots(demand.peak(), surge));
        }
        prop_assert!(!plan.outlook.feasibility.to_string().is_empty());
    }

    #[test]
    fn a_plan_is_feasible_exactly_when_the_minima_fit(
        usable in 0..150_u64,
        surge in surge(),
        demands in demands(USUAL),
    ) {
        let terms = terms(usable, surge);
        let plan = Plan::of(terms, &demands);
        let fits = needed(terms, &demands) <= u128::from(usable);
        match plan.outlook.feasibility {
            Feasibility::Feasible { planned, .. } => {
                prop_assert!(fits);
                prop_assert_eq!(u128::from(planned.get()), spent(&plan));
                for (share, demand) in plan.shares.iter().zip(&demands) {
                    prop_assert_eq!(share.slots, demand.strategy.slots(demand.peak(), surge));
                    prop_assert!(share.slots >= demand.replicas.plus(share.rho), "a rollout of now could not move");
                }
            }
            Feasibility::Infeasible(_) => {
                prop_assert!(!fits);
                prop_assert!(plan.shares.iter().filter(|s| s.hopeless).all(|s| s.slots == Pods::ZERO));
                if plan.outlook.scarce {
                    prop_assert!(plan.shares.iter().all(|s| s.size == s.min));
                } else {
                    // Those that fit not even alone take nothing from the others, which have all that they want.
                    let mut others = plan.shares.iter().zip(&demands).filter(|(share, _)| !share.hopeless);
                    let all_slots = |d: &Demand| d.strategy.slots(d.peak(), surge);
                    prop_assert!(others.all(|(share, demand)| share.slots == all_slots(demand)));
                }
            }
        }
    }

    #[test]
    fn scarce_slots_are_those_of_giving_one_by_one(
        usable in 0..150_u64,
        surge in surge(),
        demands in prop::collection::vec(
            demand(USUAL).prop_map(|d| Demand {
                strategy: if d.replicas.get() % 2 == 0 { Rollout::default() } else { Rollout::Recreate },
                ..d
            }),
            0..8,
        ).prop_map(named),
    ) {
        let terms = terms(usable, surge);
        let plan = Plan::of(terms, &demands);
        if matches!(plan.outlook.feasibility, Feasibility::Infeasible(_)) {
            let slots: Vec<u32> = plan.shares.iter().map(|s| s.slots.get()).collect();
            prop_assert_eq!(slots, slots_one_by_one(terms, &demands));
        }
    }

    #[test]
    fn the_order_of_the_demands_changes_nothing(
        usable in 0..150_u64,
        surge in surge(),
        (demands, shuffled) in demands(USUAL).prop_flat_map(|d| (Just(d.clone()), Just(d).prop_shuffle())),
    ) {
        let share_of = |demands: &[Demand]| {
            let plan = Plan::of(terms(usable, surge), demands);
            let named = demands.iter().map(|d| d.name.clone()).zip(plan.shares);
            let mut shares: Vec<_> = named.collect();
            shares.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            (shares, plan.outlook.feasibility.to_string())
        };
        prop_assert_eq!(share_of(&demands), share_of(&shuffled));
    }

    #[test]
    fn more_connections_take_no_slot_and_no_feasibility_away(
        usable in 0..150_u64,
        more in 1..50_u64,
        demands in demands(USUAL),
    ) {
        let [before, after] = [usable, usable + more].map(|u| Plan::of(terms(u, Surge::Minimal), &demands));
        if matches!(before.outlook.feasibility, Feasibility::Feasible { .. }) {
            let still = matches!(after.outlook.feasibility, Feasibility::Feasible { .. });
            prop_assert!(still);
        }
    }

    #[test]
    fn the_safe_replicas_fit_and_one_more_does_not(
        usable in 0..150_u64,
        surge in surge(),
        demands in demands(USUAL),
    ) {
        let terms = terms(usable, surge);
        let Feasibility::Infeasible(shortfall) = Plan::of(terms, &demands).outlook.feasibility else { return Ok(()) };
        for (i, line) in shortfall.lines.iter().enumerate() {
            let fits_at = |replicas: Pods| {
                let mut changed = demands.clone();
                changed[i] = Demand { replicas, pods: replicas, ..changed[i].clone() };
                // What fits not even alone takes nothing from the others.
                let others = |(j, _): &(usize, Demand)| *j == i || !shortfall.lines[*j].hopeless;
                let changed: Vec<Demand> =
                    changed.into_iter().enumerate().filter(others).map(|(_, demand)| demand).collect();
                needed(terms, &changed) <= u128::from(usable)
            };
            let safe = line.safe_replicas;
            prop_assert!(safe == Pods::ZERO || fits_at(safe));
            prop_assert!(!fits_at(safe.plus(Pods::ONE)));
        }
        let now: Vec<Demand> = demands.iter().map(|d| Demand { pods: d.replicas, ..d.clone() }).collect();
        prop_assert_eq!(shortfall.fits_now(), needed(terms, &now) <= u128::from(usable));
    }
}
