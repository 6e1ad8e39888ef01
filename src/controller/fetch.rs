//! One question to one pod, over HTTP.
//!
//! In: an address, a path. Out: the body of the answer, or why there is none. A tenant chose
//! the path and writes the answer: time and size have a bound, a redirect is not followed, and only the pod's own address
//! is asked. Forbidden here: which addresses may be asked (`network`), what an answer means.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::evidence::{MAX_BYTES, Silence};

/// How long a pod may take to answer, with everything.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// The most bytes of the head of an answer that are held.
const HEAD: usize = 16 << 10;

/// Asks a pod.
///
/// # Errors
/// When there is no answer that can be read.
pub async fn fetch(address: SocketAddr, path: &str) -> Result<Bytes, Silence> {
    tokio::time::timeout(PATIENCE, answer(address, path)).await.unwrap_or(Err(Silence::TimedOut))
}

async fn answer(address: SocketAddr, path: &str) -> Result<Bytes, Silence> {
    let stream = TcpStream::connect(address).await.map_err(|_| Silence::Unreachable)?;
    let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| Silence::Unreachable)?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, concat!("poolbudget/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json, text/plain;version=0.0.4")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| Silence::Unreachable)?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|_| Silence::Broken)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(Silence::Status(status));
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| if error.is::<LengthLimitError>() { Silence::TooLarge } else { Silence::Broken })
    };
    // The connection is driven only while its answer is awaited, and closed with it.
    let drives = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answered = asked => answered,
        () = drives => Err(Silence::Broken),
    }
}

#[cfg(test)]
mod tests;
