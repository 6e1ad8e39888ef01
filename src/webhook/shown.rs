//! The certificate that the server shows at this moment.
//!
//! In: a certificate with its key, whenever there is a new one. Out: what new connections are shown; open connections
//! keep theirs. Readiness and metrics say whether there is one and until when it is valid.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::CERTIFICATE;
use super::certificate::Held;
use super::validity::Validity;
use crate::telemetry::http::Readiness;
use crate::telemetry::metrics::Metrics;

/// The shown certificate; clones share it.
#[derive(Clone)]
pub struct Shown {
    current: Arc<Current>,
    metrics: Metrics,
    readiness: Readiness,
}

#[derive(Debug, Default)]
struct Current(RwLock<Option<(String, Arc<CertifiedKey>)>>);

impl Shown {
    /// With no certificate yet.
    #[must_use]
    pub fn new(metrics: Metrics, readiness: Readiness) -> Self {
        readiness.set(CERTIFICATE, false);
        Self { current: Arc::default(), metrics, readiness }
    }

    /// Shows this certificate from now on. One that cannot be shown leaves the old one in place and returns false.
    pub fn show(&self, held: &Held) -> bool {
        if self.shows(&held.certificate) {
            return true;
        }
        let Some(certified) = held.certified() else { return false };
        if let Some(validity) = Validity::read(&held.certificate) {
            tracing::info!(until = %validity.until, "showing a new certificate");
            self.metrics.certificate(validity.until);
        }
        self.current.set(held.certificate.clone(), certified);
        self.readiness.set(CERTIFICATE, true);
        true
    }

    /// Whether this certificate is the one shown.
    pub(super) fn shows(&self, certificate: &str) -> bool {
        let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().is_some_and(|(shown, _)| shown == certificate)
    }

    /// The resolver through which rustls gets the certificate.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>
    }
}

impl Current {
    fn set(&self, certificate: String, certified: CertifiedKey) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some((certificate, Arc::new(certified)));
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(_, certified)| Arc::clone(certified))
    }
}
