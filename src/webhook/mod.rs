//! The HTTPS server that API servers ask, in every replica, where no policies gate pods.
//!
//! In: AdmissionReviews. Out: answers, which `admission::webhook` decides on; a certificate that API servers trust.
//! Forbidden: a rule about pods or workloads, and anything that only the leader may do.
//!
//! | file | what it is |
//! |---|---|
//! | `certificate`, `validity` | certificate and authority: made, judged, renewed; no cluster, no clock |
//! | `keep` | keeps them in a Secret, and the authority in the configurations |
//! | `files` | takes them from files that somebody else renews |
//! | `shown` | what the server shows at this moment |
//! | `server` | connections, bodies, limits |

pub mod certificate;
pub mod files;
pub mod keep;
pub mod server;
pub mod shown;
pub mod validity;

use std::net::SocketAddr;
use std::path::PathBuf;

use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::http::Readiness;
use crate::telemetry::metrics::Metrics;
use keep::Keeper;
use shown::Shown;

/// A readiness part: there is a certificate to show.
pub const CERTIFICATE: &str = "a certificate for the webhook";

/// How this process serves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whence the certificate.
    pub certificate: Source,
}

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made here, for this host, and kept in a Secret of this namespace.
    Own {
        /// The namespace of the operator.
        namespace: String,
        /// What API servers connect to.
        host: String,
    },
    /// From `tls.crt` and `tls.key` of this folder; who renews them also tells API servers whom to trust.
    Folder(PathBuf),
}

/// Serves until `stop`, then lets requests under way end.
///
/// # Errors
/// When the address cannot be bound.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(settings.address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving admission reviews");
    let shown = Shown::new(metrics.clone(), readiness);
    let supply = {
        let shown = shown.clone();
        async move {
            match settings.certificate {
                Source::Own { namespace, host } => Keeper::new(&client, &namespace, &host, shown).run().await,
                Source::Folder(folder) => files::follow(&folder, &shown).await,
            }
        }
    };
    // The certificate is looked after for as long as anybody is served.
    tokio::select! {
        () = supply => {}
        () = server::serve(listener, &shown, metrics, stop) => {}
    }
    Ok(())
}
