//! `poolbudget governor`: the program beside an app that holds its connections within a number.
//!
//! After the first signal it serves on until no connection is open; the second ends the process at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::process::{on_signal, with_all_file_handles, without_core_dumps};
use crate::governor::database::{DATABASES, Database};
use crate::governor::{self, Settings};

pub(super) const ABOUT: &str = "Hold the database connections of a pod within a number, as a sidecar of its app.

The names of the databases point at this pod (hostAliases: the first name at 127.0.0.1, the second at 127.0.0.2, and so \
on). The governor listens there, finds the real address by DNS, and passes bytes on unchanged: TLS, passwords and the app's \
configuration stay as they are. It never holds more connections open than the file says, counted until the server has \
closed them. Further clients wait in order; one that waits too long gets the error 53300 that PostgreSQL itself gives. The \
number may change at any time.";

pub(super) const EXAMPLES: &str = "Examples:
  poolbudget governor --database db.example.com:5432         the number is in /etc/poolbudget/allowed
  poolbudget governor --database db:5432,reports:5432        at 127.0.0.1 and 127.0.0.2, one number for both
  poolbudget governor --database db:5432 --watch             only count what the pod opens
  curl -s localhost:9716/state                               what is open, and who waits";

/// The longest time that a client may be told to wait.
const LONGEST_QUEUE: Duration = Duration::from_secs(3600);

#[derive(Args, Debug)]
pub(super) struct GovernorArgs {
    /// Database as the app knows it; repeat it, or separate several with commas (8 at most)
    #[arg(
        long = "database",
        env = "POOLBUDGET_GOVERNOR_DATABASE",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        required = true
    )]
    databases: Vec<Database>,
    /// File with the number of connections that this pod may hold; it is read anew twice a second
    #[arg(
        long,
        env = "POOLBUDGET_GOVERNOR_ALLOWED_FILE",
        value_name = "PATH",
        default_value = "/etc/poolbudget/allowed"
    )]
    allowed_file: PathBuf,
    /// How long a client waits for a free connection, as in 500ms, 30s or 2m
    #[arg(
        long,
        env = "POOLBUDGET_GOVERNOR_QUEUE_TIMEOUT",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration
    )]
    queue_timeout: Duration,
    /// Port of all addresses of the pod that serves /state, /metrics, /livez and /readyz
    #[arg(long, env = "POOLBUDGET_GOVERNOR_PORT", default_value_t = 9716, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The pod's uid, which /state repeats
    #[arg(long, env = "POOLBUDGET_GOVERNOR_POD_UID", value_name = "TEXT")]
    pod_uid: String,
    /// Only count the connections that the pod opens: no database port is bound, and nothing is held back
    #[arg(long, env = "POOLBUDGET_GOVERNOR_WATCH")]
    watch: bool,
    /// Server of DNS in place of those in resolv.conf, for tests and unusual pods
    #[arg(long, env = "POOLBUDGET_GOVERNOR_RESOLVER", value_name = "ADDR:PORT", hide = true)]
    resolver: Option<SocketAddr>,
}

/// A whole number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("write a whole number with its unit, as in 500ms, 30s or 2m".to_owned()),
    };
    let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
    let duration = number.map(Duration::from_millis).filter(|duration| *duration <= LONGEST_QUEUE);
    duration.ok_or_else(|| "the longest time is 60m".to_owned())
}

/// Refuses a list of databases that cannot all be served.
fn check(databases: &[Database]) -> anyhow::Result<()> {
    if databases.len() > DATABASES {
        anyhow::bail!(
            "{} databases are named, and a pod may have {DATABASES} at most: leave out those that the app seldom uses",
            databases.len()
        );
    }
    for (number, database) in databases.iter().enumerate() {
        if databases.iter().take(number).any(|other| other == database) {
            anyhow::bail!("the database {database} is named twice: name it once");
        }
    }
    Ok(())
}

pub(super) async fn governor(args: GovernorArgs) -> anyhow::Result<()> {
    check(&args.databases)?;
    without_core_dumps();
    with_all_file_handles();
    let stop = CancellationToken::new();
    on_signal(stop.clone())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pod = args.pod_uid, "starting the governor");
    let settings = Settings {
        databases: args.databases,
        allowed_file: args.allowed_file,
        queue_timeout: args.queue_timeout,
        port: args.port,
        pod: args.pod_uid,
        watches: args.watch,
        resolver: args.resolver,
    };
    governor::run(settings, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_with_a_unit_within_an_hour() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("0s", 0), ("60m", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "30", "s", "1.5s", "-1s", "1h", "61m", "99999999999999999999s", "9999999999999999999m"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn databases_are_named_once_and_not_too_many_of_them() {
        let named = |count: u16| -> Vec<Database> {
            (1..=count).map(|port| format!("db:{port}").parse().expect("a database")).collect()
        };
        assert!(check(&named(8)).is_ok());
        assert!(check(&named(9)).expect_err("too many").to_string().contains("8 at most"));
        let twice = [named(2), named(1)].concat();
        assert!(check(&twice).expect_err("twice").to_string().contains("db:1 is named twice"));
    }
}
