//! Networks of addresses, and which addresses may be asked.
//!
//! In: an address that a tenant wrote down or a name led to, and the networks that the operator was given. Out: whether
//! a connection to it may be opened. Forbidden here: opening one, resolving a name.

use std::net::IpAddr;
use std::str::FromStr;

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

/// Whether an address that others wrote down may be asked: in one of these networks, or if there are none, any but those
/// that lead back to this host, to its link, or to many.
#[must_use]
pub fn may_be_asked(address: IpAddr, networks: &[Network]) -> bool {
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
mod tests {
    use super::*;

    #[test]
    fn no_address_that_leads_back_to_this_host_is_asked_unless_a_network_has_it() {
        let of = |text: &str| text.parse::<IpAddr>().expect("an address");
        for asked in ["10.244.0.7", "172.16.3.1", "192.168.1.1", "100.64.0.1", "fd00::7", "2001:db8::1"] {
            assert!(may_be_asked(of(asked), &[]), "{asked}");
        }
        for other in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(!may_be_asked(of(other), &[]), "{other}");
        }
        let networks: Vec<Network> =
            ["10.244.0.0/16", "fd00::/48"].map(|text| text.parse().expect("a network")).into();
        for (address, is_in) in
            [("10.244.255.1", true), ("10.245.0.1", false), ("fd00::1:0:0:1", true), ("fd00:0:1::1", false)]
        {
            assert_eq!(may_be_asked(of(address), &networks), is_in, "{address}");
        }
        let all: Network = "0.0.0.0/0".parse().expect("a network");
        assert!(all.has(of("1.2.3.4")) && !all.has(of("::1")));
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
