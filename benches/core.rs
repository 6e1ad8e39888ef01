//! The pure core at the sizes that the design names: a plan of 1,000 workloads takes at most 1 ms.

use divan::{Bencher, black_box};
use poolbudget::budget::amount::{Connections, Pods};
use poolbudget::budget::basis::Basis;
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
        settled: Pods::new(1 + i % 7),
        strategy: if i.is_multiple_of(5) { Strategy::Recreate } else { Strategy::default() },
        processes: 1 + i % 4,
        engines: 1 + i % 2,
        min: Connections::new(1 + u64::from(i % 3)),
        max: i.is_multiple_of(4).then(|| Connections::new(30)),
        weight: 1 + i % 10,
    };
    (0..count).map(one).collect()
}

fn plan(bencher: Bencher<'_, '_>, workloads: u32, usable: u64) {
    let demands = demands(workloads);
    let terms = Terms { usable: Connections::new(usable), surge: Surge::Minimal, basis: Basis::Ceiling };
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
