//! Who sent which requests to the API server, from its audit log.
//!
//! In: the file that the API server writes, from a mark on. Out: requests. The server writes the log before it answers,
//! so the log has every request whose answer has been seen.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::cluster::Cluster;

/// A place in the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

/// One answered request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `create`, `patch`, `watch`, …
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// Who sent it.
    pub user: User,
    /// Its object; a request without an object has none.
    pub object_ref: Option<Object>,
    /// `ResponseStarted` (a watch that continues) or `ResponseComplete`.
    pub stage: String,
}

/// Who sent the request.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// The full name, such as `system:serviceaccount:shop:api`.
    pub username: String,
}

/// The object of the request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// The plural, such as `pods`.
    pub resource: String,
    /// Such as `status`; often empty.
    pub subresource: String,
    /// Empty for cluster-wide requests.
    pub namespace: String,
    /// Empty for lists and for names that the server generates.
    pub name: String,
}

impl Request {
    /// Whether its verb changes something.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

impl Cluster {
    /// The current end of the audit log.
    pub fn audit_mark(&self) -> Result<Mark> {
        let file = self.audit_log()?;
        Ok(Mark(file.metadata().context("measure the audit log")?.len()))
    }

    /// The requests of `user` since the mark; a watch appears when it starts and when it ends.
    pub fn audited(&self, since: Mark, user: &str) -> Result<Vec<Request>> {
        let mut file = self.audit_log()?;
        file.seek(SeekFrom::Start(since.0)).context("seek in the audit log")?;
        let mut text = String::new();
        file.read_to_string(&mut text).context("read the audit log")?;
        // The server may still be writing the last line.
        let whole = text.rfind('\n').map_or("", |end| text.split_at(end).0);
        let requests =
            whole.lines().map(|line| serde_json::from_str(line).context("read a line of the audit log"));
        let mine =
            |request: &Result<Request>| !matches!(request, Ok(request) if request.user.username != user);
        requests.filter(mine).collect()
    }

    fn audit_log(&self) -> Result<File> {
        let path = self.folder().file("audit.log");
        File::open(&path).with_context(|| format!("open {}", path.display()))
    }
}
