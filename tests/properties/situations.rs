//! Random situations: as they are met in clusters, and with numbers up to the largest.
//!
//! Uids and workload names are unique, as the API server keeps them; everything else is free, also what no
//! sound history leads to: a decision must keep its promises there too.

use poolbudget::budget::amount::{Connections, Instances, Pods};
use poolbudget::budget::basis::Basis;
use poolbudget::budget::decide::{Enforcement, Situation, Workload};
use poolbudget::budget::descent::Past;
use poolbudget::budget::ledger::{Hold, Own, Pod, Unadopted};
use poolbudget::budget::plan::Demand;
use proptest::prelude::*;

use crate::values::{large, number, rollout, surge};

/// Where the numbers of a situation come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// From nothing up to about so many.
    pub(crate) count: fn(u32) -> BoxedStrategy<u32>,
    pub(crate) connections: fn(u64) -> BoxedStrategy<u64>,
}

/// Numbers as they are met in clusters.
pub(crate) const USUAL: Numbers =
    Numbers { count: |most| (0..=most).boxed(), connections: |most| (0..=most).boxed() };

/// The same, and now and then the largest.
pub(crate) const EXTREME: Numbers =
    Numbers { count: |most| number(most).boxed(), connections: |most| large(most).boxed() };

/// What a workload asks for.
pub(crate) fn demand(numbers: Numbers) -> impl Strategy<Value = Demand> {
    let Numbers { count, connections } = numbers;
    let counts = (count(6), count(8), count(6), count(3), count(2), count(4));
    (counts, rollout(), connections(3), prop::option::of(connections(8))).prop_map(
        |((replicas, pods, baseline, processes, engines, weight), strategy, min, max)| Demand {
            name: String::new(),
            replicas: Pods::new(replicas),
            pods: Pods::new(pods),
            baseline: Pods::new(baseline),
            strategy,
            processes,
            engines,
            min: Connections::new(min),
            needed_by: None,
            max: max.map(Connections::new),
            weight,
        },
    )
}

fn workload(numbers: Numbers) -> impl Strategy<Value = Workload> {
    let Numbers { count, connections } = numbers;
    let unadopted = (count(2), count(2), connections(20)).prop_map(|(pods, ready, connections)| Unadopted {
        pods: Pods::new(pods),
        ready: Pods::new(ready.min(pods)),
        connections: Connections::new(connections),
        yields: true,
    });
    let unadopted = prop_oneof![3 => Just(Unadopted::default()), 1 => unadopted];
    (demand(numbers), prop::option::of(count(6)), any::<bool>(), unadopted).prop_map(
        |(demand, carried, observed, unadopted)| Workload {
            demand,
            carried: carried.map(Pods::new),
            observed,
            unadopted,
        },
    )
}

fn hold(numbers: Numbers) -> impl Strategy<Value = Hold> {
    let bill = (numbers.connections)(6).prop_map(Connections::new);
    (0..10, bill).prop_map(|(kind, bill)| match kind {
        0..4 => Hold::Waiting,
        4 => Hold::InFlight(bill),
        5..9 => Hold::Granted(bill),
        _ => Hold::Escaped(bill),
    })
}

/// A pod of one of `workloads` workloads, or of none that is known.
fn pod(numbers: Numbers, workloads: usize) -> impl Strategy<Value = Pod> {
    let times = (0..4_i64, prop_oneof![2 => 0..90_u64, 1 => 0..6_u64, 1 => Just(u64::MAX)]);
    let flags = (any::<bool>(), prop::bool::weighted(0.15), prop::bool::weighted(0.1), any::<bool>());
    let more = (numbers.connections)(20).prop_map(Connections::new);
    let hold = (hold(numbers), prop_oneof![5 => Just(Connections::ZERO), 1 => more]);
    // One index beyond the last workload: an owner that is not known.
    (0..=workloads, times, hold, flags, ((numbers.count)(3), (numbers.count)(2))).prop_map(
        move |(
            owner,
            (created, age),
            (hold, more),
            (ready, terminating, leaving, current),
            (processes, engines),
        )| {
            Pod {
                started: age,
                overdue: terminating && current,
                excess: if matches!(hold, Hold::Granted(_) | Hold::Escaped(_)) {
                    more
                } else {
                    Connections::ZERO
                },
                uid: String::new(),
                name: String::new(),
                workload: (owner < workloads).then_some(owner),
                created,
                age,
                hold,
                ready: ready && hold != Hold::Waiting,
                terminating,
                leaving,
                current,
                instances: Instances::of(processes, engines),
                least: Connections::ONE,
                own: Own::default(),
            }
        },
    )
}

/// A situation of up to `most` workloads.
pub(crate) fn situation(numbers: Numbers, most: usize) -> impl Strategy<Value = Situation> {
    let basis = prop_oneof![Just(Basis::Ceiling), Just(Basis::Ladder), Just(Basis::Current)];
    let terms = ((numbers.connections)(40), surge(), basis, any::<bool>()).boxed();
    let high_water = prop::option::weighted(0.2, (numbers.connections)(60).prop_map(Connections::new));
    let committed = prop::option::weighted(0.5, (numbers.connections)(60).prop_map(Connections::new));
    let past =
        (high_water, committed).prop_map(|(high_water, committed)| Past { high_water, committed }).boxed();
    let quarantine = prop::collection::vec((numbers.connections)(4).prop_map(Connections::new), 0..2);
    prop::collection::vec(workload(numbers), 0..=most).prop_flat_map(move |workloads| {
        let pods = prop::collection::vec(pod(numbers, workloads.len()), 0..16);
        (Just(workloads), pods, terms.clone(), quarantine.clone(), past.clone()).prop_map(
            |(workloads, pods, (available, surge, basis, eviction), quarantine, past)| Situation {
                enforcement: Enforcement::default(),
                available: Connections::new(available),
                surge,
                basis,
                eviction,
                workloads: workloads.into_iter().enumerate().map(named_workload).collect(),
                pods: pods.into_iter().enumerate().map(named_pod).collect(),
                quarantine,
                past,
            },
        )
    })
}

fn named_workload((i, workload): (usize, Workload)) -> Workload {
    let demand = Demand { name: format!("Deployment/w{i}"), ..workload.demand };
    Workload { demand, ..workload }
}

fn named_pod((i, pod): (usize, Pod)) -> Pod {
    // Some names repeat, as they do when a pod of a StatefulSet comes again.
    Pod { uid: format!("uid-{i}"), name: format!("pod-{}", i / 2), ..pod }
}
