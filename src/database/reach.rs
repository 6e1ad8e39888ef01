//! A connection to a host that a Secret names.
//!
//! In: a host, a port, and the networks that databases are in. Out: an open connection, or why there is none. A tenant
//! wrote the host: a name is resolved once, what it leads to is judged, and exactly the address that was judged is
//! connected to. Forbidden here: what is said on the connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::{Class, Doubt};
use crate::network::{Network, may_be_asked};

/// The most addresses of a name that are tried.
pub const ADDRESSES: usize = 4;
/// How long one address may take to open a connection.
pub const OPENING: Duration = Duration::from_secs(2);

/// Whether an address may be that of a database: in one of these networks, or if there are none, any but those that lead
/// back to this host, to its link, or to many.
#[must_use]
pub fn may_be_a_database(address: IpAddr, allowed: &[Network]) -> bool {
    may_be_asked(address, allowed)
}

/// A host and its port as people read them, with brackets around an IPv6 address.
#[must_use]
pub fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Opens a connection to the first address of a host that may be asked and answers.
///
/// # Errors
/// When the name leads nowhere, only to addresses that may not be asked, or nobody answers there.
pub async fn connect(host: &str, port: u16, allowed: &[Network]) -> Result<TcpStream, Doubt> {
    let server = shown(host, port);
    let found = lookup_host((host, port)).await;
    let found: Vec<SocketAddr> = found
        .map_err(|_| unreachable(format!("the name in {server} has no address: correct the host")))?
        .collect();
    let asked = found.iter().filter(|found| may_be_a_database(found.ip(), allowed)).take(ADDRESSES);
    let mut none = unreachable(refusal(&server, !allowed.is_empty()));
    for address in asked {
        match timeout(OPENING, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) => none = unreachable(format!("nobody listens at {server}")),
            Err(_) => none = unreachable(format!("{server} does not answer: is a firewall in between?")),
        }
    }
    Err(none)
}

fn refusal(server: &str, has_networks: bool) -> String {
    if has_networks {
        format!("{server} is in none of the networks in which poolbudget may ask databases")
    } else {
        format!("{server} leads back to poolbudget's own host or link, where it asks no database")
    }
}

fn unreachable(sentence: String) -> Doubt {
    Doubt::new(Class::Unreachable, sentence)
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
