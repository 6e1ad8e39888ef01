//! The dates of a certificate.
//!
//! In: PEM or DER, from any issuer. Out: from when until when it is valid. This part of X.509 is read here because the
//! TLS library keeps it private: it says whether a certificate is valid at a time, but not even that of an authority.

use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// When something is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Valid from this time.
    pub from: Timestamp,
    /// Valid until this time.
    pub until: Timestamp,
}

impl Validity {
    /// Of the first certificate in a PEM text.
    #[must_use]
    pub fn read(pem: &str) -> Option<Self> {
        Self::of(&CertificateDer::from_pem_slice(pem.as_bytes()).ok()?)
    }

    fn of(der: &[u8]) -> Option<Self> {
        let certificate = Element::first(der)?;
        let signed = Element::first(certificate.content)?;
        let mut rest = signed.content;
        // A version, which may be missing; then serial number, algorithm and issuer.
        if rest.first() == Some(&VERSION) {
            rest = Element::first(rest)?.rest;
        }
        for _ in 0..3 {
            rest = Element::first(rest)?.rest;
        }
        let from = Element::first(Element::first(rest)?.content)?;
        Some(Self { from: from.date()?, until: Element::first(from.rest)?.date()? })
    }

    /// Whether it is valid at that time.
    #[must_use]
    pub fn covers(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// Whether less than a third of its lifetime is left.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        let seconds = |from: Timestamp, until: Timestamp| until.as_second().saturating_sub(from.as_second());
        seconds(now, self.until).saturating_mul(3) < seconds(self.from, self.until)
    }
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// One element of DER: tag, length, content.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(der: &'a [u8]) -> Option<Self> {
        let (&[tag, length], rest) = der.split_first_chunk()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            // The low bits say how many bytes of length follow.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        Some(Self { tag, content, rest })
    }

    /// `YYMMDDhhmmssZ` until 2049, `YYYYMMDDhhmmssZ` from then on.
    fn date(&self) -> Option<Timestamp> {
        let text = std::str::from_utf8(self.content).ok()?;
        let full = match self.tag {
            UTC_TIME => format!("{}{text}", if text < "5" { "20" } else { "19" }),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let (date, time) = full.split_at_checked(8)?;
        format!("{date}T{time}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> String {
        let mut params = CertificateParams::new(vec!["host".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn dates_before_and_after_2050_are_read() {
        for (from, until, expected) in [
            ((2026, 11, 21), (2027, 2, 19), ["2026-11-21T00:00:00Z", "2027-02-19T00:00:00Z"]),
            ((1999, 12, 31), (2049, 12, 31), ["1999-12-31T00:00:00Z", "2049-12-31T00:00:00Z"]),
            ((2050, 1, 1), (9999, 12, 30), ["2050-01-01T00:00:00Z", "9999-12-30T00:00:00Z"]),
        ] {
            let validity = Validity::read(&made(from, until)).unwrap();
            assert_eq!([validity.from, validity.until].map(|date| date.to_string()), expected);
        }
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_has_no_dates() {
        let pem = made((2026, 1, 1), (2027, 1, 1));
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        for length in 0..der.len() {
            assert_eq!(Validity::of(&der[..length]), None, "the first {length} bytes");
        }
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(Validity::read(text), None, "{text}");
        }
    }
}
