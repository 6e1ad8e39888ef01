//! The model of the workload controllers does what the real ones do.
//!
//! The same script runs on both: sizes over time, annotations and pods must agree. `POOLBUDGET_SCRIPTS=500` tries
//! more random scripts, `POOLBUDGET_SCRIPTS_FROM` begins at another seed; a failing one is named by its seed.

mod judge;
mod lockstep;
mod mutants;
mod named;
mod ranking;
mod real;
mod recording;
mod script;
mod sets;
mod stuck;
mod twin;

use futures::{StreamExt as _, stream};
use testkit::model::deployment::{Deployment, Write};

use crate::world::SHARED;
use judge::{Tally, judge};
use real::record;
use recording::Recording;
use script::{Script, random};

/// Scripts in a cluster at the same time.
const AT_ONCE: usize = 6;

fn faithful(deployment: &mut Deployment, runs: &dyn Fn(u32) -> bool) -> Vec<Write> {
    deployment.sync(runs)
}

async fn recordings(prefix: &str, scripts: Vec<Script>) -> Vec<Recording> {
    let cluster = SHARED.cluster().await.unwrap();
    let run = async |(place, script)| record(cluster, &format!("{prefix}-{place}"), script).await;
    stream::iter(scripts.into_iter().enumerate()).map(run).buffer_unordered(AT_ONCE).collect().await
}

fn assert_conforms(recordings: &[Recording]) -> Tally {
    let mut sum = Tally::default();
    for recording in recordings {
        let tally = judge(recording, faithful).unwrap_or_else(|why| panic!("{why}"));
        sum.rests += tally.rests;
        sum.writes += tally.writes;
        sum.possible += tally.possible;
        sum.states += tally.states;
        sum.behind = sum.behind.max(tally.behind);
    }
    println!("{} scripts: {sum:?}", recordings.len());
    sum
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test]
async fn random_scripts_run_on_the_real_controllers_as_on_the_model() {
    let (from, count) = (number("POOLBUDGET_SCRIPTS_FROM", 0), number("POOLBUDGET_SCRIPTS", 25));
    let scripts = (from..from + count).map(|seed| random(seed, 12)).collect();
    assert_conforms(&recordings("conform", scripts).await);
}
