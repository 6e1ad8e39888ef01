//! Encryption, and whether the server is the one that is meant.
//!
//! In: a connection, the host that was meant, the authorities to trust. Out: an encrypted connection to that host.
//! Forbidden here: going on without, and without verifying.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::dsn::Host;
use super::super::{Class, Doubt};
use super::text;

/// Asks a PostgreSQL server for TLS: a length of 8, and a number that stands for the question.
const QUESTION: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What connects, trusting a bundle of authorities, or if there is none, those that browsers trust.
pub(super) fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, Doubt> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(ca) => {
            let found = CertificateDer::pem_slice_iter(ca).filter_map(Result::ok);
            if roots.add_parsable_certificates(found).0 == 0 {
                let sentence = "caSecretRef leads to no certificate in PEM";
                return Err(Doubt::new(Class::SecretInvalid, sentence));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Doubt::new(Class::Unreachable, "there is no version of TLS to speak"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Encrypts a connection.
pub(super) async fn secured<S>(
    mut stream: S,
    host: &Host,
    connector: &TlsConnector,
) -> Result<TlsStream<S>, Doubt>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let server = host.shown();
    let name = ServerName::try_from(host.name.clone())
        .map_err(|_| unreachable(format!("{server} has no name that a certificate could have")))?;
    let closed = |_| unreachable(format!("{server} closed the connection: is it a PostgreSQL server?"));
    stream.write_all(&QUESTION).await.map_err(closed)?;
    // One byte and no more: whatever follows is part of the encryption, or forged.
    match stream.read_u8().await.map_err(closed)? {
        b'S' => {}
        b'N' => {
            return Err(unreachable(format!(
                "{server} offers no TLS: set sslmode=disable in the connection string if the network in \
                 between is trusted"
            )));
        }
        _ => return Err(unreachable(format!("{server} is no PostgreSQL server, or lets nobody in"))),
    }
    connector.connect(name, stream).await.map_err(|error| {
        let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        unreachable(unverified(error, &server))
    })
}

fn unverified(error: Option<&rustls::Error>, server: &str) -> String {
    use CertificateError as Wrong;
    let wrong = match error {
        Some(rustls::Error::InvalidCertificate(wrong)) => wrong,
        _ => return format!("{server} broke off while TLS was set up"),
    };
    let of_server = format!("the certificate of {server}");
    match wrong {
        // The signature is bad if another authority of the same name made it.
        Wrong::UnknownIssuer | Wrong::BadSignature => {
            format!("{of_server} is of an authority that is not trusted: name the authority's in caSecretRef")
        }
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            format!("{of_server} is for another name: connect by one of the names in it")
        }
        Wrong::Expired | Wrong::ExpiredContext { .. } => format!("{of_server} has expired: renew it"),
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => format!("{of_server} is not valid yet"),
        other => {
            let other = text::quoted(&format!("{other:?}"), None);
            format!(
                "{of_server} cannot be verified ({other}): have it signed by an authority, and name that in \
                 caSecretRef"
            )
        }
    }
}

fn unreachable(sentence: String) -> Doubt {
    Doubt::new(Class::Unreachable, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_certificate_is_refused() {
        for bundle in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let doubt = connector(Some(bundle.as_bytes())).err().expect("a doubt");
            assert_eq!(doubt.class, Class::SecretInvalid);
            assert_eq!(doubt.sentence, "caSecretRef leads to no certificate in PEM");
        }
        assert!(connector(None).is_ok());
    }
}
