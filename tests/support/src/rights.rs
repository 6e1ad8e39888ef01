//! Which of their rights the accounts of the chart have used, from the audit log of a cluster that ends.
//!
//! In: what the API server decided, and by which role. Out: a file for each cluster in the folder that [`COLLECTED`] names,
//! which the chart's tests hold against the roles; and a failed test where an account asked for what it may not do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::{env, fs};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::cluster::Cluster;

/// The variable that names the folder of the files. `make e2e` sets it; without it none is written.
pub const COLLECTED: &str = "POOLBUDGET_RIGHTS";

/// How the names of the accounts begin, as a line of the audit log has it.
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
    /// `ClusterRole poolbudget: get pods`, or none for what is no object.
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
    /// For a test that takes a right away from the operator, or keeps one back, to see what comes of it.
    pub fn expects_forbidden(&self) {
        self.withheld.store(true, Ordering::Relaxed);
    }

    /// Writes down what was used, and says what was asked for in vain.
    pub(super) fn collect_rights(&self) -> Result<Vec<String>> {
        let path = self.folder().file("audit.log");
        let file = fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let (mut used, mut forbidden) = (BTreeSet::new(), BTreeSet::new());
        for line in BufReader::new(file).lines() {
            let line = line.context("read the audit log")?;
            if !line.contains(ACCOUNTS) {
                continue;
            }
            // The last line may still be being written.
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

/// What a cluster ends with.
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
