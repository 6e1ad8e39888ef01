//! A PgBouncer in front of a server, in any mode, with a console.
//!
//! In: a server and settings. Out: its port. It asks nobody for a password; `observer` may look at its console.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::ports::free_port;
use testkit::postgres::until::until;
use testkit::postgres::{place, user};
use testkit::process::{Process, Spec};
use tokio::net::TcpStream;

use super::server::{PASSWORD, Server};

/// How long it may take until it serves.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running pooler. Dropping it ends it.
pub(crate) struct Pooler {
    pub(crate) port: u16,
    _process: Process,
}

impl Pooler {
    /// Starts one with these databases and settings.
    pub(crate) async fn start(server: &Server, databases: &[&str], settings: &str) -> Result<Self> {
        let port = free_port()?;
        let folder = user::folder(server.folder.path(), &format!("pooler-{port}"))?;
        let users = folder.join("users.txt");
        fs::write(&users, "\"app\" \"\"\n\"observer\" \"\"\n")?;
        let of = |name: &&str| {
            format!("{name} = host=127.0.0.1 port={} dbname=app user=app password={PASSWORD}\n", server.port)
        };
        let databases: String = databases.iter().map(of).collect();
        let file = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{databases}[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\nstats_users = observer\n{settings}",
            users.display()
        );
        fs::write(&file, text)?;
        let log = server.folder.file("pgbouncer.log");
        let (program, args) = user::command(&place::pgbouncer()?, vec![file.into()])?;
        let spec = Spec { name: "pgbouncer".to_owned(), program, args, env: BTreeMap::new(), log };
        let process = Process::start(&spec)?;
        until(DEADLINE, "PgBouncer serves", async || {
            TcpStream::connect(("127.0.0.1", port)).await.map(|_| ()).context("connect to PgBouncer")
        })
        .await?;
        Ok(Self { port, _process: process })
    }

    /// Where a user finds a database of it; `pgbouncer` is its console.
    pub(crate) fn text(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}
