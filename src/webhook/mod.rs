//! For clusters whose API servers cannot evaluate the gate: an HTTPS server, in every replica, that they ask instead.
//!
//! In: AdmissionReviews. Out: answers, decided by `admission::request`; a certificate that API servers trust; what
//! tells them to ask. Forbidden: a rule about pods or workloads, and anything that only the leader may do. Only the
//! commands may use this folder.
//!
//! | file | what it is |
//! |---|---|
//! | `server`, `review` | connections, bodies, limits; the envelope: AdmissionReview in and out |
//! | `configuration` | what tells API servers to ask, made from the policies, and its template in the chart |
//! | `certificate`, `validity` | certificate and authority: made, judged, renewed; no cluster, no clock |
//! | `keep` | keeps them in a Secret, and the authority in the configurations |
//! | `files` | takes them from files that somebody else renews |
//! | `shown` | what the server shows at this moment |
//!
//! # When it goes
//!
//! Kubernetes 1.35 is the last version without MutatingAdmissionPolicy, which is stable from 1.36 on. Upstream support of
//! 1.35 ends on 2027-02-28. A release after that day can do without this wing. The twins of the rules (`native` beside
//! gate, mirror and check, and `admission::request`) stay: `plan` and `inject` ask them. What goes, and from where:
//!
//! | goes | what of it |
//! |---|---|
//! | `src/webhook` | all |
//! | `src/lib.rs`, `docs/architecture.md` | the row and the module `webhook` |
//! | `src/commands/run.rs` | `webhook_address`, `webhook_host`, `webhook_certificate`, `reviews` |
//! | `src/commands/print.rs`, `src/commands/mod.rs` | the option `webhook` |
//! | `src/commands/release.rs` | `MutatingWebhookConfiguration` among what goes out of force |
//! | `src/commands/release/tests.rs` | `mutatingwebhookconfigurations` |
//! | `src/commands/inject/mod.rs` | the `webhook` in its help |
//! | `src/admission/request.rs` | `Deserialize`, by which a review is read |
//! | `src/admission/mod.rs`, `src/admission/guard.rs` | `policies` in one list again, without the `webhook` in its words |
//! | `src/admission/chart.rs` | the `webhook` among what a condition is for |
//! | `src/admission/policy.rs` | `MutatingWebhooks`, `ValidatingWebhooks` |
//! | `src/admission/confine.rs`, `src/api/names.rs` | `WEBHOOK_SECRET`, and the policy about it |
//! | `src/telemetry/metrics.rs` | `admission_reviews`, `admission_duration`, `webhook_certificate_expiry_timestamp_seconds` |
//! | `src/telemetry/listen.rs` | `tls` |
//! | `Cargo.toml` | `rcgen`, `tokio-rustls`, the bench `webhook` |
//! | `charts/poolbudget/templates/webhook.yaml`, `charts/poolbudget/templates/certificate.yaml` | all |
//! | `charts/poolbudget/templates/_admission.tpl` | `webhookName`, `webhookHost`, `webhookClient`, `ownCertificate`, `authorityInjection` |
//! | `charts/poolbudget/values.yaml`, `charts/poolbudget/values.schema.json` | `webhook` and `mode` of admission |
//! | `charts/poolbudget/templates/rbac.yaml` | the rights that `ownCertificate` gives |
//! | `charts/poolbudget/templates/release-account.yaml` | `mutatingwebhookconfigurations` |
//! | `charts/poolbudget/templates/deployment.yaml` | `POOLBUDGET_WEBHOOK_ADDRESS`, its port and its volume |
//! | `charts/poolbudget/templates/service.yaml`, `charts/poolbudget/templates/networkpolicy.yaml` | the port `webhook` |
//! | `charts/poolbudget/templates/requirements.yaml`, `charts/poolbudget/templates/NOTES.txt` | what they say of the `webhook` |
//! | `charts/poolbudget/templates/policies.yaml` | follows from `admission` |
//! | `charts/poolbudget/files/alerts.yaml`, `tests/prometheus/alerts_test.go` | `PoolbudgetWebhookFailing`, `PoolbudgetWebhookCertificateExpiring` |
//! | `charts/poolbudget/files/dashboard.json` | the panel of `poolbudget_admission_reviews_total` |
//! | `docs/runbooks/webhook-failing.md`, `docs/runbooks/webhook-certificate-expiring.md` | all |
//! | `docs/admission.md`, `docs/production.md`, `docs/install.md`, `docs/trust.md`, `docs/metrics.md` | what they say of the `webhook` |
//! | `tests/chart/webhook.rs`, `tests/e2e/webhook.rs`, `tests/e2e/switching.rs`, `benches/webhook.rs` | all |
//! | `Makefile`, `CONTRIBUTING.md` | `webhook` |

pub mod certificate;
pub mod configuration;
pub mod files;
pub mod keep;
pub mod review;
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
    /// The source of the certificate.
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
    /// From `tls.crt` and `tls.key` of this folder; whoever renews them also tells API servers whom to trust.
    Folder(PathBuf),
}

/// Serves until `stop`, then lets the requests in progress end.
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
    // The certificate is kept up to date for as long as the server runs.
    tokio::select! {
        () = supply => {}
        () = server::serve(listener, &shown, metrics, stop) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn quoted(cell: &str) -> impl Iterator<Item = String> {
        cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned)
    }

    /// What the header says that goes: each path, and the words in it.
    fn going() -> Vec<(PathBuf, Vec<String>)> {
        let (_, table) =
            include_str!("mod.rs").split_once("//! | goes | what of it |\n//! |---|---|\n").unwrap();
        let rows = table.lines().map_while(|line| line.strip_prefix("//! | "));
        rows.flat_map(|row| {
            let (paths, words) = row.split_once(" | ").unwrap();
            quoted(paths).map(|path| (root().join(path), quoted(words).collect())).collect::<Vec<_>>()
        })
        .collect()
    }

    fn files(place: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(place) else { return vec![place.to_owned()] };
        entries.flat_map(|entry| files(&entry.unwrap().path())).collect()
    }

    #[test]
    fn what_goes_with_the_webhook_stands_where_the_header_says() {
        for (path, words) in going() {
            assert!(path.exists(), "{} is not there", path.display());
            for word in words {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.contains(&word), "{} says nothing of {word}", path.display());
            }
        }
    }

    #[test]
    fn no_file_of_program_and_chart_speaks_of_the_webhook_and_is_not_in_the_header() {
        let going: BTreeSet<PathBuf> = going().iter().flat_map(|(path, _)| files(path)).collect();
        let places = ["src", "charts"].map(|folder| files(&root().join(folder))).concat();
        let speaking = places.into_iter().filter(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            // These pods are an app's and have nothing to do with this wing.
            text.replace("webhook pods", "").to_lowercase().contains("webhook")
        });
        let missing: Vec<PathBuf> = speaking.filter(|path| !going.contains(path)).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn the_day_after_which_it_can_go_stands_where_operators_look() {
        let day = "2027-02-28";
        for page in [
            "src/webhook/mod.rs",
            "docs/admission.md",
            "docs/decisions/0013-a-webhook-beside-the-policies.md",
        ] {
            let text = fs::read_to_string(root().join(page)).unwrap();
            assert!(text.contains(&format!("ends on {day}")), "{page}");
        }
    }
}
