//! Whether a replica leads, by the Lease, if the user may read it.
//!
//! In: a client and the place of the Lease. Out: an answer; "may not be read" is one too.

use clap::Args;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};

/// A Lease that was not renewed for its duration is free; this clock may differ by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(30);

/// The Lease that the chart uses.
const LEASE: &str = "poolbudget";

/// Where the operator is.
#[derive(Args, Clone, Debug)]
pub(in crate::commands) struct OperatorArgs {
    /// Namespace of the operator, to check whether it runs
    #[arg(long, value_name = "NAME", default_value = "poolbudget-system")]
    operator_namespace: String,
}

/// Whether a replica leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Leader {
    /// One does.
    Leads,
    /// None does, in words.
    Nobody(String),
    /// None ever did in that namespace, in words: it may be installed elsewhere.
    Never(String),
    /// That is not known, in words.
    Unknown(String),
}

impl OperatorArgs {
    /// The operator's namespace.
    pub(in crate::commands) fn namespace(&self) -> &str {
        &self.operator_namespace
    }

    pub(in crate::commands) async fn leader(&self, client: &Client) -> Leader {
        let namespace = &self.operator_namespace;
        let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
        match api.get_opt(LEASE).await {
            Ok(Some(lease)) => judge(&lease, namespace, Timestamp::now()),
            Ok(None) => Leader::Never(format!(
                "no operator has ever run in namespace {namespace}: new pods wait until one does; if it is installed in another \
                 namespace, pass that as --operator-namespace"
            )),
            Err(error) => {
                Leader::Unknown(format!("cannot read the Lease {LEASE} in namespace {namespace}: {error}"))
            }
        }
    }
}

fn judge(lease: &Lease, namespace: &str, now: Timestamp) -> Leader {
    let nobody = |why: String| {
        Leader::Nobody(format!("{why}: new pods wait until one runs; see kubectl get pods -n {namespace}"))
    };
    let spec = lease.spec.clone().unwrap_or_default();
    if spec.holder_identity.as_deref().unwrap_or_default().is_empty() {
        return nobody("no operator runs".to_owned());
    }
    let Some(renewed) = spec.renew_time.map(|time| time.0) else { return Leader::Leads };
    let duration = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds.unwrap_or(15)));
    let silent = now.duration_since(renewed);
    if silent > duration + CLOCKS_DIFFER {
        return nobody(format!("no operator runs: it was last seen {} s ago", silent.as_secs()));
    }
    Leader::Leads
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    fn judged(holder: Option<&str>, silent: i64) -> Leader {
        let spec = LeaseSpec {
            holder_identity: holder.map(ToOwned::to_owned),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        };
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(silent);
        judge(&Lease { spec: Some(spec), ..Lease::default() }, "there", now)
    }

    #[test]
    fn who_renewed_of_late_leads_even_by_a_clock_that_differs() {
        assert_eq!([judged(Some("a"), 45), judged(Some("a"), -600)], [Leader::Leads, Leader::Leads]);
    }

    #[test]
    fn a_lease_that_was_given_up_or_left_alone_is_nobodys() {
        let rest = "new pods wait until one runs; see kubectl get pods -n there";
        assert_eq!(judged(Some(""), 0), Leader::Nobody(format!("no operator runs: {rest}")));
        let heard = "no operator runs: it was last seen 46 s ago";
        assert_eq!(judged(Some("a"), 46), Leader::Nobody(format!("{heard}: {rest}")));
    }
}
