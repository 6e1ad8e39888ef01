//! The cluster's store, as it is written: every change, in the one order in which they happened.
//!
//! In: the address of etcd and a range of keys. Out: each revision of each key, deletions included, none missing and
//! none twice, whatever is killed in the meantime: the watch resumes after the last revision that was seen. The watch
//! of the API server cannot promise that; it starts again with a list when its server restarts.
//! Forbidden here: what the objects mean. They are readable if the API server stores JSON ([`STORE_JSON`]).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::ByteString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The API server flag that makes its objects readable here.
pub const STORE_JSON: &str = "--storage-media-type=application/json";

/// Between two attempts to reach an etcd that is down.
const PAUSE: Duration = Duration::from_millis(50);

/// Keys from the first one up to, but not including, the second.
pub type Range<'a> = (&'a str, &'a str);

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its revision; writes of all keys share one numbering.
    pub revision: u64,
    /// The key.
    pub key: String,
    /// The new value; none if it was deleted.
    pub value: Option<Value>,
}

/// Passes every change since the store was created to `take`, and never returns otherwise.
///
/// # Errors
///
/// When changes are lost for good because the store has compacted them, or when they cannot be read.
pub async fn follow(address: &str, range: Range<'_>, mut take: impl FnMut(Change)) -> Result<Infallible> {
    let mut next = 1;
    loop {
        // The test that stops the store restarts it; it keeps its data.
        if let Ok(mut answers) = watch(address, range, next).await {
            while let Ok(Some(line)) = answers.next_line().await {
                for change in read(&line)? {
                    next = change.revision + 1;
                    take(change);
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// The last revision of every existing key.
pub async fn revisions(address: &str, range: Range<'_>) -> Result<BTreeMap<String, u64>> {
    let body = json!({"key": bytes(range.0), "range_end": bytes(range.1), "keys_only": true});
    let mut answer = String::new();
    post(address, "/v3/kv/range", &body).await?.read_to_string(&mut answer).await?;
    let found: Found = serde_json::from_str(&answer).with_context(|| format!("read {answer:?}"))?;
    found.kvs.into_iter().map(|pair| Ok((text(pair.key)?, pair.mod_revision))).collect()
}

type Lines = tokio::io::Lines<BufReader<TcpStream>>;

async fn watch(address: &str, range: Range<'_>, from: u64) -> Result<Lines> {
    let create = json!({
        "key": bytes(range.0), "range_end": bytes(range.1), "start_revision": from.to_string(),
    });
    Ok(post(address, "/v3/watch", &json!({"create_request": create})).await?.lines())
}

/// The minimum of HTTP/1.0, so that the answer is not chunked; its head is read already.
async fn post(address: &str, path: &str, body: &Value) -> Result<BufReader<TcpStream>> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    let head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line).await?;
    ensure!(line.split(' ').nth(1) == Some("200"), "POST {path}: {line:?}");
    while !line.trim().is_empty() {
        line.clear();
        answer.read_line(&mut line).await?;
    }
    Ok(answer)
}

fn read(line: &str) -> Result<Vec<Change>> {
    // The last line before a break may be cut short; it comes again.
    let Ok(answer) = serde_json::from_str::<Answer>(line) else { return Ok(Vec::new()) };
    let Some(result) = answer.result else { return Ok(Vec::new()) };
    if result.compact_revision > 0 {
        bail!("the store has forgotten what came before revision {}", result.compact_revision);
    }
    result.events.into_iter().map(change).collect()
}

fn change(event: Event) -> Result<Change> {
    let (revision, key) = (event.kv.mod_revision, text(event.kv.key)?);
    let parse = || serde_json::from_slice(&event.kv.value.0);
    let value = if event.kind == "DELETE" { None } else { Some(parse()) };
    let value = value.transpose().with_context(|| format!("{key} is not stored as JSON"))?;
    Ok(Change { revision, key, value })
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

fn text(bytes: ByteString) -> Result<String> {
    String::from_utf8(bytes.0).context("a key that is no text")
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Watched>,
}

#[derive(Deserialize)]
struct Watched {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default, deserialize_with = "number")]
    compact_revision: u64,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    kv: Pair,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    kvs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    key: ByteString,
    #[serde(default)]
    value: ByteString,
    #[serde(deserialize_with = "number")]
    mod_revision: u64,
}

/// Large numbers are written as strings.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}
