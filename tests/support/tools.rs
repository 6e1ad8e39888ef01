//! Where the programs of the test cluster are.
//!
//! In: the environment. Out: the path of a program, or the sentence that says how to get it.

use std::env;
use std::path::{Path, PathBuf};

/// The programs that `make cluster-tools` provides.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The folder that `POOLBUDGET_CLUSTER_TOOLS` names, else the one in which the build leaves them.
    pub fn find() -> Self {
        let home = env::var_os("POOLBUDGET_CLUSTER_TOOLS").map(PathBuf::from);
        let home = home.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/.build"));
        Self { folder: home.join("bin") }
    }

    /// The path of one program.
    ///
    /// # Panics
    ///
    /// When it is not there: no test can go on, and skipping would look like success.
    pub fn program(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        assert!(path.exists(), "run `make cluster-tools`: there is no {}", path.display());
        path
    }
}
