//! A governor in front of a real server, and the apps behind it.
//!
//! The server is at 127.0.0.9 and the governor at 127.0.0.1, with the same port, as a host alias has it. A server of DNS
//! has the name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::dns::Dns;
use testkit::folder::Folder;
use testkit::ports::free_port;
use testkit::postgres::place;
use testkit::postgres::programs::Programs;
use testkit::postgres::until::until;
use testkit::process::{Process, Spec};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::limit::server::{PASSWORD, Server};

/// The name of the database.
pub(super) const NAME: &str = "db.test";
/// Where the server is.
const ADDRESS: &str = "127.0.0.9";

/// For what happens soon on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// All of it.
pub(super) struct Stage {
    pub(super) governor: Process,
    pub(super) server: Server,
    pub(super) folder: Folder,
    told: u16,
    _dns: Dns,
}

impl Stage {
    /// A governor with this number, or none yet, and these flags.
    pub(super) async fn open(allowed: Option<u32>, flags: &[&str]) -> Result<Self> {
        let server = Server::start_at(ADDRESS, &Programs::default()).await?;
        let (folder, dns, told) = (Folder::create()?, Dns::start().await?, free_port()?);
        dns.set(NAME, &[ADDRESS.parse()?]);
        let file = folder.write("allowed", &allowed.map_or(String::new(), |number| number.to_string()))?;
        let mut args: Vec<OsString> = vec!["governor".into(), "--allowed-file".into(), file.into()];
        let (database, port) = (format!("{NAME}:{}", server.port), told.to_string());
        let resolver = dns.address().to_string();
        let own = ["--database", &database, "--port", &port, "--resolver", &resolver, "--pod-uid", "uid-1"];
        args.extend(own.iter().chain(flags).map(OsString::from));
        let program = env!("CARGO_BIN_EXE_poolbudget").into();
        let log = folder.file("governor.log");
        let spec = Spec { name: "governor".to_owned(), program, args, env: BTreeMap::new(), log };
        let mut stage = Self { governor: Process::start(&spec)?, server, folder, told, _dns: dns };
        until(SOON, "the governor answers", async || stage.state().await.map(drop))
            .await
            .or_else(|error| stage.governor.expect_running().and(Err(error)))?;
        if allowed.is_some() {
            stage.until("it is ready", |_| true).await?;
        }
        Ok(stage)
    }

    /// Another number, put in place of the old one at once.
    pub(super) fn allow(&self, number: u32) -> Result<()> {
        let new = self.folder.write("new", &format!("{number}\n"))?;
        fs::rename(new, self.folder.file("allowed")).context("put the number in place")
    }

    /// What `/state` says.
    pub(super) async fn state(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.get("/state").await?.1)?)
    }

    /// One number of it.
    pub(super) async fn number(&self, name: &str) -> Result<u64> {
        self.state().await?[name].as_u64().with_context(|| format!("no {name}"))
    }

    /// The first line and the body of an answer.
    pub(super) async fn get(&self, path: &str) -> Result<(String, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.told)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: governor\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
    }

    /// Until it is ready and its state is like this.
    pub(super) async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        until(SOON, what, async || {
            let (ready, _) = self.get("/readyz").await?;
            let state = self.state().await?;
            ensure!(ready.contains(" 200 ") && is(&state), "{ready}: {state}");
            Ok(())
        })
        .await
    }

    /// How many connections of the app the server counts.
    pub(super) async fn count(&self) -> Result<u64> {
        let counted = self.server.sql("select count(*) from pg_stat_activity where usename = 'app'").await?;
        Ok(counted.trim().parse()?)
    }

    /// How it ends by itself.
    pub(super) async fn end(&mut self) -> Result<ExitStatus> {
        self.governor.wait(SOON).await
    }

    /// A connection of the app through the governor.
    pub(super) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.server.port).user("app").password(PASSWORD).dbname("app");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// One part of `governed.py`.
    pub(super) fn app(&self, part: &str, rest: &[&str]) -> Result<App> {
        let mut command = Command::new(place::python()?.join("python3"));
        command.args(["-m", "governed", part, &self.server.port.to_string()]).args(rest);
        command.current_dir(place::apps()).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
        let errors = fs::File::create(self.folder.file("app.log"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().context("start an app")?;
        let input = child.stdin.take().context("its input")?;
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        Ok(App { child, input, lines, log: self.folder.file("app.log") })
    }
}

/// An app that runs.
pub(super) struct App {
    pub(super) child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: std::path::PathBuf,
}

impl App {
    /// The next thing that it tells.
    pub(super) async fn told(&mut self) -> Result<Value> {
        let line = timeout(SOON * 2, self.lines.next_line()).await.context("it tells nothing")??;
        let line = line.with_context(|| format!("it ended: {}", testkit::process::log_end(&self.log)))?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Lets it go on.
    pub(super) async fn go_on(&mut self) -> Result<()> {
        Ok(self.input.write_all(b"\n").await?)
    }
}
