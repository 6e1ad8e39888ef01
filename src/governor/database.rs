//! A database as the app knows it, and where the governor listens for it.
//!
//! In: `HOST:PORT`, as somebody writes it. Out: a name and a port, or a sentence. Forbidden here: DNS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// The most databases of one pod.
pub const DATABASES: usize = 8;

/// The longest name that DNS has.
const LONGEST_NAME: usize = 253;
/// The longest part of a name.
const LONGEST_LABEL: usize = 63;

/// A name and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name in DNS, in lower case and without a dot at its end.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Why a text does not name a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADatabase {
    /// No name, no port, or more than those.
    #[error("write HOST:PORT, as in db.example.com:5432")]
    Form,
    /// An address.
    #[error(
        "an address cannot be governed, because a host alias cannot stand for it: let the app connect to a name, and \
         write that name"
    )]
    Address,
    /// The pod itself.
    #[error("localhost is the pod itself: write the name of a database outside of it")]
    Localhost,
}

impl Database {
    /// Where the governor listens for the database with this number, counted from 0: the host alias of its name.
    #[must_use]
    pub fn listens_at(&self, number: usize) -> SocketAddr {
        let last = u8::try_from(number).unwrap_or(u8::MAX).saturating_add(1);
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), self.port))
    }
}

impl FromStr for Database {
    type Err = NotADatabase;

    fn from_str(text: &str) -> Result<Self, NotADatabase> {
        if text.starts_with('[') || text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
            return Err(NotADatabase::Address);
        }
        let (host, port) = text.split_once(':').ok_or(NotADatabase::Form)?;
        let port = decimal(port).ok_or(NotADatabase::Form)?;
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let labels: Vec<&str> = host.split('.').collect();
        if host.len() > LONGEST_NAME || !labels.iter().all(|label| is_label(label)) {
            return Err(NotADatabase::Form);
        }
        // The C library reads these as addresses too.
        if labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(NotADatabase::Address);
        }
        if labels.last() == Some(&"localhost") {
            return Err(NotADatabase::Localhost);
        }
        Ok(Self { host, port })
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn is_label(label: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_known)
}

/// A number of digits alone, which is not 0.
fn decimal(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_port_are_a_database() {
        for (text, host, port) in [
            ("db.abcdefgh.supabase.co:5432", "db.abcdefgh.supabase.co", 5432),
            ("postgres:6543", "postgres", 6543),
            ("DB.Shop.svc.:1", "db.shop.svc", 1),
            ("my_db-0.pg:65535", "my_db-0.pg", 65_535),
        ] {
            assert_eq!(text.parse(), Ok(Database { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn what_cannot_have_a_host_alias_is_refused() {
        for text in [
            "10.0.0.7:5432",
            "10.0.0.7",
            "[fd00::7]:5432",
            "[fd00::7]",
            "fd00::7",
            "::1",
            "10.7:5432",
            "7:5432",
        ] {
            assert_eq!(text.parse::<Database>(), Err(NotADatabase::Address), "{text}");
        }
        for text in ["localhost:5432", "LOCALHOST.:5432", "db.localhost:5432"] {
            assert_eq!(text.parse::<Database>(), Err(NotADatabase::Localhost), "{text}");
        }
    }

    #[test]
    fn what_is_not_host_and_port_is_refused() {
        let long = format!("{}.com:5432", "x".repeat(64));
        let whole = format!("{}com:5432", "abcdefghi.".repeat(26));
        for text in [
            "",
            "db",
            "db:",
            ":5432",
            "db:0",
            "db:65536",
            "db:+5",
            "db:5432:1",
            "db..com:5432",
            ".:5432",
            "a b:5432",
            "postgres://db:5432",
            "db:5432/app",
            &long,
            &whole,
        ] {
            assert_eq!(text.parse::<Database>(), Err(NotADatabase::Form), "{text}");
        }
    }

    #[test]
    fn each_database_has_an_address_of_its_own() {
        let database: Database = "db:5432".parse().expect("a database");
        assert_eq!(database.listens_at(0), "127.0.0.1:5432".parse().expect("an address"));
        assert_eq!(database.listens_at(7), "127.0.0.8:5432".parse().expect("an address"));
    }
}
