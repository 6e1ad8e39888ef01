//! The example application by itself, under its real server on a real PostgreSQL: what its README says of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::folder::Folder;
use testkit::place::root;
use testkit::ports::free_port;
use testkit::postgres::place;
use testkit::postgres::request::{Answer, get, post};
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::process::{Process, Spec};
use tokio::time::timeout;

/// Python starts slowly on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The application with one worker.
struct App {
    address: String,
    process: Process,
    folder: Folder,
}

impl App {
    fn start(server: &Server, env: &[(&str, &str)]) -> Self {
        let folder = Folder::create().unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let worker = ["--worker-class=uvicorn_worker.UvicornWorker", "--no-control-socket", "--workers=1"];
        let process = spawn(
            server,
            &[&["gunicorn"], &worker[..], &["-b", &address, "app.main:app"]].concat(),
            env,
            &folder,
        );
        Self { address, process, folder }
    }

    /// Until it gives this status, and this body where one is expected.
    async fn answers(&mut self, path: &str, status: u16, body: Option<Value>) {
        let answered = until(DEADLINE, "it answers as expected", async || {
            self.process.expect_running()?;
            let answer = get(&self.address, path).await?;
            ensure!(answer.status == status, "{answer:?}");
            let found: Value = serde_json::from_str(&answer.body)?;
            ensure!(body.as_ref().is_none_or(|body| *body == found), "{found}");
            Ok(())
        });
        answered.await.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log()));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.file("log")).unwrap()
    }

    fn lines(&self, word: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(word)).map(ToOwned::to_owned).collect()
    }
}

/// A program of the example, as its image would run it.
fn spawn(server: &Server, words: &[&str], env: &[(&str, &str)], folder: &Folder) -> Process {
    let url = format!("postgresql://app@127.0.0.1:{}/app", server.port());
    let mut all = BTreeMap::from([
        ("DATABASE_URL".to_owned(), OsString::from(url)),
        ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into()),
        ("PYTHONPATH".to_owned(), place::example().into()),
    ]);
    all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), value.into())));
    let program = place::python().unwrap().join(words[0]);
    let args = ["-C".into(), place::example().into(), program.into()].into_iter();
    let args = args.chain(words[1..].iter().map(OsString::from)).collect();
    let spec = Spec {
        name: words[0].to_owned(),
        program: "/usr/bin/env".into(),
        args,
        env: all,
        log: folder.file("log"),
    };
    Process::start(&spec).unwrap()
}

async fn migrate(server: &Server) {
    let folder = Folder::create().unwrap();
    let mut alembic = spawn(server, &["alembic", "upgrade", "head"], &[], &folder);
    let status = alembic.wait(DEADLINE).await.unwrap();
    assert!(status.success(), "{}", alembic.log_end());
}

async fn slow(address: &str, visitors: usize) -> Vec<Result<Answer>> {
    futures::future::join_all((0..visitors).map(|_| get(address, "/slow"))).await
}

/// Answered while `visitors` ask for what is slow.
async fn pool_under(address: &str, visitors: usize) -> Value {
    let look = async {
        let mut found = Value::Null;
        until(DEADLINE, "all connections are in use", async || {
            let answer: Value = serde_json::from_str(&get(address, "/debug/db-pool").await?.body)?;
            ensure!(!answer["pool"]["warning"].is_null(), "{answer}");
            found = answer;
            Ok(())
        })
        .await
        .unwrap();
        found
    };
    let (answers, found) = tokio::join!(slow(address, visitors), look);
    for answer in answers {
        assert_eq!(answer.unwrap().status, 200);
    }
    found
}

async fn serves(engine: &str) {
    let server = Server::start(13).await.unwrap();
    migrate(&server).await;
    server.sql("alter role app nologin").await.unwrap();
    let env = [("DB_ENGINE", engine), ("DB_POOL_SIZE", "2"), ("DB_MAX_OVERFLOW", "1")];
    let mut app = App::start(&server, &env);

    let health = |status: &str, database: &str| {
        json!({"status": status, "version": "1.0.0", "database":
               {"status": database, "pool": {"size": 2, "checked_out": 0, "overflow": 0}}})
    };
    app.answers("/health", 503, Some(health("starting", "connecting"))).await;
    server.sql("alter role app login").await.unwrap();
    app.answers("/health", 200, Some(health("healthy", "connected"))).await;
    assert_eq!(app.lines("database_not_ready attempt=1 ").len(), 1, "{}", app.log());
    let settings = app.lines("db_pool_settings pool_size=2 (DB_POOL_SIZE) max_overflow=1 (DB_MAX_OVERFLOW)");
    assert!(settings.len() == 1 && settings[0].contains(" INFO ["), "{}", app.log());

    // One connection was opened, and rests in the pool.
    let at_rest = json!({"status": "ok", "pool": {"size": 2, "checked_out": 0, "overflow": 0, "checked_in": 1,
                         "max_connections": 3, "warning": null}});
    app.answers("/debug/db-pool", 200, Some(at_rest)).await;
    let full = pool_under(&app.address, 9).await;
    assert_eq!(
        full,
        json!({"status": "ok", "pool": {"size": 2, "checked_out": 3, "overflow": 1, "checked_in": 0,
               "max_connections": 3, "warning": "3 of 3 connections are checked out"}})
    );
    pool_under(&app.address, 9).await;
    let warned = app.lines("high_db_pool_utilization");
    assert_eq!(warned.len(), 1, "once a minute: {warned:?}");
    stores(&app).await;
}

/// What a route stored is there before its answer is, and what failed is not.
async fn stores(app: &App) {
    let add =
        async |name: &str| post(&app.address, "/items", &json!({"name": name}).to_string()).await.unwrap();
    assert_eq!(add("tea").await, Answer { status: 201, body: r#"{"name":"tea","id":1}"#.to_owned() });
    assert_eq!(add("tea").await.status, 409);
    assert_eq!(add("cup").await.status, 201);
    let all: Value = serde_json::from_str(&get(&app.address, "/items").await.unwrap().body).unwrap();
    let names: Vec<&str> =
        all.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tea", "cup"]);
    let pool: Value = serde_json::from_str(&get(&app.address, "/debug/db-pool").await.unwrap().body).unwrap();
    assert_eq!(pool["pool"]["checked_out"], 0, "every session gave its connection back: {pool}");
}

#[tokio::test]
async fn the_example_with_the_asynchronous_engine_does_what_its_readme_says() {
    serves("async").await;
}

#[tokio::test]
async fn the_example_with_the_synchronous_engine_does_what_its_readme_says() {
    serves("sync").await;
}

#[tokio::test]
async fn the_example_takes_no_size_that_means_no_limit_and_says_so() {
    let server = Server::start(13).await.unwrap();
    let said = [
        (
            ("0", "abc"),
            "pool_size=1 (fallback, DB_POOL_SIZE='0' is not a whole number from 1 to 9999) \
                        max_overflow=0 (fallback, DB_MAX_OVERFLOW='abc' is not a whole number from 0 to 9999)",
        ),
        (
            ("-1", "-1"),
            "pool_size=1 (fallback, DB_POOL_SIZE='-1' is not a whole number from 1 to 9999) \
                        max_overflow=0 (fallback, DB_MAX_OVERFLOW='-1' is not a whole number from 0 to 9999)",
        ),
        (
            (" 4 ", ""),
            "pool_size=1 (fallback, DB_POOL_SIZE=' 4 ' is not a whole number from 1 to 9999) \
                       max_overflow=0 (fallback, DB_MAX_OVERFLOW='' is not a whole number from 0 to 9999)",
        ),
    ];
    for ((size, overflow), said) in said {
        let mut app = App::start(&server, &[("DB_POOL_SIZE", size), ("DB_MAX_OVERFLOW", overflow)]);
        app.answers("/health", 200, None).await;
        let lines = app.lines("db_pool_settings");
        assert!(lines[0].contains(" WARNING [") && lines[0].ends_with(said), "{}", app.log());
    }
    let mut app = App::start(&server, &[]);
    app.answers("/health", 200, None).await;
    let said = "pool_size=1 (fallback, DB_POOL_SIZE is not set) max_overflow=0 (fallback, DB_MAX_OVERFLOW is not set)";
    assert!(app.log().contains(said), "{}", app.log());
}

#[tokio::test]
async fn a_refusal_of_the_server_is_a_503_and_in_the_log_and_the_example_goes_on() {
    let server = Server::start(13).await.unwrap();
    let mut app = App::start(&server, &[("DB_POOL_SIZE", "20")]);
    app.answers("/health", 200, None).await;
    // On a busy machine the first ones may be done before the last ones ask.
    until(DEADLINE, "some are answered and some are refused", async || {
        let answers = timeout(DEADLINE, slow(&app.address, 18)).await?;
        let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.unwrap().status).collect();
        ensure!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(server.refused().unwrap() > 0);
    assert!(!app.lines("database_error said=").is_empty(), "{}", app.log());
    assert!(!app.lines("slots are reserved").is_empty(), "{}", app.log());
    app.answers("/health", 200, None).await;
}

#[test]
fn the_example_is_tested_with_the_versions_that_it_is_shipped_with() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let tested = read("tests/postgres/requirements.txt");
    let shipped = read("examples/fastapi/requirements.txt");
    let pins: Vec<&str> = shipped.lines().filter(|line| line.contains("==")).collect();
    assert!(pins.len() > 10, "{pins:?}");
    for pin in pins {
        assert!(tested.lines().any(|line| line == pin), "{pin} is not in tests/postgres/requirements.txt");
    }
}
