//! The kinds that policies are about: which requests write them, and where their pod template is.
//!
//! In: the table of `api::kinds`. Out: requests, CEL, and JSON pointers for the twins of the policies. A policy sees
//! objects of several types under one name; `dyn` tells CEL not to check for fields that only some of them have.

use super::policy::Requests;
use crate::api::WorkloadKind;

/// The operations on a kind that policies look at. A pod and the template of a Job cannot change after creation.
const fn operations(kind: WorkloadKind) -> &'static [&'static str] {
    match kind {
        WorkloadKind::Pod | WorkloadKind::Job => &["CREATE"],
        _ => &["CREATE", "UPDATE"],
    }
}

/// The writes of these kinds. If a resource (`rollouts`) is not installed, there are no requests for it.
pub(super) fn writes(of: impl Fn(WorkloadKind) -> bool) -> Vec<Requests> {
    let mut writes: Vec<Requests> = Vec::new();
    for kind in WorkloadKind::ALL.into_iter().filter(|kind| of(*kind)) {
        let (facts, operations) = (kind.facts(), operations(kind));
        let (group, version, resource) = (facts.group, facts.version, facts.plural.to_owned());
        let place = (group, version, operations);
        match writes.iter_mut().find(|known| (known.group, known.version, known.operations) == place) {
            Some(known) => known.resources.push(resource),
            None => writes.push(Requests { group, version, operations, resources: vec![resource] }),
        }
    }
    writes
}

/// The creation of pods.
pub(super) fn pods() -> Vec<Requests> {
    writes(|kind| kind == WorkloadKind::Pod)
}

/// The writes of kinds with a pod template.
pub(super) fn workloads() -> Vec<Requests> {
    writes(|kind| !kind.facts().template.is_empty())
}

/// The kind that a request writes, if policies look at it.
pub(super) fn written(group: &str, version: &str, resource: &str, operation: &str) -> Option<WorkloadKind> {
    WorkloadKind::ALL.into_iter().find(|kind| {
        let facts = kind.facts();
        (facts.group, facts.version, facts.plural) == (group, version, resource)
            && operations(*kind).contains(&operation)
    })
}

/// Whether an object of this kind is written, in CEL.
fn is(kind: WorkloadKind) -> String {
    format!("request.resource.resource == '{}'", kind.facts().plural)
}

/// One text for the kind with its template elsewhere, another for all other kinds.
fn by_kind(text: impl Fn(WorkloadKind) -> String) -> String {
    let [elsewhere, mostly] = [WorkloadKind::CronJob, WorkloadKind::Deployment].map(text);
    format!("({} ? {elsewhere} : {mostly})", is(WorkloadKind::CronJob))
}

/// The pod template of a workload, in CEL; an empty map where it has none.
pub(super) fn template(workload: &str) -> String {
    let template = by_kind(|kind| format!("dyn({workload}).{}", kind.facts().template.join(".?")));
    format!("{template}.orValue({{}})")
}

/// The JSON pointer to the pod template of the written workload, in CEL.
pub(super) fn template_path() -> String {
    by_kind(|kind| format!("'{}'", pointer(kind)))
}

/// Whether the written object decides for itself. A ReplicaSet of a Deployment does not: its controller writes it, and
/// it holds what its Deployment said at another time.
pub(super) fn is_own_master() -> String {
    format!(
        "!({}\n\
         \x20 && object.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false)))",
        is(WorkloadKind::ReplicaSet)
    )
}

/// The JSON pointer to the pod template in an object of this kind.
pub(super) fn pointer(kind: WorkloadKind) -> String {
    kind.facts().template.iter().flat_map(|part| ["/", part]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_with_a_template_stands_where_the_policies_look_for_one() {
        let elsewhere = WorkloadKind::CronJob;
        for kind in
            WorkloadKind::ALL.into_iter().filter(|kind| ![elsewhere, WorkloadKind::Pod].contains(kind))
        {
            assert_eq!(kind.facts().template, WorkloadKind::Deployment.facts().template, "{kind}");
        }
        assert_eq!(pointer(elsewhere), "/spec/jobTemplate/spec/template");
    }

    #[test]
    fn a_pod_and_a_job_are_looked_at_when_they_are_made_and_others_at_every_write() {
        let written = |kind: WorkloadKind, operation| {
            let facts = kind.facts();
            written(facts.group, facts.version, facts.plural, operation)
        };
        for kind in WorkloadKind::ALL {
            assert_eq!(written(kind, "CREATE"), Some(kind));
            let is_fixed = [WorkloadKind::Pod, WorkloadKind::Job].contains(&kind);
            assert_eq!(written(kind, "UPDATE"), (!is_fixed).then_some(kind));
            assert_eq!(written(kind, "DELETE"), None);
        }
    }
}
