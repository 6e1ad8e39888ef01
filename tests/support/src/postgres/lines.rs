//! What applications report: the JSON lines of `apps/report.py` and `apps/count.py`, read while they are written.
//!
//! In: a growing file. Out: the new lines. Other output of a program is left for people to read.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Something that happened in an application.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    /// When, in seconds since 1970.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// What can happen in an application.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "did", rename_all = "lowercase")]
pub enum Did {
    /// It serves.
    Ready,
    /// This many queries were answered since its last report.
    Queries {
        /// Their number.
        count: u64,
    },
    /// The server refused it a connection.
    Refused {
        /// The server's message.
        said: String,
    },
    /// A connection or query failed for another reason.
    Failed {
        /// The reason.
        said: String,
    },
    /// Its own pool had no free connection in time.
    Waited,
}

/// A file that another process appends to.
#[derive(Debug)]
pub struct Follower<T> {
    path: PathBuf,
    offset: u64,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Follower<T> {
    /// Nothing of it has been read yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, kind: PhantomData }
    }

    /// The complete lines that were added since the last call.
    pub fn news(&mut self) -> Result<Vec<T>> {
        let at = || format!("read {}", self.path.display());
        let mut file = File::open(&self.path).with_context(at)?;
        file.seek(SeekFrom::Start(self.offset)).with_context(at)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(at)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        self.offset += u64::try_from(whole).context("measure the lines")?;
        let text = String::from_utf8(bytes).with_context(at)?;
        let lines = text.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("understand {line}"))).collect()
    }
}
