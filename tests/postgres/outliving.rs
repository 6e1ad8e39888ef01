//! For how long a server holds a connection whose client is gone: what the default of `lingerSeconds` rests on, and how
//! its value is chosen.
//!
//! `cargo test --test postgres outliving -- --nocapture` shows the figures.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::postgres::count::Count;
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::postgres::{clock, place};
use testkit::process::{Process, Spec};

/// Clients that end at the same moment; the one that is held the longest counts.
const CLIENTS: usize = 5;

/// How long their query runs, in seconds.
const QUERY: f64 = 5.0;

/// Python starts slowly on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Closed,
}

fn client(server: &Server, does: Does, options: &str) -> Result<Process> {
    let text = |text: String| OsString::from(text);
    let url = format!("postgresql://app@127.0.0.1:{}/app", server.port());
    let env = BTreeMap::from([
        ("DATABASE_URL".to_owned(), text(url)),
        ("PGOPTIONS".to_owned(), text(options.to_owned())),
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into()),
    ]);
    let mut args = vec![place::apps().join("client.py").into()];
    if does == Does::Query {
        args.push(text(format!("select pg_sleep({QUERY})")));
    }
    let (program, log) = (place::python()?.join("python3"), server.folder().file("client.log"));
    Process::start(&Spec { name: "a client".to_owned(), program, args, env, log })
}

/// Until all clients rest, or are in their query. The age of the youngest query, in seconds.
async fn at_it(server: &Server, does: Does) -> Result<f64> {
    let state = if does == Does::Query { "active" } else { "idle" };
    let asked = format!(
        "select count(*), min(extract(epoch from clock_timestamp() - query_start)) from pg_stat_activity \
         where usename = 'app' and state = '{state}'"
    );
    let mut age = 0.0;
    until(DEADLINE, &format!("the clients are {state}"), async || {
        let said = server.sql(&asked).await?;
        let (count, youngest) = said.trim().split_once('|').context("two answers")?;
        ensure!(count.parse::<usize>()? == CLIENTS, "{count} of {CLIENTS}");
        // One that rests may never have asked.
        age = youngest.parse().unwrap_or(0.0);
        Ok(())
    })
    .await?;
    Ok(age)
}

/// The seconds from the end of the clients until the server has lost the last of them, and how old its query was then.
async fn outlives(server: &Server, does: Does, end: End, options: &str) -> Result<(f64, f64)> {
    let mut count = Count::start(server, None).await?;
    let mut clients: Vec<Process> =
        (0..CLIENTS).map(|_| client(server, does, options)).collect::<Result<_>>()?;
    let age = at_it(server, does).await?;
    let ended = clock::now();
    for client in &mut clients {
        match end {
            End::Killed => client.kill()?,
            End::Closed => client.terminate()?,
        }
    }
    let mut gone = ended;
    until(DEADLINE, "the server has lost them", async || {
        let samples = count.samples().await?;
        let last = samples.iter().rposition(|sample| sample.held() > 0);
        let after = last.and_then(|last| samples.get(last + 1)).context("some are there")?;
        gone = after.at;
        Ok(())
    })
    .await?;
    Ok((gone - ended, gone - ended + age))
}

#[tokio::test]
async fn an_idle_connection_ends_with_its_client_and_a_query_only_if_the_server_looks_for_it() {
    let server = Server::start(20).await.unwrap();
    let (killed, _) = outlives(&server, Does::Nothing, End::Killed, "").await.unwrap();
    let (closed, _) = outlives(&server, Does::Nothing, End::Closed, "").await.unwrap();
    let (busy, age) = outlives(&server, Does::Query, End::Killed, "").await.unwrap();
    println!("idle, killed: {killed:.2} s; idle, closed: {closed:.2} s");
    println!("in a query of {QUERY} s, killed: {busy:.2} s");
    // Also on a busy machine.
    assert!(killed < 2.0 && closed < 2.0, "{killed}, {closed}");
    assert!((QUERY - 0.5..QUERY + 2.0).contains(&age), "the query runs to its end: {busy}, {age}");
    // PostgreSQL 13 cannot look.
    if server.version().await.unwrap() >= 14 {
        let options = "-c client_connection_check_interval=1s";
        let (looking, _) = outlives(&server, Does::Query, End::Killed, options).await.unwrap();
        println!("in a query, killed, with client_connection_check_interval=1s: {looking:.2} s");
        assert!(looking < 2.0, "{looking}");
    }
}
