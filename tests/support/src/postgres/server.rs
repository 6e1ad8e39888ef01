//! A private PostgreSQL on loopback, with a hard limit.
//!
//! In: how many connections it has. Out: its address, and what it refused, from its own log. The role `app` connects by
//! TCP; the superuser only by a socket in a private folder, in slots that are reserved for superusers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::programs::Programs;
use super::until::until;
use super::{place, user};
use crate::folder::Folder;
use crate::ports::free_port;
use crate::process::{Process, Spec};

/// How long it may take until it serves.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long it may take to stop.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// SQLSTATE of a server without a free connection, as its log begins such a line.
const REFUSED: &str = "53300 FATAL:";

/// A running server. Dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Server {
    process: Process,
    port: u16,
    data: PathBuf,
    log: PathBuf,
    folder: Folder,
}

impl Server {
    /// Starts a server with `connections` in all, three of them for superusers, plus one for the counter: even a
    /// superuser's connection takes one from the others, because the reserved ones are kept free.
    pub async fn start(connections: u32) -> Result<Self> {
        Self::start_of(&Programs::default(), connections).await
    }

    /// The same, of a version of one's choice.
    pub async fn start_of(programs: &Programs, connections: u32) -> Result<Self> {
        let folder = Folder::create()?;
        let data = user::folder(folder.path(), "data")?;
        let programs = programs.within_reach(&folder)?;
        let settings = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"];
        let mut args: Vec<OsString> = settings.iter().map(OsString::from).collect();
        args.push(data.clone().into());
        let initdb = user::command(&programs.path("initdb")?, args)?;
        run(&initdb, folder.path()).await.context("make the data of a server")?;
        // The application connects by TCP; the socket is in the folder of the data, which is private.
        fs::write(data.join("pg_hba.conf"), "local all all trust\nhost app app 127.0.0.1/32 trust\n")?;
        let port = free_port()?;
        let log = folder.file("postgres.log");
        let (program, args) = user::command(&programs.path("postgres")?, flags(&data, port, connections))?;
        let env = BTreeMap::from([("LC_ALL".to_owned(), "C".into())]);
        let process =
            Process::start(&Spec { name: "postgres".to_owned(), program, args, env, log: log.clone() })?;
        let mut server = Self { process, port, data, log, folder };
        server.until_it_serves().await?;
        server.sql("create role app login").await?;
        server.sql("create database app owner app").await?;
        Ok(server)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        &self.data
    }

    /// The folder of its log.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How many connections it refused for lack of a slot, from its own log.
    pub fn refused(&self) -> Result<usize> {
        let log = fs::read(&self.log).context("read the server's log")?;
        Ok(String::from_utf8_lossy(&log).lines().filter(|line| line.starts_with(REFUSED)).count())
    }

    async fn until_it_serves(&mut self) -> Result<()> {
        let served =
            until(START_DEADLINE, "PostgreSQL serves", async || self.sql("select 1").await.map(|_| ())).await;
        // The end of its log says more than the last answer.
        served.or_else(|error| self.process.expect_running().and(Err(error)))
    }

    /// Its major version.
    pub async fn version(&self) -> Result<u32> {
        let said = self.sql("show server_version_num").await?;
        Ok(said.trim().parse::<u32>().with_context(|| format!("understand {said}"))? / 10_000)
    }

    /// Runs a statement as the superuser, and returns the plain answer.
    pub async fn sql(&self, statement: &str) -> Result<String> {
        let mut args: Vec<OsString> = vec!["-X".into(), "-qAt".into(), "-h".into(), self.data.clone().into()];
        let port = self.port.to_string();
        args.extend(["-p", &port, "-U", "postgres", "-d", "postgres", "-c", statement].map(OsString::from));
        run(&(place::of_postgres("psql")?, args), self.folder.path()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A regular stop removes its shared memory too; if that takes too long, the process is killed.
        let _ = self.process.quit(END_DEADLINE);
    }
}

fn flags(data: &Path, port: u16, connections: u32) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-D".into(), data.into(), "-k".into(), data.into(), "-p".into()];
    args.push(port.to_string().into());
    let settings = [
        format!("max_connections={}", connections + 1),
        "superuser_reserved_connections=3".to_owned(),
        "listen_addresses=127.0.0.1".to_owned(),
        // SQLSTATE first: so its log shows in every version what it refused.
        "log_line_prefix=%e ".to_owned(),
        "fsync=off".to_owned(),
    ];
    args.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
    args
}

async fn run((program, args): &(PathBuf, Vec<OsString>), folder: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").current_dir(folder).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("start {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} {args:?}: {}\n{}", program.display(), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
