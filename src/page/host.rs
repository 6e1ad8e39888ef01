//! By which name the page is asked for.
//!
//! In: the Host of a request. Out: whether it is one of ours. A web site can let its own name point to 127.0.0.1 (DNS
//! rebinding); a browser then lets its scripts read what is served there, and only the name in Host tells.

use std::net::{IpAddr, SocketAddr};

/// The names by which the page may be asked for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    own: Option<IpAddr>,
    named: Vec<String>,
}

impl Names {
    /// Loopback, the address that is listened on, and what the user names.
    #[must_use]
    pub fn new(address: SocketAddr, named: &[String]) -> Self {
        let own = Some(address.ip()).filter(|ip| !ip.is_unspecified());
        Self { own, named: named.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Whether this Host, with or without a port, is one of them.
    #[must_use]
    pub fn contain(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let bare = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        match bare.unwrap_or(name).parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() || self.own == Some(ip) => true,
            _ => name == "localhost" || self.named.iter().any(|other| other == name),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_ours_is_not_answered() {
        let names = Names::new(SocketAddr::from(([10, 1, 2, 3], 8081)), &["Budgets.example.com".to_owned()]);
        for ours in [
            "localhost",
            "localhost:8081",
            "LOCALHOST.:80",
            "127.0.0.1:40123",
            "127.0.0.1",
            "[::1]:8081",
            "[::1]",
            "10.1.2.3:8081",
            "budgets.example.com",
            "BUDGETS.example.com:443",
        ] {
            assert!(names.contain(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example.com",
            "evil.example.com:8081",
            "localhost.evil.example.com",
            "127.0.0.1.evil.example.com",
            "10.1.2.4",
            "0.0.0.0",
            "[::]:8081",
            "localhost:80:80",
            "user@localhost",
            "127.0.0.1@evil.example.com",
            "budgets.example.com.evil.org",
        ] {
            assert!(!names.contain(other), "{other}");
        }
    }

    #[test]
    fn an_address_that_stands_for_all_is_no_name() {
        let names = Names::new(SocketAddr::from(([0, 0, 0, 0], 8081)), &[]);
        assert!(!names.contain("0.0.0.0:8081") && names.contain("127.0.0.1:8081"));
    }
}
