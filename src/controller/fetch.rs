//! One question to one pod, over HTTP.
//!
//! In: an address, a path, which networks pods are in. Out: the body of the answer, or why there is none. A tenant chose
//! the path and writes the answer: time and size have a bound, a redirect is not followed, and only the pod's own address
//! is asked. Forbidden here: what an answer means.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
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

/// A network of addresses, as in 10.0.0.0/8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: u128,
    bits: u32,
    is_v4: bool,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (address, bits) = text.split_once('/')?;
            let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
            (bits <= width(address)).then(|| Self { first: number(address), bits, is_v4: address.is_ipv4() })
        };
        read().ok_or_else(|| format!("'{text}' is no network such as 10.244.0.0/16 or fd00::/48"))
    }
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let others = width(address).saturating_sub(self.bits);
        let part = |number: u128| number.checked_shr(others).unwrap_or(0);
        self.is_v4 == address.is_ipv4() && part(number(address)) == part(self.first)
    }
}

const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Whether an address may be that of a pod: in one of these networks, or if there are none, any but those that lead back
/// to this host, to its link, or to many.
#[must_use]
pub fn may_be_a_pod(address: IpAddr, networks: &[Network]) -> bool {
    let address = address.to_canonical();
    if !networks.is_empty() {
        return networks.iter().any(|network| network.has(address));
    }
    let special = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(special || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests;
