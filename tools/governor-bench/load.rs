//! One load, one way: what is done, and what it took.
//!
//! In: lengths. Out: samples. pgbench plays the clients that select, and those that open a connection for each question;
//! its log has the latency of every transaction.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testkit::postgres::place;
use tokio::process::Command;
use tokio::task::spawn_blocking;

use super::figures::{Load, Sample};
use super::session::Session;
use super::usage;
use super::ways::{Way, Ways};

/// The size of the tables: 1,000,000 rows.
const SCALE: &str = "10";
/// Bytes in a second of the slow COPY.
const TRICKLE: f64 = 10e6;
/// How the logs of transactions are called.
const LOG: &str = "transactions";

/// How long the parts of a round are.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Seconds with eight clients.
    pub seconds: u32,
    /// Seconds with one.
    pub alone: u32,
    /// MiB of a COPY.
    pub copy: u32,
    /// MB of the slow one.
    pub trickle: u32,
    /// Connections, one after another.
    pub connections: u32,
}

/// Does what is measured.
pub struct Runner {
    lengths: Lengths,
    pgbench: PathBuf,
}

impl Runner {
    /// Fills the tables, and uses each way once.
    pub async fn prepare(ways: &Ways, lengths: Lengths) -> Result<Self> {
        let runner = Self { lengths, pgbench: place::of_postgres("pgbench")? };
        let direct = ways.address(Way::Direct);
        runner.bench(direct, ways.folder(), &["-i", "-q", "-s", SCALE]).await?;
        Session::open(direct)?.run("create table sink (line text)")?;
        for way in Way::ALL {
            let flags = ["-n", "-S", "-M", "prepared", "-c", "8", "-j", "2", "-T", "1"];
            runner.bench(ways.address(way), ways.folder(), &flags).await?;
        }
        Ok(runner)
    }

    /// Does it once, and measures what the proxy uses meanwhile.
    pub async fn run(&self, load: Load, way: Way, ways: &Ways) -> Result<Sample> {
        let pid = ways.pid(way);
        let before = pid.map(usage::cpu).transpose()?;
        let sample = self.pass(load, ways.address(way), ways.folder()).await;
        let sample = sample.with_context(|| format!("{load:?}, {}", way.name()))?;
        let after = pid.map(usage::cpu).transpose()?;
        let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        Ok(Sample { cpu, ..sample })
    }

    async fn pass(&self, load: Load, address: SocketAddrV4, folder: &Path) -> Result<Sample> {
        let Lengths { seconds, alone, copy, trickle, connections } = self.lengths;
        let mib = usize::try_from(copy).unwrap_or_default() << 20;
        match load {
            Load::Eight => self.select(address, folder, ["8", "2"], seconds).await,
            Load::Alone => self.select(address, folder, ["1", "1"], alone).await,
            Load::CopyOut => copied(address, copy.into(), move |session| session.copy_out(mib)).await,
            Load::CopyIn => copied(address, copy.into(), move |session| session.copy_in(mib, None)).await,
            Load::Trickle => {
                let bytes = usize::try_from(trickle).unwrap_or_default() * 1_000_000;
                let amount = f64::from(trickle) * 1e6 / f64::from(1 << 20);
                copied(address, amount, move |session| session.copy_in(bytes, Some(TRICKLE))).await
            }
            Load::Connections => self.reconnect(address, folder, connections).await,
            Load::Memory => bail!("memory is no load"),
        }
    }

    /// Clients that select one row by its key, again and again.
    async fn select(
        &self,
        address: SocketAddrV4,
        folder: &Path,
        [clients, threads]: [&str; 2],
        seconds: u32,
    ) -> Result<Sample> {
        let (seconds, prefix) = (seconds.to_string(), format!("--log-prefix={LOG}"));
        let flags =
            ["-n", "-S", "-M", "prepared", "-c", clients, "-j", threads, "-T", &seconds, "-l", &prefix];
        let said = self.bench(address, folder, &flags).await?;
        let mut latencies = logged(folder)?;
        latencies.sort_unstable();
        Ok(Sample { latencies, ..done(&said)? })
    }

    /// One client that opens a connection for each question.
    async fn reconnect(&self, address: SocketAddrV4, folder: &Path, connections: u32) -> Result<Sample> {
        let count = connections.to_string();
        let said = self.bench(address, folder, &["-n", "-S", "-C", "-c", "1", "-t", &count]).await?;
        done(&said)
    }

    async fn bench(&self, address: SocketAddrV4, folder: &Path, flags: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.pgbench);
        command.args(flags).args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command.args(["-U", "app", "app"]).env("LC_ALL", "C").current_dir(folder).kill_on_drop(true);
        let output = command.output().await.context("start pgbench")?;
        if !output.status.success() {
            bail!("pgbench {flags:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A COPY in a session of its own, which is opened before.
async fn copied<C>(address: SocketAddrV4, amount: f64, copy: C) -> Result<Sample>
where
    C: FnOnce(&mut Session) -> Result<Duration> + Send + 'static,
{
    let took = spawn_blocking(move || copy(&mut Session::open(address)?)).await??;
    Ok(Sample { amount, took, ..Sample::default() })
}

/// How many transactions pgbench counted, and how long they took by its own rate: without the start of its clients, but
/// with connections that belong to a transaction.
fn done(said: &str) -> Result<Sample> {
    let number = |after: &str| -> Option<f64> {
        let (_, rest) = said.split_once(after)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        digits.parse().ok()
    };
    let amount = number("transactions actually processed: ").zip(number("tps = "));
    let (amount, rate) =
        amount.filter(|(_, rate)| *rate > 0.0).with_context(|| format!("pgbench said {said}"))?;
    Ok(Sample { amount, took: Duration::from_secs_f64(amount / rate), ..Sample::default() })
}

/// The latencies of the last run, in microseconds; its logs are removed.
fn logged(folder: &Path) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(LOG) {
            let text = fs::read_to_string(entry.path()).context("read a log of pgbench")?;
            latencies.extend(text.lines().filter_map(latency));
            fs::remove_file(entry.path()).context("remove a log of pgbench")?;
        }
    }
    Ok(latencies)
}

/// Client, transaction, microseconds, and more.
fn latency(line: &str) -> Option<u32> {
    line.split(' ').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgbench_says_how_many_transactions_took_how_long() {
        let said = "number of transactions actually processed: 3000/3000\nlatency average = 0.5 ms\n\
                    tps = 1500.5 (without initial connection time)\n";
        let sample = done(said).unwrap();
        assert_eq!(sample.amount.to_string(), "3000");
        assert_eq!(sample.took.as_millis(), 1999);
        assert!(done("pgbench: error").is_err());
    }

    #[test]
    fn a_line_of_the_log_has_the_latency_of_one_transaction() {
        assert_eq!([latency("3 199 2241 0 1175850568 995598"), latency("3")], [Some(2241), None]);
    }
}
