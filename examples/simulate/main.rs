#[path = "../../tests/simulator/mod.rs"]
mod simulator;
use simulator::{mutation::Mutation, plan::Plan};
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (from, count) = (args[0], args[1]);
    let traced = args.len() > 2;
    let started = std::time::Instant::now();
    let mut bad = 0;
    let mut steps = 0;
    let mut looks = 0;
    let mut settled = 0;
    for seed in from..from + count {
        let plan = Plan::of(seed);
        let outcome = simulator::run(&plan, Mutation::None, traced);
        steps += outcome.tally.steps;
        looks += outcome.tally.looks;
        settled += outcome.tally.settled.is_some() as u64;
        if traced {
            println!("{plan:#?}");
            for line in &outcome.trace {
                println!("{line}");
            }
        }
        if let Some(v) = outcome.violation {
            bad += 1;
            let first: String = v.what.lines().next().unwrap_or_default().into();
            println!("seed {seed}: {:?}: {}", v.fault, if traced { &v.what } else { &first });
        }
    }
    println!(
        "{count} schedules, {bad} bad, {settled} settled, {steps} steps, {looks} looks, {:?}",
        started.elapsed()
    );
}
