//! The pure core at the sizes that the design names: a plan of 1,000 workloads takes at most 1 ms, a decision over
//! 10,000 pods at most 5 ms.

use divan::{Bencher, black_box};
use poolbudget::budget::amount::{Connections, Instances, Pods};
use poolbudget::budget::basis::Basis;
use poolbudget::budget::decide::{Enforcement, Situation, Workload, decide};
use poolbudget::budget::descent::Past;
use poolbudget::budget::ledger::{Hold, Own, Pod, Unadopted};
use poolbudget::budget::plan::{Demand, Plan, Terms};
use poolbudget::budget::rollout::{Strategy, Surge};

fn main() {
    divan::main();
}

/// `count` workloads of mixed shapes; the same ones in every run.
fn demands(count: u32) -> Vec<Demand> {
    let one = |i: u32| Demand {
        name: format!("Deployment/workload-{i}"),
        replicas: Pods::new(1 + i % 7),
        pods: Pods::new(1 + i % 20),
        baseline: Pods::new(1 + i % 7),
        strategy: if i.is_multiple_of(5) { Strategy::Recreate } else { Strategy::default() },
        processes: 1 + i % 4,
        engines: 1 + i % 2,
        min: Connections::new(1 + u64::from(i % 3)),
        needed_by: None,
        max: i.is_multiple_of(4).then(|| Connections::new(30)),
        weight: 1 + i % 10,
    };
    (0..count).map(one).collect()
}

fn plan(bencher: Bencher<'_, '_>, workloads: u32, usable: u64) {
    let demands = demands(workloads);
    let terms = Terms {
        usable: Connections::new(usable),
        available: Connections::new(usable),
        surge: Surge::Minimal,
        basis: Basis::Ceiling,
    };
    bencher.bench_local(|| Plan::of(black_box(terms), black_box(&demands)));
}

/// All slots fit and sizes are raised.
#[divan::bench(args = [10, 100, 1_000])]
fn plan_feasible(bencher: Bencher<'_, '_>, workloads: u32) {
    plan(bencher, workloads, u64::from(workloads) * 1_000);
}

/// Slots are short, and the shortfall is worked out.
#[divan::bench(args = [10, 100, 1_000])]
fn plan_infeasible(bencher: Bencher<'_, '_>, workloads: u32) {
    plan(bencher, workloads, u64::from(workloads) * 20);
}

/// A number that no loop could count up to.
#[divan::bench]
fn plan_with_four_billion_connections(bencher: Bencher<'_, '_>) {
    plan(bencher, 1_000, u64::from(u32::MAX));
}

/// `pods` pods of 1,000 workloads, of which the last `waiting` wait at the gate; the same ones in every run.
fn situation(pods: u32, waiting: u32, available: u64) -> Situation {
    let replicas = Pods::new(pods / 1_000);
    let one = |demand: Demand| Workload {
        demand: Demand { replicas, pods: replicas, baseline: replicas, ..demand },
        carried: Some(replicas),
        observed: true,
        unadopted: Unadopted::default(),
    };
    let pod = |i: u32| {
        let waits = i >= pods - waiting;
        Pod {
            uid: format!("6f1c0b52-93ae-4d0e-b3d5-{i:012}"),
            name: format!("workload-{}-7d4b9c6f5d-{i:05}", i % 1_000),
            workload: usize::try_from(i % 1_000).ok(),
            created: i64::from(i / 7),
            age: 100,
            hold: if waits { Hold::Waiting } else { Hold::Granted(Connections::new(u64::from(1 + i % 30))) },
            started: 100,
            ready: !waits,
            terminating: i.is_multiple_of(97) && !waits,
            overdue: false,
            excess: Connections::ZERO,
            leaving: false,
            current: i.is_multiple_of(3),
            instances: Instances::of(1 + (i % 1_000) % 4, 1 + (i % 1_000) % 2),
            least: Connections::ONE,
            own: Own::default(),
        }
    };
    Situation {
        enforcement: Enforcement::default(),
        available: Connections::new(available),
        surge: Surge::Minimal,
        basis: Basis::Current,
        eviction: true,
        workloads: demands(1_000).into_iter().map(one).collect(),
        pods: (0..pods).map(pod).collect(),
        quarantine: Vec::new(),
        past: Past::default(),
    }
}

/// Nobody waits: what an event costs that changes nothing.
#[divan::bench(args = [1_000, 10_000])]
fn decide_at_rest(bencher: Bencher<'_, '_>, pods: u32) {
    let situation = situation(pods, 0, 1_000_000);
    bencher.bench_local(|| decide(black_box(&situation)));
}

/// A burst of 1,000 waiting pods, with room for all.
#[divan::bench]
fn decide_a_burst_that_fits(bencher: Bencher<'_, '_>) {
    let situation = situation(10_000, 1_000, 1_000_000);
    assert_eq!(decide(&situation).grants.granted.len(), 1_000);
    bencher.bench_local(|| decide(black_box(&situation)));
}

/// A burst of 1,000 waiting pods, of which most are refused and for which room is to be made.
#[divan::bench]
fn decide_a_burst_that_does_not_fit(bencher: Bencher<'_, '_>) {
    let situation = situation(10_000, 1_000, 130_000);
    let decision = decide(&situation);
    assert_eq!((decision.grants.refused.len(), decision.reclaim.candidates.is_empty()), (1_000, false));
    bencher.bench_local(|| decide(black_box(&situation)));
}

/// Not even the smallest sizes fit, and the shortfall is worked out.
#[divan::bench]
fn decide_an_infeasible_burst(bencher: Bencher<'_, '_>) {
    let situation = situation(10_000, 1_000, 20_000);
    assert_eq!(decide(&situation).grants.refused.len(), 1_000);
    bencher.bench_local(|| decide(black_box(&situation)));
}
