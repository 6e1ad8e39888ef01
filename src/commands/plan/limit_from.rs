//! `--limit-from`: plan with what a database allows now, by the reader of the operator.
//!
//! In: where a connection string or a token stands, outside of the command line, which other users of the machine can read;
//! where the budget reads its limit. Out: the limit, and where it comes from. Forbidden here: changing manifests.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use clap::Args;
use zeroize::Zeroizing;

use crate::cluster::reading::Source;
use crate::database::dsn::Dsn;
use crate::database::https::Origin;
use crate::database::supabase::{self, Credentials, Project, Projects, Supabase};
use crate::database::{Allowed, postgres};
use crate::network::Network;

/// The largest file that is read as a connection string or as certificates.
const MOST: u64 = 256 << 10;

/// Where to read the limit.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct LimitFromArgs {
    /// Plan with the limit that the database allows now. An environment variable (env:NAME) or a file (file:PATH) has its
    /// connection string; for a budget with supabase.project, an access token for Supabase's Management API. If there are
    /// several budgets, name one
    #[arg(long, value_name = "[BUDGET=]env:NAME|file:PATH", help_heading = "What if")]
    limit_from: Option<LimitFrom>,
    /// File with the certificates, in PEM, that the server of --limit-from is verified with [default: the public authorities]
    #[arg(long, value_name = "FILE", help_heading = "What if", requires = "limit_from")]
    limit_ca: Option<PathBuf>,
    /// Supabase's Management API, which --limit-from asks about a supabase.project
    #[arg(long, value_name = "URL", help_heading = "What if", requires = "limit_from", default_value = supabase::API)]
    supabase_api: String,
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
            "write where the connection string or the token stands, as env:DATABASE_URL or file:PATH; not the text itself, \
             which others on this machine could read"
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
    /// Who said so.
    pub(super) from: String,
}

impl LimitFromArgs {
    /// The budget that is named, if a limit is to be read; the inner one is none where there is only one budget.
    pub(super) fn wanted(&self) -> Option<Option<&str>> {
        self.limit_from.as_ref().map(|from| from.budget.as_deref())
    }

    /// Asks the database of a budget that reads its limit here, or nowhere.
    ///
    /// # Errors
    /// When there is no text to ask with, or there is no limit in the answer.
    pub(super) fn read(&self, source: Option<&Source>) -> anyhow::Result<Option<Found>> {
        let Some(from) = &self.limit_from else { return Ok(None) };
        let text = from.place.text()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (allowed, who) = match source {
            Some(Source::Supabase { project, connection, .. }) => {
                let project = Project::new(project, *connection)?;
                let api = Origin::new(&self.supabase_api, None)
                    .map_err(|why| anyhow!("--supabase-api {}: {why}", self.supabase_api))?;
                let supabase = Supabase { api, projects: Projects::usual() };
                let credentials = Credentials { token: &text, key: None };
                let asked = runtime.block_on(supabase::read(&supabase, &project, credentials));
                (asked.map(|reading| reading.allowed), "Supabase".to_owned())
            }
            _ => {
                let dsn = Dsn::read(text.as_bytes()).map_err(|doubt| anyhow!("--limit-from: {doubt}"))?;
                let ca = self.limit_ca.as_ref().map(file).transpose()?;
                // Whoever runs this reaches what he reaches anyway, through a port-forward for example.
                let everywhere: Vec<Network> =
                    ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
                let asked = postgres::read(&dsn, ca.as_ref().map(|text| text.as_bytes()), &everywhere);
                (runtime.block_on(asked).map(|reading| reading.allowed), dsn.server())
            }
        };
        let allowed = allowed.map_err(|doubt| anyhow!("--limit-from: {doubt}"))?;
        Ok(Some(Found { budget: from.budget.clone(), allowed, from: who }))
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
        return Err(anyhow!("{shown} has {size} bytes; at most {MOST} are read"));
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
