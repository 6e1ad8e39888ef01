//! What a client is, by the first bytes that it sends.
//!
//! In: at most [`ENOUGH`] bytes of anybody. Out: which of the packets of PostgreSQL they begin that have no type, or that
//! they begin none. Forbidden here: waiting for bytes, and what is done with a client.
//!
//! The packets: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

/// So many bytes tell what a client is.
pub const ENOUGH: usize = 8;

/// The longest packet with which a session begins: PostgreSQL takes none that is longer.
const LONGEST_STARTUP: u32 = 10_000;
/// A cancel request with the key of four bytes that all versions up to 3.0 of the protocol have.
const SHORTEST_CANCEL: u32 = 16;
/// A cancel request with the longest key of version 3.2, which has 256 bytes.
pub const LONGEST_CANCEL: u32 = 268;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// What a client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It asks whether the server has TLS.
    Tls,
    /// It asks whether the server has the encryption of GSSAPI.
    Gss,
    /// It asks to cancel a query of another connection, in so many bytes, and takes no place on the server.
    Cancel(u32),
    /// It begins a session without encryption, with a packet of so many bytes.
    Startup(u32),
    /// Something else.
    Other,
}

impl First {
    /// Whether a client that begins like this understands an error in the protocol of PostgreSQL.
    #[must_use]
    pub fn is_postgres(self) -> bool {
        matches!(self, Self::Tls | Self::Gss | Self::Startup(_))
    }
}

/// What a client that sent these bytes is; none while the next bytes may still tell.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<First> {
    // No packet is longer than 65,535 bytes.
    if bytes.iter().take(2).any(|byte| *byte != 0) {
        return Some(First::Other);
    }
    let (length, rest) = bytes.split_first_chunk()?;
    let (length, code) = (u32::from_be_bytes(*length), u32::from_be_bytes(*rest.first_chunk()?));
    Some(match (code, length) {
        (TLS, 8) => First::Tls,
        (GSS, 8) => First::Gss,
        (CANCEL, SHORTEST_CANCEL..=LONGEST_CANCEL) => First::Cancel(length),
        (_, 8..=LONGEST_STARTUP) if code >> 16 == 3 => First::Startup(length),
        _ => First::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(length: u32, code: u32) -> Vec<u8> {
        [length.to_be_bytes(), code.to_be_bytes()].concat()
    }

    #[test]
    fn each_packet_without_a_type_is_known_by_eight_bytes() {
        for (length, code, first) in [
            (8, TLS, First::Tls),
            (8, GSS, First::Gss),
            (16, CANCEL, First::Cancel(16)),
            (268, CANCEL, First::Cancel(268)),
            (84, 0x0003_0000, First::Startup(84)),
            (84, 0x0003_0002, First::Startup(84)),
            (10_000, 0x0003_0000, First::Startup(10_000)),
            // Too long or too short for what they say to be.
            (9, TLS, First::Other),
            (7, GSS, First::Other),
            (12, CANCEL, First::Other),
            (269, CANCEL, First::Other),
            (10_001, 0x0003_0000, First::Other),
            (7, 0x0003_0000, First::Other),
            (u32::MAX, 0x0003_0000, First::Other),
            // Version 2, and a code that is none.
            (84, 0x0002_0000, First::Other),
            (8, 80_877_105, First::Other),
        ] {
            assert_eq!(read(&packet(length, code)), Some(first), "{length} {code}");
        }
    }

    #[test]
    fn what_speaks_another_protocol_is_known_by_its_first_byte() {
        for bytes in [&b"\x16\x03\x01"[..], b"GET / HTTP/1.1\r\n", b"\x01", b"\x00\x01"] {
            assert_eq!(read(bytes), Some(First::Other), "{bytes:?}");
        }
    }

    #[test]
    fn a_part_of_a_packet_tells_nothing_yet() {
        let whole = packet(84, 0x0003_0000);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn only_those_that_begin_a_session_of_postgres_understand_its_errors() {
        let others = [First::Cancel(16), First::Other];
        assert!([First::Tls, First::Gss, First::Startup(8)].into_iter().all(First::is_postgres));
        assert!(!others.into_iter().any(First::is_postgres));
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_what_a_client_is(bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..16)) {
            let mut known = None;
            for length in 0..=bytes.len() {
                let now = read(&bytes[..length]);
                prop_assert!(known.is_none() || now == known);
                known = now;
            }
            prop_assert!(known.is_some() || bytes.len() < ENOUGH);
        }
    }
}
