//! `--limit-from`: plan with what a database allows now, by the reader of the operator.
//!
//! In: where a connection string stands, outside of the command line, which other users of the machine can read. Out: the
//! limit, and a line that says where it comes from. Forbidden here: changing manifests.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use clap::Args;
use zeroize::Zeroizing;

use crate::database::dsn::Dsn;
use crate::database::{Allowed, postgres};
use crate::network::Network;

/// The largest file that is read as a connection string or as certificates.
const MOST: u64 = 64 << 10;

/// Where to read the limit.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct LimitFromArgs {
    /// Plan with the limit that a database allows now; its connection string is in an environment variable (env:NAME) or in a
    /// file (file:PATH). If there are several budgets, name one
    #[arg(long, value_name = "[BUDGET=]env:NAME|file:PATH", help_heading = "What if")]
    limit_from: Option<LimitFrom>,
    /// File with the certificates, in PEM, that the server of --limit-from is verified with [default: the public authorities]
    #[arg(long, value_name = "FILE", help_heading = "What if", requires = "limit_from")]
    limit_ca: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LimitFrom {
    budget: Option<String>,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Variable(String),
    File(PathBuf),
}

impl FromStr for LimitFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = |text: &str| match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Some(Place::Variable(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Some(Place::File(path.into())),
            _ => None,
        };
        let named = || {
            let (budget, rest) = text.split_once('=')?;
            Some(Self { budget: Some(budget.to_owned()), place: place(rest)? })
        };
        let plain = place(text).map(|place| Self { budget: None, place });
        // The text itself may be a connection string with a password: it is not repeated.
        plain.or_else(named).ok_or_else(|| {
            "write where the connection string stands, as env:DATABASE_URL or file:PATH; not the string itself, which others on \
             this machine could read"
                .to_owned()
        })
    }
}

/// The limit of a budget, as it was read.
#[derive(Debug)]
pub(super) struct Found {
    /// The budget; none if there is only one.
    pub(super) budget: Option<String>,
    /// What the database allows.
    pub(super) allowed: Allowed,
    /// The server.
    pub(super) server: String,
}

impl LimitFromArgs {
    /// Asks the database, if that is wished.
    ///
    /// # Errors
    /// When there is no connection string, or the server gives no limit.
    pub(super) fn read(&self) -> anyhow::Result<Option<Found>> {
        let Some(from) = &self.limit_from else { return Ok(None) };
        let text = from.place.text()?;
        let dsn = Dsn::read(text.as_bytes()).map_err(|doubt| anyhow!("--limit-from: {doubt}"))?;
        let ca = self.limit_ca.as_ref().map(file).transpose()?;
        // Whoever runs this reaches what he reaches anyway, through a port-forward for example.
        let everywhere: Vec<Network> =
            ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = postgres::read(&dsn, ca.as_ref().map(|text| text.as_bytes()), &everywhere);
        let reading = runtime.block_on(asked).map_err(|doubt| anyhow!("--limit-from: {doubt}"))?;
        let (budget, server) = (from.budget.clone(), dsn.server());
        Ok(Some(Found { budget, allowed: reading.allowed, server }))
    }
}

impl Place {
    fn text(&self) -> anyhow::Result<Zeroizing<String>> {
        match self {
            Self::Variable(name) => {
                let value = std::env::var(name).ok();
                value.map(Zeroizing::new).with_context(|| format!("--limit-from: {name} is not set"))
            }
            Self::File(path) => file(path),
        }
    }
}

fn file(path: &PathBuf) -> anyhow::Result<Zeroizing<String>> {
    let shown = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    if size > MOST {
        return Err(anyhow!("{shown} has {size} bytes, which is no connection string and no certificate"));
    }
    Ok(Zeroizing::new(std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_and_never_the_string_itself() {
        let read = |text: &str| text.parse::<LimitFrom>();
        let variable = |budget: Option<&str>, name: &str| LimitFrom {
            budget: budget.map(ToOwned::to_owned),
            place: Place::Variable(name.to_owned()),
        };
        assert_eq!(read("env:DATABASE_URL"), Ok(variable(None, "DATABASE_URL")));
        assert_eq!(read("main=env:URL"), Ok(variable(Some("main"), "URL")));
        let file = LimitFrom { budget: None, place: Place::File("a=b".into()) };
        assert_eq!(read("file:a=b"), Ok(file));
        for wrong in [
            "",
            "env:",
            "file:",
            "main=",
            "URL",
            "postgres://app:hunter2@db/shop",
            "host=db password=hunter2",
        ] {
            let why = read(wrong).expect_err(wrong);
            assert!(why.contains("env:DATABASE_URL") && !why.contains("hunter2"), "{wrong}: {why}");
        }
    }
}
