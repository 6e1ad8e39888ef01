//! The programs of a PostgreSQL: the newest of this machine, and one of each version that is tested.
//!
//! In: the list of `tests/postgres/versions`, and what `set-up-versions` made of it. Out: paths of programs that the
//! servers' user may run. A version that is listed and not there is an error: without it, a test would try fewer
//! versions and pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{place, user};
use crate::folder::Folder;
use crate::place::root;

/// How a package of the list is called, before its major version.
const PACKAGE: &str = "postgres-";

/// What is read of the list of versions.
#[derive(Deserialize)]
struct List {
    dependencies: BTreeMap<String, Value>,
}

/// The programs of one server; by default those of the newest version that this machine has.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The folder above `bin`; none for those of this machine.
    folder: Option<PathBuf>,
}

impl Programs {
    /// One of them; clients that a version does not bring are those of this machine.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let own = self.folder.as_ref().map(|folder| folder.join("bin").join(name));
        own.filter(|program| program.exists()).map_or_else(|| place::of_postgres(name), Ok)
    }

    /// The same programs where the servers' user may run them: copied into the folder of a server if they must be.
    pub fn within_reach(&self, of: &Folder) -> Result<Self> {
        let Some(folder) = &self.folder else { return Ok(self.clone()) };
        if user::may_enter(folder)? {
            return Ok(self.clone());
        }
        let copy = of.file("programs");
        let status = Command::new("cp").arg("-a").args([folder, &copy]).status().context("copy programs")?;
        ensure!(status.success(), "copy {} to {}: {status}", folder.display(), copy.display());
        Ok(Self { folder: Some(copy) })
    }
}

/// Those of every major version that is tested.
pub fn versions() -> Result<BTreeMap<u32, Programs>> {
    let list = root().join("tests/postgres/versions/package.json");
    let text = fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let List { dependencies } = serde_json::from_str(&text).context("understand the list of versions")?;
    ensure!(!dependencies.is_empty(), "{} lists no version", list.display());
    dependencies.keys().map(|package| of_package(package)).collect()
}

fn of_package(name: &str) -> Result<(u32, Programs)> {
    let major = name.strip_prefix(PACKAGE).and_then(|major| major.parse().ok());
    let major = major.with_context(|| format!("the package {name} is no version of PostgreSQL"))?;
    let missing = || format!("run `make postgres-versions`: there is no PostgreSQL {major}");
    let folder = place::of_version(major).canonicalize().with_context(missing)?;
    ensure!(folder.join("bin/postgres").exists() && folder.join("bin/initdb").exists(), missing());
    Ok((major, Programs { folder: Some(folder) }))
}
