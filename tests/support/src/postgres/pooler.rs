//! A PgBouncer in session mode that accepts as many clients as its pool has connections, and refuses the next one: the
//! limit of Supavisor's session mode, which counts clients, including idle ones.
//!
//! In: a server, and the size of the pool. Out: its address, and what it refused, from its own log.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use super::server::Server;
use super::until::until;
use super::{place, user};
use crate::ports::free_port;
use crate::process::{Process, Spec};

/// How long it may take until it serves.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How its log reports a refusal.
const REFUSED: &str = "closing because: no more connections allowed";

/// A running pooler. Dropping it ends it.
#[derive(Debug)]
pub struct Pooler {
    process: Process,
    port: u16,
    log: PathBuf,
}

impl Pooler {
    /// Starts one in front of the server.
    pub async fn start(server: &Server, clients: u32) -> Result<Self> {
        let port = free_port()?;
        let folder = user::folder(server.folder().path(), "pooler")?;
        let users = folder.join("users.txt");
        fs::write(&users, "\"app\" \"\"\n\"observer\" \"\"\n").context("write PgBouncer's users")?;
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings(server.port(), port, &users.display().to_string(), clients))
            .context("write PgBouncer's settings")?;
        let log = server.folder().file("pgbouncer.log");
        let (program, args) = user::command(&place::pgbouncer()?, vec![file.into()])?;
        let spec =
            Spec { name: "pgbouncer".to_owned(), program, args, env: BTreeMap::new(), log: log.clone() };
        let mut pooler = Self { process: Process::start(&spec)?, port, log };
        pooler.until_it_serves().await?;
        Ok(pooler)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many clients it refused for lack of room, from its own log.
    pub fn refused(&self) -> Result<usize> {
        let log = fs::read(&self.log).context("read PgBouncer's log")?;
        Ok(String::from_utf8_lossy(&log).lines().filter(|line| line.contains(REFUSED)).count())
    }

    async fn until_it_serves(&mut self) -> Result<()> {
        let served = until(START_DEADLINE, "PgBouncer serves", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.map(|_| ()).context("connect to PgBouncer")
        });
        let served = served.await;
        // The end of its log says more than the last answer.
        served.or_else(|error| self.process.expect_running().and(Err(error)))
    }
}

fn settings(server: u16, port: u16, users: &str, clients: u32) -> String {
    format!(
        "[databases]\n\
         app = host=127.0.0.1 port={server} dbname=app user=app\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = trust\n\
         auth_file = {users}\n\
         stats_users = observer\n\
         pool_mode = session\n\
         default_pool_size = {clients}\n\
         max_client_conn = {all}\n",
        // A user of its console counts as a client too.
        all = clients + 1
    )
}
