//! Who asked the API server for what, from its audit log.
//!
//! In: the file that the API server writes, from a mark on. Out: requests. The log is written before the answer
//! goes out, so a request whose answer has been seen is in it.

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
    /// Who asked.
    pub user: User,
    /// What for; a request for no object has none.
    pub object_ref: Option<Object>,
    /// `ResponseStarted` (a watch that goes on) or `ResponseComplete`.
    pub stage: String,
}

/// Who asked.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    /// The full name, such as `system:serviceaccount:shop:api`.
    pub username: String,
}

/// What was asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// The plural, such as `pods`.
    pub resource: String,
    /// Such as `status`; often empty.
    pub subresource: String,
    /// Empty for cluster-wide requests.
    pub namespace: String,
    /// Empty for lists and for names that the server makes.
    pub name: String,
}

impl Request {
    /// Whether it is of a kind that changes something.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

impl Cluster {
    /// The end of the audit log as it is now.
    pub fn audit_mark(&self) -> Result<Mark> {
        let file = self.audit_log()?;
        Ok(Mark(file.metadata().context("measure the audit log")?.len()))
    }

    /// What `user` asked for since the mark; a watch appears when it starts and when it ends.
    pub fn audited(&self, since: Mark, user: &str) -> Result<Vec<Request>> {
        let mut file = self.audit_log()?;
        file.seek(SeekFrom::Start(since.0)).context("seek in the audit log")?;
        let mut text = String::new();
        file.read_to_string(&mut text).context("read the audit log")?;
        // The last line may still be being written.
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
