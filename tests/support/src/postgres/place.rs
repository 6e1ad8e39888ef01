//! Paths of the applications' sources, their Python, and the programs of the servers.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::place;

/// The folder of the applications: what an image would hold.
pub fn apps() -> PathBuf {
    place::root().join("tests/postgres/apps")
}

/// The example application: what its image would hold.
pub fn example() -> PathBuf {
    place::root().join("examples/fastapi")
}

/// What stands for an image: the folder that would be its working folder.
pub fn image(name: &str) -> PathBuf {
    if name.starts_with("shop:") { example() } else { apps() }
}

/// Where `set-up` puts its output.
fn made() -> PathBuf {
    place::target().join("postgres")
}

/// The folder of one version of PostgreSQL, as `set-up-versions` creates it.
pub fn of_version(major: u32) -> PathBuf {
    made().join("versions").join(major.to_string())
}

/// Node.js.
pub fn node() -> Result<PathBuf> {
    on_path("node").context("run `make postgres-tools`: there is no node")
}

/// The folder of the Node.js packages, as `set-up` creates it.
pub fn node_modules() -> PathBuf {
    made().join("node/node_modules")
}

/// The folder with `python3` and `gunicorn`, as `set-up` creates it.
pub fn python() -> Result<PathBuf> {
    let folder = made().join("venv/bin");
    let python = folder.join("python3");
    ensure!(python.exists(), "run `make postgres-tools`: there is no {}", python.display());
    Ok(folder)
}

/// A program of PostgreSQL, of the newest installed version.
pub fn of_postgres(name: &str) -> Result<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql");
    let found = versions.read_dir().into_iter().flatten().flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let program = entry.path().join("bin").join(name);
        program.exists().then_some((version, program))
    });
    let newest = found.max_by_key(|(version, _)| *version).map(|(_, program)| program);
    newest.or_else(|| on_path(name)).with_context(|| format!("run `make postgres-tools`: there is no {name}"))
}

/// PgBouncer.
pub fn pgbouncer() -> Result<PathBuf> {
    on_path("pgbouncer").context("run `make postgres-tools`: there is no pgbouncer")
}

/// A program from the PATH, or from where Debian keeps the administrator's programs.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}
