//! The folder of one cluster: keys, data and logs. It is removed with the cluster.
//!
//! A killed test runner removes nothing: the next one removes what is left.

use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};
use std::{env, fs, process};

use anyhow::{Context, Result};

const PREFIX: &str = "poolbudget-cluster-";

/// Later runs do not remove these.
const ASIDE: &str = "poolbudget-failed-";

/// A temporary folder whose name says which process owns it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
    put_aside: OnceLock<PathBuf>,
}

impl Folder {
    /// Creates a new folder. With `POOLBUDGET_KEEP=1` it is kept, so that you can read the logs afterwards.
    pub fn create() -> Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", process::id()))
            .tempdir()
            .context("make a folder for the cluster")?;
        let keep = env::var_os("POOLBUDGET_KEEP").is_some();
        Ok(Self { path: dir.keep(), keep, put_aside: OnceLock::new() })
    }

    /// Has it moved aside instead of removed, to read what led to a failure, and returns its new path.
    pub fn put_aside(&self) -> &Path {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.put_aside.get_or_init(|| self.path.with_file_name(name.replace(PREFIX, ASIDE)))
    }

    /// Removes it with everything in it.
    pub(super) fn remove(&self) {
        if let Some(aside) = self.put_aside.get() {
            let _ = fs::rename(&self.path, aside);
        } else if !self.keep {
            // If it cannot be removed now, the next run removes it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it and returns the path.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.file(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes the folders of owners that no longer run.
fn sweep() {
    if env::var_os("POOLBUDGET_KEEP").is_some() {
        return;
    }
    let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
