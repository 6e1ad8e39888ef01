//! `make simulate`: many random schedules around the shipping controller, or one of them in detail.
//!
//! In: which seeds. Out: a table, the seeds that broke a promise, exit code 1 if there are any. One seed is made as small
//! as it still fails and told step by step.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]
#![allow(clippy::expect_used, reason = "a lock is poisoned only by a panic that ends the program")]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use poolbudget_simulation::judge::Violation;
use poolbudget_simulation::mutation::Mutation;
use poolbudget_simulation::plan::Plan;
use poolbudget_simulation::report::Report;
use poolbudget_simulation::run;
use poolbudget_simulation::shrink::shrink;

/// Failing seeds that are listed.
const LISTED: usize = 20;

/// Runs random schedules of scale events, rollouts, edits and faults around the operator's own code, and judges after
/// every step whether pods hold more than they may.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  simulate --seeds 100000\n  simulate --seed 4711          the one schedule, made small if it fails, with its trace\n  simulate --seeds 2000 --without grants-not-persisted"
)]
struct Arguments {
    /// How many schedules
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this schedule, with its trace
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Only scaling up to the ceiling, good rollouts and deleted pods: what the protocol costs when nothing goes wrong
    #[arg(long)]
    plain: bool,
    /// Only leaders that change while grants are on their way
    #[arg(long, conflicts_with = "plain")]
    contested: bool,
    /// Leave a rule of the protocol out, to see that it is missed
    #[arg(long, value_enum, default_value_t = Mutation::None)]
    without: Mutation,
    /// Threads; as many as there are cores when not given
    #[arg(long)]
    jobs: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of the operator is caught and reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match arguments.seed {
        Some(seed) => tell(&arguments.plan(seed), arguments.without),
        None => run_all(&arguments),
    }
}

impl Arguments {
    fn plan(&self, seed: u64) -> Plan {
        match (self.plain, self.contested) {
            (true, _) => Plan::plain(seed),
            (_, true) => Plan::contested(seed),
            _ => Plan::of(seed),
        }
    }
}

/// One schedule in detail.
fn tell(plan: &Plan, mutation: Mutation) -> ExitCode {
    let seed = plan.seed;
    let (plan, tried) = shrink(plan, mutation);
    let outcome = run(&plan, mutation, true);
    println!("{plan}");
    outcome.trace.iter().for_each(|line| println!("{line}"));
    match outcome.violation {
        None => {
            println!("seed {seed} keeps every promise");
            ExitCode::SUCCESS
        }
        Some(Violation { fault, what }) => {
            println!("\nseed {seed}, made smaller in {tried} tries: {fault:?}: {what}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(arguments: &Arguments) -> ExitCode {
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    let (next, end) = (AtomicU64::new(arguments.from), arguments.from + arguments.seeds);
    let (whole, failed) = (Mutex::new(Report::default()), Mutex::new(Vec::new()));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                let mut report = Report::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let outcome = run(&arguments.plan(seed), arguments.without, false);
                    report.take(&outcome);
                    if let Some(violation) = outcome.violation {
                        failed.lock().expect("the failed").push((seed, violation));
                    }
                }
                whole.lock().expect("the report").add(report);
            });
        }
        progress(&next, arguments, started);
    });
    let report = whole.into_inner().expect("the report");
    let mut failed = failed.into_inner().expect("the failed");
    failed.sort_by_key(|(seed, _)| *seed);
    println!("{report}");
    println!("seeds {} to {} in {:.0?} on {jobs} threads", arguments.from, end - 1, started.elapsed());
    for (seed, Violation { fault, what }) in failed.iter().take(LISTED) {
        println!("seed {seed}: {fault:?}: {}", what.lines().next().unwrap_or_default());
    }
    match failed.first() {
        None => ExitCode::SUCCESS,
        Some((seed, _)) => {
            println!("make simulate SEED={seed} tells the first of {} step by step", failed.len());
            ExitCode::FAILURE
        }
    }
}

/// Tells how far it is until all seeds are taken.
fn progress(next: &AtomicU64, arguments: &Arguments, started: Instant) {
    let terminal = std::io::stderr().is_terminal();
    let pause = Duration::from_secs(if terminal { 1 } else { 30 });
    let mut told = Instant::now();
    loop {
        let done = next.load(Ordering::Relaxed).saturating_sub(arguments.from);
        if done >= arguments.seeds {
            return;
        }
        if told.elapsed() >= pause {
            told = Instant::now();
            let end = if terminal { "\r" } else { "\n" };
            eprint!("{done} of {} schedules, {:.0?}{end}", arguments.seeds, started.elapsed());
            let _ = std::io::stderr().flush();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
