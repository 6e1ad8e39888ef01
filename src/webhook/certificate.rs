//! The webhook's certificate and its authority: made, judged, renewed.
//!
//! In: what is held, the host to serve, the date. Out: what to hold instead, if a change is due. Forbidden: the
//! cluster, and a clock.
//!
//! Renewal disturbs no API server. A new authority is added to those that API servers trust before it signs anything,
//! and stays there until it expires; its key is kept only while it is the newest.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::validity::Validity;

/// How long new authorities and certificates are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// Of an authority.
    pub authority: Duration,
    /// Of a certificate.
    pub certificate: Duration,
}

const DAY: u64 = 86_400;

impl Default for Lives {
    /// Renewed with a third left: an authority then has at least 4 months, more than any certificate that it signed.
    fn default() -> Self {
        Self { authority: Duration::from_secs(365 * DAY), certificate: Duration::from_secs(90 * DAY) }
    }
}

/// A certificate is valid from an hour before it was made, for API servers whose clocks are slow.
const BACKDATED: Duration = Duration::from_secs(3600);

/// How long a new authority is known before it signs anything: API servers need time to learn of it.
const SETTLES: Duration = Duration::from_secs(60);

/// How many earlier authorities stay trusted.
const EARLIER: usize = 3;

/// A certificate with everything that belongs to it, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The authorities that API servers are to trust, the newest first.
    pub authorities: String,
    /// The key of the newest authority.
    pub authority_key: String,
    /// What is shown to API servers.
    pub certificate: String,
    /// The key of the certificate.
    pub key: String,
}

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the webhook's certificate: {0}")]
pub struct CannotMake(#[from] rcgen::Error);

/// What to hold instead of `held`; none while `held` is valid for a while.
///
/// # Errors
/// When a key or a certificate cannot be made.
pub fn renewed(
    held: Option<&Held>,
    host: &str,
    lives: Lives,
    now: Timestamp,
) -> Result<Option<Held>, CannotMake> {
    let anew = || with_authority(held, lives, now)?.with_certificate(host, lives, now);
    let usable = held.filter(|held| held.serves(host, now));
    let Some((held, newest)) = usable.and_then(|held| Some((held, Validity::read(&held.authorities)?)))
    else {
        return anew().map(Some);
    };
    if newest.is_due(now) {
        return with_authority(Some(held), lives, now).map(Some);
    }
    let in_a_third = now.saturating_add(lives.certificate / 3).unwrap_or(Timestamp::MAX);
    let known = newest.from.saturating_add(BACKDATED + SETTLES).unwrap_or(Timestamp::MAX);
    if held.serves(host, in_a_third) || now < known {
        return Ok(None);
    }
    let renewed = held.clone().with_certificate(host, lives, now).ok();
    renewed.filter(|renewed| renewed.serves(host, now)).map_or_else(anew, Ok).map(Some)
}

impl Held {
    /// The certificate with its key, as the server shows it; none when one is missing or they do not belong together.
    #[must_use]
    pub fn certified(&self) -> Option<CertifiedKey> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).ok()?;
        CertifiedKey::from_der(ders(&self.certificate), key, &ring::default_provider()).ok()
    }

    /// Whether API servers that trust the authorities will accept the certificate for this host at that time.
    fn serves(&self, host: &str, at: Timestamp) -> bool {
        let mut trusted = RootCertStore::empty();
        let good =
            blocks(&self.authorities).filter(|block| Validity::read(block).is_some_and(|v| v.covers(at)));
        trusted.add_parsable_certificates(good.flat_map(ders));
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(trusted), provider).build();
        let (Ok(verifier), Some(certified)) = (verifier, self.certified()) else { return false };
        let (Ok(host), Ok(at)) = (ServerName::try_from(host), u64::try_from(at.as_second())) else {
            return false;
        };
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let Some((certificate, chain)) = certified.cert.split_first() else { return false };
        verifier.verify_server_cert(certificate, chain, &host, &[], at).is_ok()
    }

    /// Adds a new certificate, signed by the newest authority.
    fn with_certificate(self, host: &str, lives: Lives, now: Timestamp) -> Result<Self, CannotMake> {
        let issuer = Issuer::new(authority()?, KeyPair::from_pem(&self.authority_key)?);
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name = name(host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = dates(now, lives.certificate);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem(), ..self })
    }
}

/// Adds a new authority in front of those that are already trusted.
fn with_authority(held: Option<&Held>, lives: Lives, now: Timestamp) -> Result<Held, CannotMake> {
    let mut params = authority()?;
    (params.not_before, params.not_after) = dates(now, lives.authority);
    let key = KeyPair::generate()?;
    let mut authorities = params.self_signed(&key)?.pem();
    let held = held.cloned().unwrap_or_default();
    let trusted = |block: &&str| Validity::read(block).is_some_and(|validity| now < validity.until);
    for earlier in blocks(&held.authorities).filter(trusted).take(EARLIER) {
        authorities.push_str(earlier.trim_start());
        authorities.push('\n');
    }
    Ok(Held { authorities, authority_key: key.serialize_pem(), ..held })
}

/// What all our authorities have in common: everything needed to sign with the key of one.
fn authority() -> Result<CertificateParams, CannotMake> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = name("poolbudget webhook authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// Each certificate of a PEM text, as PEM.
fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    pem.split_inclusive("-----END CERTIFICATE-----")
        .filter(|block| block.contains("-----BEGIN CERTIFICATE-----"))
}

fn ders(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect()
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn dates(now: Timestamp, life: Duration) -> (OffsetDateTime, OffsetDateTime) {
    let at = |timestamp: Result<Timestamp, _>| {
        let seconds = timestamp.unwrap_or(now).as_second();
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    (at(now.saturating_sub(BACKDATED)), at(now.saturating_add(life)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "poolbudget-webhook.there.svc";

    fn at(days: u64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + i64::try_from(days * DAY).unwrap()).unwrap()
    }

    fn next(held: Option<&Held>, now: Timestamp) -> Option<Held> {
        renewed(held, HOST, Lives::default(), now).unwrap()
    }

    fn serves(held: &Held, now: Timestamp) -> bool {
        held.serves(HOST, now)
    }

    #[test]
    fn what_was_just_made_is_good_and_stays() {
        let held = next(None, at(0)).unwrap();
        assert!(serves(&held, at(0)));
        assert_eq!(next(Some(&held), at(0)), None);
        assert_eq!(next(Some(&held), at(59)), None);
        assert_eq!(ders(&held.authorities).len(), 1);
    }

    #[test]
    fn a_certificate_with_less_than_a_third_of_its_life_is_renewed_by_the_same_authority() {
        let held = next(None, at(0)).unwrap();
        let renewed = next(Some(&held), at(61)).unwrap();
        assert_eq!((&renewed.authorities, &renewed.authority_key), (&held.authorities, &held.authority_key));
        assert_ne!(renewed.certificate, held.certificate);
        assert!(serves(&renewed, at(61)) && serves(&renewed, at(150)));
        assert_eq!(next(Some(&renewed), at(61)), None);
    }

    #[test]
    fn an_authority_is_trusted_for_a_while_before_it_signs_and_the_old_one_stays_trusted() {
        let mut held = next(None, at(0)).unwrap();
        for day in 1..244 {
            held = next(Some(&held), at(day)).unwrap_or(held);
        }
        assert_eq!(ders(&held.authorities).len(), 1);
        let joined = next(Some(&held), at(244)).unwrap();
        assert_eq!(ders(&joined.authorities).len(), 2);
        assert_ne!(joined.authority_key, held.authority_key);
        assert_eq!((&joined.certificate, &joined.key), (&held.certificate, &held.key));
        assert!(serves(&joined, at(244)));
        let mut later = joined.clone();
        for day in 245..400 {
            later = next(Some(&later), at(day)).unwrap_or(later);
            assert!(serves(&later, at(day)), "day {day}");
        }
        assert_ne!(later.certificate, joined.certificate);
    }

    #[test]
    fn with_short_lives_nothing_is_signed_by_an_authority_that_is_not_known_yet() {
        let lives = Lives { authority: Duration::from_secs(7200), certificate: Duration::from_secs(3600) };
        let second = |n: i64| at(0).saturating_add(Duration::from_secs(u64::try_from(n).unwrap())).unwrap();
        let mut held = renewed(None, HOST, lives, second(0)).unwrap().unwrap();
        for tick in (0..30_000).step_by(30) {
            let now = second(tick);
            assert!(serves(&held, now), "after {tick} s");
            let Some(next) = renewed(Some(&held), HOST, lives, now).unwrap() else { continue };
            if next.certificate != held.certificate {
                assert_eq!(next.authorities, held.authorities, "after {tick} s: one thing at a time");
                let made = Validity::read(&next.authorities).unwrap().from.as_second() + 3600;
                assert!(now.as_second() >= made + 60, "after {tick} s");
            }
            held = next;
        }
        assert!(ders(&held.authorities).len() <= 1 + EARLIER);
    }

    #[test]
    fn what_cannot_be_used_is_made_anew_while_its_authorities_stay_trusted() {
        let held = next(None, at(0)).unwrap();
        let other = next(None, at(0)).unwrap();
        let spoiled = [
            ("no certificate", Held { certificate: String::new(), ..held.clone() }),
            ("no key", Held { key: "spoiled".to_owned(), ..held.clone() }),
            ("the key of another", Held { key: other.key.clone(), ..held.clone() }),
            (
                "a certificate by somebody else",
                Held { certificate: other.certificate, key: other.key, ..held.clone() },
            ),
        ];
        for (case, spoiled) in spoiled {
            assert!(!serves(&spoiled, at(0)), "{case}");
            let renewed = next(Some(&spoiled), at(0)).unwrap();
            assert!(serves(&renewed, at(0)), "{case}");
            assert_eq!(ders(&renewed.authorities).len(), 2, "{case}");
        }
        let expired = next(Some(&held), at(366)).unwrap();
        assert_eq!(ders(&expired.authorities).len(), 1);
        assert!(serves(&expired, at(366)));
    }

    #[test]
    fn without_the_key_of_its_authority_a_certificate_is_good_until_it_is_to_be_renewed() {
        let held = next(None, at(0)).unwrap();
        let other = next(None, at(0)).unwrap();
        for key in [String::new(), other.authority_key] {
            let spoiled = Held { authority_key: key, ..held.clone() };
            assert_eq!(next(Some(&spoiled), at(1)), None);
            let renewed = next(Some(&spoiled), at(61)).unwrap();
            assert!(serves(&renewed, at(61)));
            assert_eq!(ders(&renewed.authorities).len(), 2);
        }
    }

    #[test]
    fn another_host_gets_another_certificate() {
        let held = next(None, at(0)).unwrap();
        for host in ["127.0.0.1", "::1", "hooks.example.com"] {
            let renewed = renewed(Some(&held), host, Lives::default(), at(0)).unwrap().unwrap();
            assert!(renewed.serves(host, at(0)), "{host}");
            assert!(!renewed.serves(HOST, at(0)), "{host}");
        }
    }
}
