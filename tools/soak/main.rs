//! Chaos on a real control plane: six Deployments under three budgets are scaled, rolled out, edited, deleted, adopted
//! and released at random, while leaders, the API server and etcd are killed, policies go and come, and the operator
//! is upgraded. `make soak MINUTES=10` builds what it needs and runs it; docs/testing.md explains it.
//!
//! In: `--minutes`, `--seed`, the programs of `make cluster-tools`, the operator (`POOLBUDGET_BINARY`). Out: a line
//! every ten seconds, a table in the end, and the exit code: 0 when the rule of [`judge`] was never broken and
//! everything settled, 1 when not, 130 when interrupted. After a failure the folder with all logs is kept.

mod actions;
mod book;
mod calm;
mod faults;
mod fleet;
mod judge;
mod patience;
mod recorder;
mod report;
#[cfg(test)]
mod rules;
mod tally;

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::Parser;
use testkit::random::Random;
use testkit::store::STORE_JSON;
use testkit::{Cluster, Options};
use tokio::time::{Instant, sleep, sleep_until};

use actions::{Action, Hand, Outcome};
use faults::{Deck, Plant};
use recorder::{Recorder, Verdict};
use report::{Deeds, seconds};

/// Between two lines that say how it stands.
const PROGRESS: Duration = Duration::from_secs(10);

const INTERRUPTED: u8 = 130;

#[derive(Parser)]
struct Args {
    /// How long the chaos lasts; starting and settling come on top.
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// Repeats the plan of actions and faults of an earlier run; their effects depend on timing too.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(seed_of_now);
    let lasts = Duration::from_secs(u64::from(args.minutes) * 60);
    say(&format!("soak: {} minutes of chaos; the seed is {seed}", args.minutes));
    let outcome = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {
            say("interrupted: everything is torn down");
            return ExitCode::from(INTERRUPTED);
        }
        outcome = soak(seed, lasts) => outcome,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED (seed {seed}): {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn soak(seed: u64, lasts: Duration) -> Result<()> {
    let began = Instant::now();
    // The audit log of a long run need not hold all of it.
    let flags = [STORE_JSON, "--audit-log-maxsize=100", "--audit-log-maxbackup=2"].map(str::to_owned);
    let cluster = Cluster::start(Options { apiserver_flags: flags.into(), ..Options::default() }).await?;
    let recorder = Recorder::start(&cluster)?;
    let deeds = RefCell::default();
    let run = Run { cluster: &cluster, recorder: &recorder, deeds: &deeds, seed, lasts };
    let outcome = tokio::select! {
        biased;
        verdict = recorder.broken() => Err(verdict.into_error()),
        outcome = run.all(began) => outcome,
    };
    // One that came with the last write is not overlooked.
    let outcome = recorder.verdict().map_or(outcome, |verdict| Err(verdict.into_error()));
    say(&format!("\n{}", deeds.borrow().table(&recorder)));
    if outcome.is_err() {
        say(&format!("all logs are kept in {}", cluster.folder().put_aside().display()));
    }
    outcome
}

/// One run.
struct Run<'a> {
    cluster: &'a Cluster,
    recorder: &'a Recorder,
    deeds: &'a RefCell<Deeds>,
    seed: u64,
    lasts: Duration,
}

impl Run<'_> {
    async fn all(&self, began: Instant) -> Result<()> {
        let mut plant = Plant::install(self.cluster, self.recorder).await?;
        for namespace in ["shop", "blog"] {
            self.cluster.create_namespace(namespace).await?;
        }
        self.cluster.apply(&fleet::manifests()).await?;
        say(&format!(
            "control plane, two replicas of the operator and the fleet: {}",
            seconds(began.elapsed())
        ));
        let hand = Hand::new(self.cluster.client().await?);
        let end = Instant::now() + self.lasts;
        tokio::try_join!(self.act(&hand, end), self.strike(&mut plant, end), self.tell(end))?;
        self.recorder.note("the chaos has ended");
        self.cluster.wait_ready().await?;
        let took = calm::settle(&hand, self.recorder).await?;
        plant.expect_running()?;
        self.recorder.caught_up().await?;
        if self.recorder.judge().tally().rises == 0 {
            bail!("nothing was granted, so nothing was judged");
        }
        say(&format!("everything has settled {} after the chaos", seconds(took)));
        Ok(())
    }

    /// What users do, until the end.
    async fn act(&self, hand: &Hand, end: Instant) -> Result<()> {
        let mut chance = Random::of_purpose(self.seed, 1);
        let mut first = fleet::unadopted().map(Action::Adopt);
        while Instant::now() < end {
            let action = first.next().unwrap_or_else(|| Action::draw(&mut chance));
            let pause = Duration::from_millis(u64::from(chance.between(100, 1_500)));
            self.recorder.note(&format!("-- {}", action.describe()));
            let outcome = hand.perform(&action).await;
            if let Outcome::Refused(why) = &outcome {
                self.recorder.note(&format!("   refused: {why}"));
            }
            self.deeds.borrow_mut().acted(&action, &outcome);
            sleep(pause).await;
        }
        Ok(())
    }

    /// What breaks, until the end.
    async fn strike(&self, plant: &mut Plant<'_>, end: Instant) -> Result<()> {
        let mut deck = Deck::new(Random::of_purpose(self.seed, 2));
        loop {
            sleep(deck.pause()).await;
            if Instant::now() >= end {
                return Ok(());
            }
            let (fault, lasts) = deck.draw();
            self.recorder.note(&format!("== {}, {}", fault.name(), seconds(lasts)));
            plant.strike(fault, lasts).await?;
            self.recorder.note(&format!("== over: {}", fault.name()));
            plant.expect_running()?;
            self.deeds.borrow_mut().struck(fault);
        }
    }

    /// Says how it stands, until the end.
    async fn tell(&self, end: Instant) -> Result<()> {
        let began = Instant::now();
        while Instant::now() < end {
            sleep_until(end.min(Instant::now() + PROGRESS)).await;
            say(&self.deeds.borrow().progress(began.elapsed(), self.recorder));
        }
        Ok(())
    }
}

impl Verdict {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Blind(why) => anyhow::anyhow!("the recorder does not see any more: {why}"),
            Self::Broken(violation, lines) => anyhow::anyhow!(
                "{} ({} after the start, revision {})\nits pods:\n  {}\nwhat led there:\n{}",
                violation.wrong,
                seconds(violation.at),
                violation.revision,
                violation.pods.join("\n  "),
                lines.join("\n"),
            ),
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn say(text: &str) {
    println!("{text}");
}

fn seed_of_now() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    age.as_secs() % 1_000_000
}
