//! A cluster that several tests use, for as long as the test process lives.
//!
//! In: nothing. Out: the same cluster for all callers, started by the first one. Statics are never dropped, so it is
//! stopped when the process exits. Tests that share one use namespaces of their own and do not touch its programs.

use std::sync::{Mutex, Once, PoisonError};

use anyhow::Result;
use tokio::sync::OnceCell;

use super::cluster::{Cluster, Options};
use super::tools::Version;

/// Put into a static: `static CLUSTER: Shared = Shared::of(Version::Current);`
#[derive(Debug)]
pub struct Shared {
    version: Version,
    cluster: OnceCell<Cluster>,
}

static ALL: Mutex<Vec<&'static Shared>> = Mutex::new(Vec::new());

impl Shared {
    /// Starts nothing yet.
    pub const fn of(version: Version) -> Self {
        Self { version, cluster: OnceCell::const_new() }
    }

    /// The cluster; callers wait while it starts.
    pub async fn cluster(&'static self) -> Result<&'static Cluster> {
        let start = async || {
            end_all_at_exit();
            ALL.lock().unwrap_or_else(PoisonError::into_inner).push(self);
            Cluster::start(Options { version: self.version, ..Options::default() }).await
        };
        self.cluster.get_or_try_init(start).await
    }
}

#[expect(unsafe_code, reason = "the standard library does not tell when the process exits")]
fn end_all_at_exit() {
    static REGISTERED: Once = Once::new();
    // SAFETY: the function is never unloaded and takes nothing. If it could not be registered, the kernel ends the
    // programs, and the next run removes the folder.
    REGISTERED.call_once(|| unsafe {
        libc::atexit(end_all);
    });
}

extern "C" fn end_all() {
    for shared in ALL.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        if let Some(cluster) = shared.cluster.get() {
            cluster.end();
        }
    }
}
