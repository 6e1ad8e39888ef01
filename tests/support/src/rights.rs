//! Which of their rights the chart's accounts have used, from the audit log of a cluster that ends.
//!
//! In: what the API server decided, and by which role. Out: a file for each cluster in the folder that [`COLLECTED`]
//! names, which the chart's tests compare with the roles; and a failed test if an account requested something that it
//! may not do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::{env, fs};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::cluster::Cluster;

/// The variable with the folder of the files. `make e2e` sets it; without it no file is written.
pub const COLLECTED: &str = "POOLBUDGET_RIGHTS";

/// The prefix of the accounts' names, as a line of the audit log has it.
const ACCOUNTS: &str = r#""username":"system:serviceaccount:poolbudget-system:poolbudget"#;
const RELEASER: &str = r#""username":"system:serviceaccount:poolbudget-system:poolbudget-release""#;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    object_ref: Option<Object>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
}

impl Event {
    /// `ClusterRole poolbudget: get pods`, or none for a request without an object.
    fn right(&self) -> Option<String> {
        let Object { api_group, resource, subresource } = self.object_ref.as_ref()?;
        let group = if api_group.is_empty() { String::new() } else { format!(".{api_group}") };
        let sub = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        let reason = self.annotations.get("authorization.k8s.io/reason")?;
        // RBAC: allowed by RoleBinding "poolbudget/poolbudget-system" of Role "poolbudget" to ServiceAccount …
        let role = reason.split(" of ").nth(1)?.split(" to ").next()?.replace('"', "");
        Some(format!("{role}: {} {resource}{group}{sub}", self.verb))
    }

    fn is_forbidden(&self) -> bool {
        self.annotations.get("authorization.k8s.io/decision").is_some_and(|decision| decision == "forbid")
    }
}

impl Cluster {
    /// For a test that removes or withholds a right of the operator to see the effect.
    pub fn expects_forbidden(&self) {
        self.withheld.store(true, Ordering::Relaxed);
    }

    /// Records the used rights, and returns the forbidden requests.
    pub(super) fn collect_rights(&self) -> Result<Vec<String>> {
        let path = self.folder().file("audit.log");
        let file = fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let (mut used, mut forbidden) = (BTreeSet::new(), BTreeSet::new());
        for line in BufReader::new(file).lines() {
            let line = line.context("read the audit log")?;
            if !line.contains(ACCOUNTS) {
                continue;
            }
            // The server may still be writing the last line.
            let Ok(event) = serde_json::from_str::<Event>(&line) else { continue };
            if event.is_forbidden() {
                let releases = line.contains(RELEASER);
                if releases || !self.withheld.load(Ordering::Relaxed) {
                    let who = if releases { "the release job" } else { "the operator" };
                    forbidden.insert(format!("{who} may not {} {}", event.verb, event.uri));
                }
            } else {
                used.extend(event.right());
            }
        }
        if let Some(folder) = env::var_os(COLLECTED) {
            let name = self.folder().path().file_name().unwrap_or_default();
            let file = Path::new(&folder).join(name);
            fs::create_dir_all(file.with_file_name("")).context("make the folder of the rights")?;
            let text: String = used.into_iter().map(|right| right + "\n").collect();
            fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(forbidden.into_iter().collect())
    }
}

/// The last check of a cluster.
impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // A cluster that never started has no log.
        let forbidden = self.collect_rights().unwrap_or_default();
        assert!(
            forbidden.is_empty(),
            "asked for without the right to it (if the test keeps a right back, let it say so by \
             Cluster::expects_forbidden):\n{}",
            forbidden.join("\n")
        );
    }
}
