//! A PostgreSQL whose settings can be changed, as poolbudget reads it: with passwords, TLS and standbys.
//!
//! In: programs of PostgreSQL. Out: its address, and statements run by its superuser over a socket in a
//! private folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Plain;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use poolbudget::database::dsn::Dsn;
use poolbudget::database::{Doubt, Reading, postgres};
use poolbudget::network::Network;
use testkit::folder::Folder;
use testkit::ports::free_port;
use testkit::postgres::programs::{self, Programs};
use testkit::postgres::until::until;
use testkit::postgres::{place, user};
use testkit::process::{Process, Spec};
use tokio::process::Command;
use tokio_postgres::{Client, NoTls};

/// The password of every role.
pub(crate) const PASSWORD: &str = "s3cr3t";

/// How long it may take until it serves, or has stopped.
const DEADLINE: Duration = Duration::from_secs(60);

/// The programs of this machine, and those of every version that is tested.
pub(crate) fn versions() -> Result<Vec<Programs>> {
    Ok([Programs::default()].into_iter().chain(programs::versions()?.into_values()).collect())
}

/// The networks of the servers of these tests.
pub(crate) fn loopback() -> Vec<Network> {
    vec!["127.0.0.0/8".parse().expect("a network")]
}

/// A server that can be stopped and started again. Dropping it stops it and removes its data.
pub(crate) struct Server {
    process: Option<Process>,
    programs: Programs,
    data: PathBuf,
    pub(crate) port: u16,
    pub(crate) folder: Folder,
}

impl Server {
    /// Starts one that lets in 97 connections of ordinary roles, with the role and the database `app`.
    pub(crate) async fn start(programs: &Programs) -> Result<Self> {
        Self::start_at("127.0.0.1", programs).await
    }

    /// The same, at another address of loopback.
    pub(crate) async fn start_at(address: &str, programs: &Programs) -> Result<Self> {
        let folder = Folder::create()?;
        let programs = programs.within_reach(&folder)?;
        let data = user::folder(folder.path(), "data")?;
        let mut server = Self { process: None, programs, data, port: free_port()?, folder };
        let data: OsString = server.data.clone().into();
        let settings = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"];
        let args = settings.iter().map(OsString::from).chain([data]).collect();
        server.run("initdb", args).await?;
        let conf = format!(
            "listen_addresses = '{address}'\nfsync = off\nmax_connections = 100\n\
             password_encryption = 'scram-sha-256'\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n"
        );
        let conf = fs::read_to_string(server.data.join("postgresql.conf"))? + &conf;
        fs::write(server.data.join("postgresql.conf"), conf)?;
        let hba =
            "local all all trust\nlocal replication all trust\nhost all all 127.0.0.0/8 scram-sha-256\n";
        fs::write(server.data.join("pg_hba.conf"), hba)?;
        server.resume().await?;
        server.sql(&format!("create role app login password '{PASSWORD}'")).await?;
        server.sql("create database app owner app").await?;
        Ok(server)
    }

    /// A copy that follows it.
    pub(crate) async fn standby(&self) -> Result<Self> {
        let folder = Folder::create()?;
        let data = user::folder(folder.path(), "data")?;
        let mut args = self.address();
        args.extend(["-R", "-X", "stream", "-c", "fast", "-D"].map(OsString::from));
        args.push(data.clone().into());
        let standby =
            Self { process: None, programs: self.programs.clone(), data, port: free_port()?, folder };
        standby.run("pg_basebackup", args).await?;
        let mut standby = standby;
        standby.resume().await?;
        Ok(standby)
    }

    /// Starts it again with the settings that it has now.
    pub(crate) async fn resume(&mut self) -> Result<()> {
        let words: [OsString; 6] = [
            "-D".into(),
            self.data.clone().into(),
            "-k".into(),
            self.data.clone().into(),
            "-p".into(),
            self.port.to_string().into(),
        ];
        let (program, args) = user::command(&self.programs.path("postgres")?, words.into())?;
        let env = BTreeMap::from([("LC_ALL".to_owned(), "C".into())]);
        let log = self.folder.file("postgres.log");
        let mut process = Process::start(&Spec { name: "postgres".to_owned(), program, args, env, log })?;
        let served =
            until(DEADLINE, "PostgreSQL serves", async || self.sql("select 1").await.map(|_| ())).await;
        served.or_else(|error| process.expect_running().and(Err(error)))?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it at once.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.quit(DEADLINE))
    }

    /// Stops it and starts it again.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.resume().await
    }

    /// Sends a signal to its main process.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.process.as_ref().context("it runs")?.pid().to_string();
        let status = Plain::new("kill").args([signal, &pid]).status()?;
        ensure!(status.success(), "kill {signal} {pid}: {status}");
        Ok(())
    }

    /// Runs a statement as the superuser, and returns the plain answer.
    pub(crate) async fn sql(&self, statement: &str) -> Result<String> {
        let mut args: Vec<OsString> = vec!["-X".into(), "-qAt".into()];
        args.extend(self.address());
        args.extend(["-d", "postgres", "-c", statement].map(OsString::from));
        self.run("psql", args).await
    }

    /// The address of its socket, and its superuser.
    fn address(&self) -> Vec<OsString> {
        let port = self.port.to_string();
        vec!["-h".into(), self.data.clone().into(), "-p".into(), port.into(), "-U".into(), "postgres".into()]
    }

    /// Shows this certificate from now on.
    pub(crate) async fn encrypt(&self, certificate: &str, key: &str) -> Result<()> {
        for (name, content) in [("server.crt", certificate), ("server.key", key)] {
            let source = self.folder.write(name, content)?;
            let install = place::on_path("install").context("there is no install (Debian: coreutils)")?;
            let words = vec!["-m".into(), "600".into(), source.into(), self.data.join(name).into()];
            run(user::command(&install, words)?, self.folder.path()).await?;
        }
        self.sql("alter system set ssl = on").await?;
        self.sql("select pg_reload_conf()").await?;
        until(DEADLINE, "the server has TLS", async || {
            ensure!(self.sql("show ssl").await?.trim() == "on", "it has none yet");
            Ok(())
        })
        .await
    }

    /// Where a role finds it, without TLS.
    pub(crate) fn text(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// What poolbudget reads as this role from this database.
    pub(crate) async fn read_as(&self, role: &str, database: &str) -> Result<Reading, Doubt> {
        read(&self.text(role, database), None).await
    }

    /// How many connections it reads as `app`, and from where.
    pub(crate) async fn allowed(&self) -> Result<(u32, String), Doubt> {
        let reading = self.read_as("app", "app").await?;
        Ok((reading.allowed.connections, reading.allowed.source))
    }

    /// Opens a connection of an application.
    pub(crate) async fn open(&self, role: &str, name: &str) -> Result<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(role).password(PASSWORD).dbname("app");
        let (client, connection) = config.application_name(name).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Runs one of its programs.
    async fn run(&self, program: &str, args: Vec<OsString>) -> Result<String> {
        run(user::command(&self.programs.path(program)?, args)?, self.folder.path()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A regular stop removes its shared memory too; if that takes too long, the process is killed.
        let _ = self.stop();
    }
}

/// What poolbudget reads with this DSN. The password is in nothing that it says.
pub(crate) async fn read(text: &str, ca: Option<&str>) -> Result<Reading, Doubt> {
    let dsn = Dsn::read(text.as_bytes()).expect("a DSN");
    let told = postgres::read(&dsn, ca.map(str::as_bytes), &loopback()).await;
    assert!(!format!("{told:?} {dsn:?}").contains(PASSWORD));
    told
}

async fn run((program, args): (PathBuf, Vec<OsString>), folder: &Path) -> Result<String> {
    let mut command = Command::new(&program);
    command.args(&args).env("LC_ALL", "C").current_dir(folder).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("start {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} {args:?}: {}\n{}", program.display(), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
