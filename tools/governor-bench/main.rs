//! `make governor-bench`: what the governor costs, beside HAProxy and PgBouncer, on loopback in front of a real PostgreSQL.
//!
//! In: `--rounds`, how long the parts of a round are, the program (`POOLBUDGET_BINARY`, or that of `make release`). Out:
//! one table in Markdown; what happens meanwhile goes to standard error. Every figure of a proxy has its figure without
//! a proxy from the same round, some seconds before. docs/performance.md says what the figures mean.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]

mod figures;
mod load;
mod session;
mod usage;
mod ways;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use figures::{Book, Figure, Load};
use load::{Lengths, Runner};
use session::Session;
use testkit::postgres::server::Server;
use tokio::time::sleep;
use ways::{Way, Ways};

/// How many connections may be open through a proxy while clients work.
const NUMBER: u32 = 10;
/// How many are open and idle when memory is read.
const IDLE: u32 = 100;
/// How many connections the server has: those of each proxy in turn, and some of a proxy before that are still ending.
const SERVER: u32 = 3 * IDLE;
/// Before memory is read, so that what has just begun or ended is over.
const SETTLE: Duration = Duration::from_millis(1500);

#[derive(Parser)]
struct Args {
    /// How often everything is measured; one round takes some 40 seconds
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of pgbench with 8 clients, in each round and for each way
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Seconds of pgbench with 1 client
    #[arg(long, default_value_t = 2)]
    alone: u32,
    /// MiB that are copied in one direction
    #[arg(long, default_value_t = 205)]
    copy: u32,
    /// MB that are copied at 10 MB/s
    #[arg(long, default_value_t = 20)]
    trickle: u32,
    /// Connections that are opened and closed one after another
    #[arg(long, default_value_t = 400)]
    connections: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let server = Server::start(SERVER).await?;
    eprintln!("PostgreSQL {}", server.sql("show server_version").await?.trim());
    let mut book = Book::default();
    for way in Way::PROXIES {
        eprintln!("{}: {}", way.name(), ways::version(way)?);
        memory(&server, way, &mut book).await?;
    }
    let ways = Ways::start(&server, &Way::PROXIES, NUMBER).await?;
    let lengths = Lengths {
        seconds: args.seconds,
        alone: args.alone,
        copy: args.copy,
        trickle: args.trickle,
        connections: args.connections,
    };
    let runner = Runner::prepare(&ways, lengths).await?;
    for number in 1..=args.rounds {
        eprintln!("round {number} of {}", args.rounds);
        round(&ways, &runner, &mut book).await?;
    }
    sleep(SETTLE).await;
    for way in Way::PROXIES {
        if let Some(pid) = ways.pid(way) {
            book.note(Load::Memory, Figure::AfterAll, way, usage::resident(pid)?.mib());
        }
    }
    print!("{}", book.table());
    Ok(())
}

/// Each load in each way, in this order.
async fn round(ways: &Ways, runner: &Runner, book: &mut Book) -> Result<()> {
    for load in Load::MEASURED {
        let mut direct = None;
        for way in Way::ALL {
            let sample = runner.run(load, way, ways).await?;
            book.take(load, way, &sample, direct.as_ref());
            if way == Way::Direct {
                direct = Some(sample);
            }
        }
    }
    Ok(())
}

/// Memory of a proxy that has just started, with idle connections, and after them.
async fn memory(server: &Server, way: Way, book: &mut Book) -> Result<()> {
    let ways = Ways::start(server, &[way], IDLE).await?;
    let Some(pid) = ways.pid(way) else { return Ok(()) };
    sleep(SETTLE).await;
    book.note(Load::Memory, Figure::AtStart, way, usage::resident(pid)?.mib());
    let address = ways.address(way);
    let open = (0..IDLE).map(|_| Session::open(address)).collect::<Result<Vec<Session>>>()?;
    sleep(SETTLE).await;
    let resident = usage::resident(pid)?;
    book.note(Load::Memory, Figure::WithIdle, way, resident.mib());
    book.note(Load::Memory, Figure::OwnWithIdle, way, resident.own_mib());
    drop(open);
    sleep(SETTLE).await;
    book.note(Load::Memory, Figure::Afterwards, way, usage::resident(pid)?.mib());
    Ok(())
}
