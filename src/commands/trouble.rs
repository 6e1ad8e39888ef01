//! The cluster's error answer, as a sentence that says what to do.
//!
//! In: an error of the client, and its subject. Out: an error for people.

use std::error::Error as _;

use anyhow::anyhow;
use kube::Error;

/// The error of a request about `resource`, which is plural and group as RBAC names it.
pub(super) fn told(what: &str, resource: &str, error: &Error) -> anyhow::Error {
    match error {
        Error::Api(status) => match status.code {
            401 => anyhow!("{what}: the cluster does not accept these credentials; log in again"),
            403 => anyhow!(
                "{what}: {}; the ClusterRole view, bound to you in that namespace, is enough: \
                 kubectl create rolebinding poolbudget-view --clusterrole=view --user=YOU -n NAMESPACE",
                status.message
            ),
            404 if resource.ends_with(".poolbudget.dev") => anyhow!(
                "{what}: this cluster has no DbConnectionBudget resource; install poolbudget with its chart, or only \
                 the resource: poolbudget crd | kubectl apply -f -"
            ),
            _ => anyhow!("{what}: {}", status.message),
        },
        Error::Auth(_) => anyhow!("{what}: cannot log in: {}", root(error)),
        Error::Service(_) | Error::HyperError(_) => {
            anyhow!("{what}: cannot reach the cluster: {}; check with `kubectl cluster-info`", root(error))
        }
        _ => anyhow!("{what}: {error}"),
    }
}

/// The innermost reason: the outer ones repeat it.
fn root(error: &Error) -> String {
    let mut last = error.source();
    while let Some(deeper) = last.and_then(std::error::Error::source) {
        last = Some(deeper);
    }
    last.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn answer(code: u16, resource: &str) -> String {
        let status = Status::failure("the server said so", "Reason").with_code(code);
        told("cannot list it", resource, &Error::Api(Box::new(status))).to_string()
    }

    #[test]
    fn who_may_not_is_told_what_would_be_enough() {
        let said = answer(403, "pods");
        assert!(said.starts_with("cannot list it: the server said so; the ClusterRole view"), "{said}");
    }

    #[test]
    fn a_cluster_without_the_resource_is_told_from_one_without_an_object() {
        let said = answer(404, "dbconnectionbudgets.poolbudget.dev");
        assert!(said.contains("poolbudget crd | kubectl apply -f -"), "{said}");
        assert_eq!(answer(404, "pods"), "cannot list it: the server said so");
    }

    #[test]
    fn a_cluster_that_cannot_be_reached_is_told_with_the_innermost_reason() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = Error::Service(Box::new(std::io::Error::other(refused)));
        let said = told("cannot list it", "pods", &error).to_string();
        assert!(said.contains("cannot reach the cluster: connection refused; check with `kubectl"), "{said}");
    }
}
