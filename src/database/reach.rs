//! A connection to a host that others named.
//!
//! In: a host, a port, and which addresses may be asked. Out: an open connection, or why there is none. A tenant may have
//! written the host: a name is resolved once, what it leads to is judged, and exactly the address that was judged is
//! connected to. Forbidden here: what is said on the connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::{Class, Doubt};
use crate::network::{Network, may_be_asked};

/// The most addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// How long one address may take to open a connection.
const OPENING: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The name has no address.
    Unknown,
    /// None of its addresses may be asked.
    NotAsked,
    /// Nobody listens at the last one that was tried.
    Refused,
    /// The last one that was tried does not answer.
    Silent,
}

/// A host and its port as people read them, with brackets around an IPv6 address.
#[must_use]
pub fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Opens a connection to the first address of a host that may be asked and answers.
///
/// # Errors
/// When there is none.
pub async fn open(host: &str, port: u16, may_be_asked: impl Fn(IpAddr) -> bool) -> Result<TcpStream, Closed> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(|_| Closed::Unknown)?.collect();
    let mut why = Closed::NotAsked;
    for address in found.iter().filter(|found| may_be_asked(found.ip())).take(ADDRESSES) {
        match timeout(OPENING, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) => why = Closed::Refused,
            Err(_) => why = Closed::Silent,
        }
    }
    Err(why)
}

/// Opens a connection to a database: to an address in one of these networks, or if there are none, to any but those that
/// lead back to this host, to its link, or to many.
///
/// # Errors
/// When the name leads nowhere, only to addresses that may not be asked, or nobody answers there.
pub async fn connect(host: &str, port: u16, allowed: &[Network]) -> Result<TcpStream, Doubt> {
    let opened = open(host, port, |address| may_be_asked(address, allowed)).await;
    opened.map_err(|why| {
        let server = shown(host, port);
        let sentence = match why {
            Closed::Unknown => format!("the name in {server} has no address: correct the host"),
            Closed::NotAsked if allowed.is_empty() => {
                format!("{server} leads back to poolbudget's own host or link, where it asks no database")
            }
            Closed::NotAsked => {
                format!("{server} is in none of the networks in which poolbudget may ask databases")
            }
            Closed::Refused => format!("nobody listens at {server}"),
            Closed::Silent => format!("{server} does not answer: is a firewall in between?"),
        };
        Doubt::new(Class::Unreachable, sentence)
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn loopback() -> Vec<Network> {
        vec!["127.0.0.0/8".parse().expect("a network")]
    }

    async fn said(host: &str, port: u16, allowed: &[Network]) -> String {
        let doubt = connect(host, port, allowed).await.expect_err("no connection");
        assert_eq!(doubt.class, Class::Unreachable);
        doubt.sentence
    }

    #[tokio::test]
    async fn an_address_in_a_network_that_may_be_asked_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stream = connect("127.0.0.1", port, &loopback()).await.expect("a connection");
        assert_eq!(stream.peer_addr().expect("an address"), listener.local_addr().expect("an address"));
        assert!(connect("localhost", port, &loopback()).await.is_ok());
    }

    #[tokio::test]
    async fn whatever_a_name_leads_to_is_judged_after_it_was_resolved() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // Each of these is loopback or the link, however it is written.
        for host in ["localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "0.0.0.0"] {
            let sentence = said(host, port, &[]).await;
            let expected = "leads back to poolbudget's own host or link, where it asks no database";
            assert_eq!(sentence, format!("{} {expected}", shown(host, port)));
        }
        let others: Vec<Network> = vec!["10.0.0.0/8".parse().expect("a network")];
        let sentence = said("127.0.0.1", port, &others).await;
        assert_eq!(
            sentence,
            format!("127.0.0.1:{port} is in none of the networks in which poolbudget may ask databases")
        );
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_and_a_port_that_nobody_serves_are_told_apart() {
        let sentence = said("a..b", 5432, &[]).await;
        assert_eq!(sentence, "the name in a..b:5432 has no address: correct the host");
        let closed = TcpListener::bind("127.0.0.1:0").await.and_then(|port| port.local_addr());
        let port = closed.expect("a port").port();
        assert_eq!(said("127.0.0.1", port, &loopback()).await, format!("nobody listens at 127.0.0.1:{port}"));
    }

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        assert_eq!(shown("db.shop", 5432), "db.shop:5432");
        assert_eq!(shown("2001:db8::1", 6543), "[2001:db8::1]:6543");
    }
}
