//! For how long a server holds a connection whose client is gone: what the default of `lingerSeconds` rests on, and how
//! its value is chosen.
//!
//! `cargo test --test postgres outliving -- --nocapture` shows the figures.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::bench::count::{Count, Sample};
use crate::bench::server::Server;
use crate::bench::until::until;
use crate::bench::{clock, place};
use crate::support::process::{Process, Spec};

/// Clients that end at the same moment; the one that is held the longest counts.
const CLIENTS: usize = 5;

/// How long their query runs, in seconds.
const QUERY: f64 = 4.0;

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

/// The seconds from the end of the clients until the server has lost the last of them, and the seconds from the start of
/// their queries until then.
async fn outlives(server: &Server, does: Does, end: End, options: &str) -> Result<(f64, f64)> {
    let mut count = Count::start(server, None).await?;
    let mut clients: Vec<Process> =
        (0..CLIENTS).map(|_| client(server, does, options)).collect::<Result<_>>()?;
    let mut held = async |wanted: u64| {
        let mut at = 0.0;
        until(DEADLINE, &format!("{wanted} connections"), async || {
            let samples = count.samples().await?;
            let last = samples.last().copied();
            // The first sample of those that say so to the end.
            let others = samples.iter().rposition(|sample: &Sample| sample.held() != wanted);
            at = samples.get(others.map_or(0, |place| place + 1)).map_or(0.0, |sample| sample.at);
            ensure!(last.is_some_and(|sample| sample.held() == wanted), "{last:?}");
            Ok(())
        })
        .await
        .map(|()| at)
    };
    let began = held(u64::try_from(CLIENTS)?).await?;
    // Connected is not yet asked, or at rest.
    sleep(Duration::from_millis(500)).await;
    let ended = clock::now();
    for client in &mut clients {
        match end {
            End::Killed => client.kill()?,
            End::Closed => client.terminate()?,
        }
    }
    let gone = held(0).await?;
    Ok((gone - ended, gone - began))
}

#[tokio::test]
async fn an_idle_connection_ends_with_its_client_and_a_query_only_if_the_server_looks_for_it() {
    let server = Server::start(20).await.unwrap();
    let (killed, _) = outlives(&server, Does::Nothing, End::Killed, "").await.unwrap();
    let (closed, _) = outlives(&server, Does::Nothing, End::Closed, "").await.unwrap();
    let (busy, whole) = outlives(&server, Does::Query, End::Killed, "").await.unwrap();
    println!("idle, killed: {killed:.2} s; idle, closed: {closed:.2} s; in a query, killed: {busy:.2} s");
    // Far less than a pod needs to start.
    assert!(killed < 1.0 && closed < 1.0, "{killed}, {closed}");
    assert!(whole >= QUERY && busy < QUERY + 1.0, "the query runs to its end: {busy}, {whole}");
    // PostgreSQL 13 cannot look.
    if server.version().await.unwrap() >= 14 {
        let options = "-c client_connection_check_interval=1s";
        let (looking, _) = outlives(&server, Does::Query, End::Killed, options).await.unwrap();
        println!("in a query, killed, with client_connection_check_interval=1s: {looking:.2} s");
        assert!(looking < 2.0, "{looking}");
    }
}
