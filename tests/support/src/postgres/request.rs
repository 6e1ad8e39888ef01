//! One HTTP request to an application on loopback.
//!
//! In: an address, a path, and a body of JSON for a POST. Out: the status and the body. A connection of its own each time.

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// GET.
pub async fn get(address: &str, path: &str) -> Result<Answer> {
    send(address, &format!("GET {path} HTTP/1.0\r\nHost: app\r\n\r\n")).await
}

/// POST with a body of JSON.
pub async fn post(address: &str, path: &str, body: &str) -> Result<Answer> {
    let head = "Host: app\r\nContent-Type: application/json";
    let length = body.len();
    send(address, &format!("POST {path} HTTP/1.0\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")).await
}

async fn send(address: &str, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.with_context(|| format!("read the answer of {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.with_context(|| format!("no status: {head}"))?, body: body.to_owned() })
}
