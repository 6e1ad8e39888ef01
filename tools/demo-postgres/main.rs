//! The main job with real connections: the same applications, as Python processes on a real PostgreSQL, without
//! poolbudget and with it, at the same time. `make demo-postgres` provides what it needs and runs it.
//!
//! In:   the programs of `make cluster-tools` and `make postgres-tools`, the operator (`POOLBUDGET_BINARY`), and the
//!       file to write the picture to (the first argument). Out: the counts over time, the picture, and the exit code:
//!       0 when nobody was refused anything with poolbudget, 1 when somebody was, 130 when interrupted. Nothing
//!       outlives it.

mod picture;
mod plot;
mod table;

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use testkit::postgres::story::Story;
use testkit::postgres::told::Told;
use testkit::postgres::way::{DIRECT, SESSION, Way};
use tokio::signal::unix::{SignalKind, signal};

use table::Rows;

const INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tokio::select! {
        told = perform() => told.unwrap_or_else(|error| fail(&error)),
        stopped = interruption() => match stopped.and_then(|()| say(&["interrupted: all of it ends".to_owned()])) {
            Ok(()) => ExitCode::from(INTERRUPTED),
            Err(error) => fail(&error),
        },
    }
}

#[expect(clippy::print_stderr, reason = "an error belongs there")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("demo-postgres: {error:#}");
    ExitCode::FAILURE
}

async fn interruption() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    Ok(())
}

async fn perform() -> Result<ExitCode> {
    let file = env::args_os().nth(1).map_or_else(|| PathBuf::from("demo-postgres.svg"), PathBuf::from);
    let mut all = Vec::new();
    for way in [&DIRECT, &SESSION] {
        all.push(told(way).await?);
    }
    let panels = all.iter().map(picture::Row::of).collect::<Vec<_>>();
    fs::write(&file, picture::draw(&panels)).with_context(|| format!("write {}", file.display()))?;
    say(&[String::new(), format!("The picture is in {}", file.display())])?;
    let kept = all.iter().all(|told| told.with.refused == 0 && told.faults.is_empty());
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells one of the stories, row by row.
async fn told(way: &'static Way) -> Result<Told> {
    say(&table::head(way))?;
    let mut story = Story::open(way).await?;
    let mut rows = Rows::new(way);
    let told = story.tell(|mark, glance| say(&rows.next(mark, glance))).await?;
    say(&table::sum(&told))?;
    Ok(told)
}

fn say(lines: &[String]) -> Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").context("write to standard output")?;
    }
    out.flush().context("write to standard output")
}
