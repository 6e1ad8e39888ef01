//! Paths of the programs of the test cluster.
//!
//! In: the environment. Out: the path of a program, or the sentence that says how to get it.

use std::env;
use std::path::PathBuf;

use super::place;

/// Which Kubernetes version a cluster runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.36, which has everything that poolbudget can use.
    #[default]
    Current,
    /// 1.33, without MutatingAdmissionPolicies.
    Older,
}

/// The programs that `make cluster-tools` and `make cluster-tools-older` provide.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
    version: Version,
}

impl Tools {
    /// The folder that `POOLBUDGET_CLUSTER_TOOLS` names, or else the folder of the build.
    pub fn find(version: Version) -> Self {
        let home = env::var_os("POOLBUDGET_CLUSTER_TOOLS").map(PathBuf::from);
        let home = home.unwrap_or_else(|| place::root().join("tests/cluster/.build"));
        Self { folder: home.join("bin"), version }
    }

    /// Which Kubernetes version the programs have.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The path of one program.
    ///
    /// # Panics
    ///
    /// If it is missing: no test can continue, and skipping would look like success.
    pub fn program(&self, name: &str) -> PathBuf {
        // kubectl, etcd and kwok work with every version that the tests know.
        let (folder, task) = match (self.version, name) {
            (Version::Older, "kube-apiserver" | "kube-controller-manager" | "kube-scheduler") => {
                (self.folder.join("1.33"), "cluster-tools-older")
            }
            _ => (self.folder.clone(), "cluster-tools"),
        };
        let path = folder.join(name);
        assert!(path.exists(), "run `make {task}`: there is no {}", path.display());
        path
    }
}
