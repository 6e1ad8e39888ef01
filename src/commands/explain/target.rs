//! What to explain, as users write it: `pod/NAME`, `deploy/NAME`, `NAME`.

use std::str::FromStr;

use crate::api::WorkloadKind;

/// What to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A pod.
    Pod(String),
    /// A workload of a kind.
    Workload(WorkloadKind, String),
    /// Anything of this name.
    Named(String),
}

/// The target names an unknown kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pod or a workload: write NAME, pod/NAME, or a workload such as deployment/NAME")]
pub(super) struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let (kind, name) = text.split_once('/').unwrap_or(("", text));
        let wrong = || NoTarget(text.to_owned());
        if name.is_empty() || name.contains('/') {
            return Err(wrong());
        }
        let name = name.to_owned();
        match kind.to_lowercase().as_str() {
            "" if text.starts_with('/') => Err(wrong()),
            "" => Ok(Self::Named(name)),
            "pod" | "pods" | "po" => Ok(Self::Pod(name)),
            kind => Ok(Self::Workload(workload(kind).ok_or_else(wrong)?, name)),
        }
    }
}

/// The kinds, by the names that kubectl accepts.
pub(in crate::commands) fn workload(kind: &str) -> Option<WorkloadKind> {
    // `kubectl get -o name` prints deployments.apps
    let kind = kind.split('.').next().unwrap_or_default();
    Some(match kind {
        "deployment" | "deployments" | "deploy" => WorkloadKind::Deployment,
        "statefulset" | "statefulsets" | "sts" => WorkloadKind::StatefulSet,
        "daemonset" | "daemonsets" | "ds" => WorkloadKind::DaemonSet,
        "job" | "jobs" => WorkloadKind::Job,
        "cronjob" | "cronjobs" | "cj" => WorkloadKind::CronJob,
        "rollout" | "rollouts" | "ro" => WorkloadKind::Rollout,
        "replicaset" | "replicasets" | "rs" => WorkloadKind::ReplicaSet,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_kubectl_takes_and_prints_it() {
        let api = || "api".to_owned();
        let deployment = Target::Workload(WorkloadKind::Deployment, api());
        for text in ["deployment/api", "deploy/api", "Deployment/api", "deployment.apps/api"] {
            assert_eq!(text.parse(), Ok(deployment.clone()), "{text}");
        }
        assert_eq!(["pod/api", "po/api"].map(str::parse), [Ok(Target::Pod(api())), Ok(Target::Pod(api()))]);
        assert_eq!("api".parse(), Ok(Target::Named(api())));
    }

    #[test]
    fn what_is_none_is_answered_with_what_would_be_one() {
        for text in ["node/a", "/a", "pod/", "", "pod/a/b"] {
            let why = text.parse::<Target>().expect_err(text).to_string();
            assert!(why.ends_with("write NAME, pod/NAME, or a workload such as deployment/NAME"), "{why}");
        }
    }
}
