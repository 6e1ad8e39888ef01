//! The ways to the server: directly, and through each proxy.
//!
//! In: a server, and how many connections a proxy may hold. Out: addresses and process ids. All proxies are set to hold
//! clients back above the number, to write nothing for each connection, and to cut none off.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::dns::Dns;
use testkit::folder::Folder;
use testkit::install::operator_binary;
use testkit::ports::free_port;
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::postgres::{place, user};
use testkit::process::{Process, Spec};
use tokio::net::TcpStream;

/// The name of the database, as the governor is told it.
const NAME: &str = "db.test";
/// Where the governor listens for its second database. Its first one is at 127.0.0.1, where the server is.
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long a proxy may take until it listens.
const START: Duration = Duration::from_secs(30);

/// How a client gets to the server, in the order of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Direct,
    Governor,
    Haproxy,
    Pgbouncer,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Governor, Self::Haproxy, Self::Pgbouncer];
    /// Those with a program in between.
    pub const PROXIES: [Self; 3] = [Self::Governor, Self::Haproxy, Self::Pgbouncer];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Governor => "governor",
            Self::Haproxy => "HAProxy",
            Self::Pgbouncer => "PgBouncer",
        }
    }
}

/// The first line of what a program says about its version.
pub fn version(way: Way) -> Result<String> {
    let (program, flag) = match way {
        Way::Governor => (operator_binary()?, "--version"),
        Way::Haproxy => (haproxy()?, "-v"),
        Way::Pgbouncer => (place::pgbouncer()?, "--version"),
        Way::Direct => (place::of_postgres("postgres")?, "--version"),
    };
    let output = Command::new(&program).arg(flag).output();
    let output = output.with_context(|| format!("start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

fn haproxy() -> Result<PathBuf> {
    place::on_path("haproxy").context("run `make governor-bench`, which installs it: there is no haproxy")
}

/// A proxy that runs.
struct Proxy {
    process: Process,
    address: SocketAddrV4,
}

/// The server, and proxies in front of it.
pub struct Ways {
    server: SocketAddrV4,
    proxies: BTreeMap<Way, Proxy>,
    folder: Folder,
    _dns: Dns,
}

impl Ways {
    /// Starts these proxies, each with this number.
    pub async fn start(server: &Server, which: &[Way], number: u32) -> Result<Self> {
        let (folder, dns) = (Folder::create()?, Dns::start().await?);
        dns.set(NAME, &[Ipv4Addr::LOCALHOST.into()]);
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, server.port());
        let mut ways = Self { server, proxies: BTreeMap::new(), folder, _dns: dns };
        for way in which {
            let (address, program, args) = match way {
                Way::Direct => continue,
                Way::Governor => ways.governor(number)?,
                Way::Haproxy => ways.haproxy(number)?,
                Way::Pgbouncer => ways.pgbouncer(number)?,
            };
            let (name, log) = (way.name().to_owned(), ways.folder.file(&format!("{}.log", way.name())));
            let process = Process::start(&Spec { name, program, args, env: BTreeMap::new(), log })?;
            let mut proxy = Proxy { process, address };
            let listens = until(START, way.name(), async || {
                TcpStream::connect(address).await.map(drop).with_context(|| format!("connect to {address}"))
            });
            listens.await.or_else(|error| proxy.process.expect_running().and(Err(error)))?;
            ways.proxies.insert(*way, proxy);
        }
        Ok(ways)
    }

    /// Where clients connect.
    pub fn address(&self, way: Way) -> SocketAddrV4 {
        self.proxies.get(&way).map_or(self.server, |proxy| proxy.address)
    }

    /// The process in between.
    pub fn pid(&self, way: Way) -> Option<u32> {
        self.proxies.get(&way).map(|proxy| proxy.process.pid())
    }

    /// A folder for files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn governor(&self, number: u32) -> Result<(SocketAddrV4, PathBuf, Vec<OsString>)> {
        let file = self.folder.write("allowed", &number.to_string())?.into_os_string();
        let (first, second) =
            (format!("first.test:{}", free_port()?), format!("{NAME}:{}", self.server.port()));
        let (told, resolver) = (free_port()?.to_string(), self._dns.address().to_string());
        let flags = ["governor", "--database", &first, "--database", &second, "--port", &told];
        let rest = ["--resolver", &resolver, "--pod-uid", "uid-1", "--allowed-file"];
        let args = flags.iter().chain(&rest).map(OsString::from).chain([file]).collect();
        Ok((SocketAddrV4::new(SECOND, self.server.port()), operator_binary()?, args))
    }

    fn haproxy(&self, number: u32) -> Result<(SocketAddrV4, PathBuf, Vec<OsString>)> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()?);
        let settings = format!(
            "global\n  maxconn 1000\n\
             defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  timeout queue 30s\n\
             listen database\n  bind {address}\n  server db {} maxconn {number}\n",
            self.server
        );
        let file = self.folder.write("haproxy.cfg", &settings)?.into_os_string();
        // In the foreground, as one process.
        Ok((address, haproxy()?, ["-db".into(), "-f".into(), file].into()))
    }

    fn pgbouncer(&self, number: u32) -> Result<(SocketAddrV4, PathBuf, Vec<OsString>)> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()?);
        let folder = user::folder(self.folder.path(), "pgbouncer")?;
        let users = folder.join("users.txt");
        fs::write(&users, "\"app\" \"\"\n").context("write PgBouncer's users")?;
        let settings = format!(
            "[databases]\napp = host={} port={} dbname=app user=app\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
             pool_mode = session\ndefault_pool_size = {number}\nmax_client_conn = 1000\nquery_wait_timeout = 30\n\
             log_connections = 0\nlog_disconnections = 0\n",
            self.server.ip(),
            self.server.port(),
            address.ip(),
            address.port(),
            users.display()
        );
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).context("write PgBouncer's settings")?;
        let (program, args) = user::command(&place::pgbouncer()?, vec![file.into()])?;
        Ok((address, program, args))
    }
}
