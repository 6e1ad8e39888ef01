//! How many connections a server holds over time, as the server reports it: `apps/count.py`, twenty times a second.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::lines::Follower;
use super::pooler::Pooler;
use super::server::Server;
use super::until::until;
use super::{clock, place};
use crate::process::{Process, Spec};

/// How far the count may lag behind.
const CATCH_UP: Duration = Duration::from_secs(30);

/// What was held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Sample {
    /// Seconds since 1970.
    pub at: f64,
    /// Connections of the application in PostgreSQL.
    pub backends: u64,
    /// Clients of the pooler, if there is one.
    pub clients: Option<u64>,
}

impl Sample {
    /// What the limit is about: clients of the pooler, or connections of the server.
    pub fn held(&self) -> u64 {
        self.clients.unwrap_or(self.backends)
    }
}

/// A count that goes on until it is dropped.
#[derive(Debug)]
pub struct Count {
    process: Process,
    log: PathBuf,
}

impl Count {
    /// Starts, and returns when the first sample has arrived.
    pub async fn start(server: &Server, pooler: Option<&Pooler>) -> Result<Self> {
        let log = server.folder().file("count.log");
        let mut args = vec![place::apps().join("count.py").into(), server.socket().into()];
        args.extend(
            [Some(server.port()), pooler.map(Pooler::port)].iter().flatten().map(|it| it.to_string().into()),
        );
        let program = place::python()?.join("python3");
        let env = BTreeMap::from([("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into())]);
        let process =
            Process::start(&Spec { name: "count".to_owned(), program, args, env, log: log.clone() })?;
        let mut count = Self { process, log };
        count.caught_up().await?;
        Ok(count)
    }

    /// Everything counted so far, including a sample that is younger than this call.
    pub async fn samples(&mut self) -> Result<Vec<Sample>> {
        self.caught_up().await?;
        self.read()
    }

    async fn caught_up(&mut self) -> Result<()> {
        let since = clock::now();
        let counted = until(CATCH_UP, "the count has a new sample", async || {
            let samples = self.read()?;
            let last = samples.last();
            ensure!(last.is_some_and(|sample| sample.at > since), "the last one is {last:?}");
            Ok(())
        });
        let counted = counted.await;
        // The end of its log says more than the last answer.
        counted.or_else(|error| self.process.expect_running().and(Err(error)))
    }

    fn read(&self) -> Result<Vec<Sample>> {
        Follower::new(&self.log).news()
    }
}
