//! The workloads that policies are about: which requests write them, and where their pod template stands.
//!
//! In: nothing but names. Out: requests, CEL, and JSON pointers for the webhook. A policy sees objects of several
//! types under one name, so CEL is told by `dyn` not to look for fields that only some of them have.

use super::policy::Requests;
use crate::api::WorkloadKind;

const WRITES: &[&str] = &["CREATE", "UPDATE"];

/// Writes of workloads. The template of a Job cannot be changed once it is there. A resource that is not installed
/// (`rollouts`) is asked for by nobody.
pub(super) const WORKLOADS: [Requests; 4] = [
    Requests {
        group: "apps",
        version: "v1",
        operations: WRITES,
        resources: &["deployments", "statefulsets", "daemonsets", "replicasets"],
    },
    Requests { group: "batch", version: "v1", operations: WRITES, resources: &["cronjobs"] },
    Requests { group: "batch", version: "v1", operations: &["CREATE"], resources: &["jobs"] },
    Requests { group: "argoproj.io", version: "v1alpha1", operations: WRITES, resources: &["rollouts"] },
];

/// The kind whose template stands elsewhere.
const IS_CRON_JOB: &str = "request.resource.resource == 'cronjobs'";

/// The pod template of a workload, in CEL; an empty map where it has none.
pub(super) fn template(workload: &str) -> String {
    format!(
        "({IS_CRON_JOB} ? dyn({workload}).spec.?jobTemplate.?spec.?template : dyn({workload}).spec.?template)\
         .orValue({{}})"
    )
}

/// The JSON pointer to the pod template of the workload that is written, in CEL.
pub(super) fn template_path() -> String {
    format!("({IS_CRON_JOB} ? '{}' : '{}')", pointer("cronjobs"), pointer(""))
}

/// Whether the object that is written is decided over by another one: a ReplicaSet of a Deployment is written by
/// its controller, and what it says is that of its Deployment at another time.
pub(super) fn is_own_master() -> String {
    "!(request.resource.resource == 'replicasets'\n\
     \x20 && object.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false)))"
        .to_owned()
}

/// The JSON pointer to the pod template in an object of this resource.
pub(super) fn pointer(resource: &str) -> String {
    let kind = WorkloadKind::ALL.into_iter().find(|kind| kind.facts().plural == resource);
    kind.unwrap_or_default().facts().template.iter().flat_map(|part| ["/", part]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_with_a_template_is_seen_when_it_is_written() {
        for facts in
            WorkloadKind::ALL.map(WorkloadKind::facts).iter().filter(|facts| !facts.template.is_empty())
        {
            let seen = WORKLOADS.iter().any(|requests| {
                (requests.group, requests.version) == (facts.group, facts.version)
                    && requests.resources.contains(&facts.plural)
            });
            assert!(seen, "{facts:?}");
        }
        assert_eq!(
            [pointer("cronjobs"), pointer("jobs")],
            ["/spec/jobTemplate/spec/template", "/spec/template"]
        );
    }
}
