//! A governor in front of a real PostgreSQL: its cap holds, and whatever passes through it is unchanged.

mod stage;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testkit::postgres::until::until;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use self::stage::{NAME, SOON, Stage};
use crate::limit::Authority;

#[tokio::test(flavor = "multi_thread")]
async fn thirty_threads_without_a_pool_hold_three_connections_and_no_query_fails() -> Result<()> {
    let stage = Stage::open(Some(3), &[]).await?;
    let mut app = stage.app("null_pool", &["8"])?;
    let told = tokio::spawn(async move { app.told().await });
    let (mut samples, mut most) = (0, 0);
    while !told.is_finished() {
        let count = stage.count().await?;
        assert!(count <= 3, "the server counts {count}");
        (samples, most) = (samples + 1, most.max(count));
    }
    let told = told.await??;
    assert_eq!(told["failed"], json!([]));
    assert!(told["queries"].as_u64() > Some(100) && samples > 10 && most == 3, "{told} {samples} {most}");
    stage.until("all are closed", |state| state["open"] == 0 && state["waiting"] == 0).await?;
    let state = stage.state().await?;
    assert_eq!((&state["peak"], &state["refused"], &state["bypassed"]), (&json!(3), &json!(0), &json!(0)));
    assert!(state["opened"].as_u64() >= told["queries"].as_u64(), "{state}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_untouched_with_tls_that_is_verified_to_its_end_and_without() -> Result<()> {
    let stage = Stage::open(Some(1), &[]).await?;
    let authority = Authority::new()?;
    let (certificate, key) = authority.issue(NAME, 1)?;
    stage.server.encrypt(&certificate, &key).await?;
    let bundle = stage.folder.write("ca.crt", &authority.pem())?;
    let bundle = bundle.to_str().context("a path")?;
    let mut app = stage.app("tls", &[NAME, bundle])?;
    assert_eq!(app.told().await?, json!({"ssl": true}));
    let much = app.told().await?;
    assert_eq!((&much["same"], &much["size"]), (&json!(true), &json!(200_000_000)));
    let mut app = stage.app("plain", &[])?;
    let much = app.told().await?;
    assert_eq!((&much["same"], &much["size"]), (&json!(true), &json!(200_000_000)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_cancelled_although_every_connection_is_in_use() -> Result<()> {
    let stage = Stage::open(Some(1), &[]).await?;
    assert_eq!(stage.app("cancel", &[])?.told().await?, json!({"cancelled": true}));
    stage.until("the connection is closed", |state| state["open"] == 0).await?;
    let client = stage.connect().await?;
    let token = client.cancel_token();
    let query = tokio::spawn(async move { client.batch_execute("select pg_sleep(60)").await });
    sleep(Duration::from_millis(300)).await;
    token.cancel_query(NoTls).await?;
    let error = timeout(SOON, query).await??.expect_err("it was cancelled");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_pass() -> Result<()> {
    let stage = Stage::open(Some(2), &[]).await?;
    assert_eq!(stage.app("listen", &[])?.told().await?, json!({"heard": ["here"]}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_client_was_killed_counts_until_the_server_is_done_with_it() -> Result<()> {
    let stage = Stage::open(Some(1), &["--queue-timeout", "60s"]).await?;
    let mut app = stage.app("sleep", &["5"])?;
    let sleeping = "select count(*) from pg_stat_activity where query like '%pg_sleep%' and usename = 'app'";
    until(SOON, "it sleeps", async || {
        ensure!(stage.server.sql(sleeping).await?.trim() == "1", "not yet");
        Ok(())
    })
    .await?;
    let killed = Instant::now();
    app.child.start_kill()?;
    app.child.wait().await?;
    // The next one waits, because the server still has the first.
    let next = stage.connect();
    tokio::pin!(next);
    assert!(timeout(Duration::from_secs(1), &mut next).await.is_err());
    assert_eq!((stage.count().await?, stage.number("open").await?), (1, 1));
    let _next = next.await?;
    assert!(killed.elapsed() > Duration::from_secs(2), "{:?}", killed.elapsed());
    assert_eq!((stage.count().await?, stage.number("peak").await?), (1, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lower_number_idle_connections_are_closed_and_pools_recover() -> Result<()> {
    let stage = Stage::open(Some(5), &[]).await?;
    let mut app = stage.app("pool", &[])?;
    assert_eq!(app.told().await?, json!({"open": 5}));
    assert_eq!((stage.count().await?, stage.number("open").await?), (5, 5));
    sleep(Duration::from_millis(1_600)).await;
    stage.allow(2)?;
    let lowered = Instant::now();
    stage.until("two are left", |state| state["open"] == 2 && state["allowed"] == 2).await?;
    assert!(lowered.elapsed() < Duration::from_secs(2), "{:?}", lowered.elapsed());
    assert_eq!(stage.count().await?, 2);
    // It still keeps five, so it finds closed ones, and opens others while idle ones are its own.
    app.go_on().await?;
    assert_eq!(app.told().await?, json!({"queries": 8}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_a_transaction_is_not_closed_after_a_lower_number() -> Result<()> {
    let stage = Stage::open(Some(2), &[]).await?;
    let (working, idle) = (stage.connect().await?, stage.connect().await?);
    working.batch_execute("begin; select 1").await?;
    idle.batch_execute("select 1").await?;
    stage.allow(0)?;
    stage.until("one is left", |state| state["open"] == 1).await?;
    sleep(Duration::from_secs(1)).await;
    working.batch_execute("select 2; commit").await?;
    assert!(idle.batch_execute("select 1").await.is_err());
    stage.until("none is left", |state| state["open"] == 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_number_is_in_force_within_a_second() -> Result<()> {
    let stage = Stage::open(None, &[]).await?;
    assert!(stage.get("/readyz").await?.1.contains("the number of connections"));
    let first = stage.connect();
    tokio::pin!(first);
    assert!(timeout(Duration::from_secs(1), &mut first).await.is_err(), "there is no number yet");
    for (number, waiting) in [(1, first), (2, Box::pin(stage.connect()).as_mut())] {
        stage.allow(number)?;
        timeout(Duration::from_secs(1), waiting).await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_gets_the_error_of_a_full_server_with_the_reason() -> Result<()> {
    let stage = Stage::open(Some(1), &["--queue-timeout", "1s"]).await?;
    let _held = stage.connect().await?;
    let error = stage.connect().await.err().context("one is allowed")?;
    let said = error.as_db_error().context("an error of the server")?;
    assert_eq!(said.code(), &SqlState::TOO_MANY_CONNECTIONS);
    let text = "poolbudget: this pod may hold 1 connection, it is in use; waited 1 s";
    assert_eq!(said.message(), text);
    let mut app = stage.app("refused", &[])?;
    let told = app.told().await?;
    assert!(told["told"].as_str().is_some_and(|told| told.contains(text)), "{told}");
    // Newer clients do not show what they are told before TLS.
    let told = app.told().await?;
    let is_told = |told: &str| told.contains(text) || told.contains("error response during SSL exchange");
    assert!(told["told"].as_str().is_some_and(is_told), "{told}");
    assert_eq!(stage.number("waiting").await?, 0);
    assert!(stage.number("refused").await? >= 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_breaks_connections_and_permits_come_back() -> Result<()> {
    let mut stage = Stage::open(Some(1), &[]).await?;
    let open = stage.connect().await?;
    stage.server.stop()?;
    assert!(open.batch_execute("select 1").await.is_err());
    for _ in 0..3 {
        let error = timeout(SOON, stage.connect()).await?.err().context("nobody listens")?;
        assert!(error.as_db_error().is_none(), "{error:?}");
    }
    stage.until("no permit is out", |state| state["open"] == 0 && state["waiting"] == 0).await?;
    stage.server.resume().await?;
    stage.connect().await?.batch_execute("select 1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_it_serves_on_until_no_connection_is_open() -> Result<()> {
    let mut stage = Stage::open(Some(2), &[]).await?;
    let client = stage.connect().await?;
    stage.governor.terminate()?;
    sleep(Duration::from_millis(300)).await;
    client.batch_execute("select 1").await?;
    // The app may still open one, as on its own way out.
    drop(stage.connect().await?);
    stage.governor.expect_running()?;
    drop(client);
    assert_eq!(stage.end().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_it_at_once() -> Result<()> {
    let mut stage = Stage::open(Some(1), &[]).await?;
    let _client = stage.connect().await?;
    for _ in 0..2 {
        stage.governor.terminate()?;
        sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(stage.end().await?.code(), Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_only_watches_it_counts_what_is_open_and_holds_nothing() -> Result<()> {
    let stage = Stage::open(Some(1), &["--watch"]).await?;
    let direct = async || {
        let mut config = tokio_postgres::Config::new();
        let server = &stage.server;
        config.host("127.0.0.9").port(server.port).user("app").password("s3cr3t").dbname("app");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok::<_, tokio_postgres::Error>(client)
    };
    assert!(stage.connect().await.is_err(), "nothing listens");
    let _clients = (direct().await?, direct().await?);
    stage.until("both are seen", |state| state["open"] == 2 && state["bypassed"] == 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_come_through_it_is_told_apart() -> Result<()> {
    let stage = Stage::open(Some(1), &[]).await?;
    let _client = stage.connect().await?;
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.9").port(stage.server.port).user("app").password("s3cr3t").dbname("app");
    let (_direct, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    stage.until("one came another way", |state| state["open"] == 1 && state["bypassed"] == 1).await?;
    let metrics = stage.get("/metrics").await?.1;
    assert!(metrics.contains("\npoolbudget_governor_bypassed_connections 1\n"), "{metrics}");
    Ok(())
}
