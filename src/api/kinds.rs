//! The kinds of workloads, in one table: their names for an API server, and where their fields are.
//!
//! In: nothing. Out: the facts of a kind. Policies, the offline plan and calls to the API server follow from it; tests
//! compare the chart's rights and the watches with it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kinds of workloads.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
#[expect(missing_docs, reason = "the variants are the names of the kinds")]
pub enum WorkloadKind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    Rollout,
    ReplicaSet,
    Pod,
}

/// The facts of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its API group.
    pub group: &'static str,
    /// The version in which it is read and written.
    pub version: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Where in an object its pod template is: an object with metadata and spec.
    pub template: &'static [&'static str],
    /// Where it states the number of its pods, if it does.
    pub replicas: Option<&'static [&'static str]>,
    /// Whether that number is set through its `scale` subresource, as by an autoscaler.
    pub scales: bool,
}

const TEMPLATE: &[&str] = &["spec", "template"];
const REPLICAS: Option<&[&str]> = Some(&["spec", "replicas"]);

/// A kind of `apps` with template and replicas in the usual places.
const fn scaled(plural: &'static str) -> Facts {
    Facts { group: "apps", version: "v1", plural, template: TEMPLATE, replicas: REPLICAS, scales: true }
}

impl WorkloadKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
        Self::Rollout,
        Self::ReplicaSet,
        Self::Pod,
    ];

    /// The table.
    #[must_use]
    pub const fn facts(self) -> Facts {
        match self {
            Self::Deployment => scaled("deployments"),
            Self::StatefulSet => scaled("statefulsets"),
            Self::ReplicaSet => scaled("replicasets"),
            Self::Rollout => Facts { group: "argoproj.io", version: "v1alpha1", ..scaled("rollouts") },
            // One pod for each eligible node; only the cluster can count those.
            Self::DaemonSet => Facts {
                replicas: Some(&["status", "desiredNumberScheduled"]),
                scales: false,
                ..scaled("daemonsets")
            },
            Self::Job => Facts {
                group: "batch",
                replicas: Some(&["spec", "parallelism"]),
                scales: false,
                ..scaled("jobs")
            },
            Self::CronJob => Facts {
                group: "batch",
                template: &["spec", "jobTemplate", "spec", "template"],
                replicas: Some(&["spec", "jobTemplate", "spec", "parallelism"]),
                scales: false,
                ..scaled("cronjobs")
            },
            Self::Pod => Facts { group: "", template: &[], replicas: None, scales: false, ..scaled("pods") },
        }
    }

    /// Whether its number of replicas is set through its `scale` subresource, as by an autoscaler.
    #[must_use]
    pub const fn scales(self) -> bool {
        self.facts().scales
    }

    /// The API group in which the kind is.
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.facts().group
    }

    /// The kind of this group and name.
    #[must_use]
    pub fn in_group(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.group() == group && known.to_string() == kind)
    }

    /// The kind that an object reference names; none when it is not one of these. References of autoscalers may leave
    /// the version out.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let named = Self::ALL.into_iter().find(|known| known.to_string() == kind)?;
        (api_version.is_empty() || named.group() == group).then_some(named)
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
