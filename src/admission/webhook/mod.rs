//! The rules of the policies once more, for clusters whose API servers cannot evaluate them by themselves.
//!
//! In: one request of the API server. Out: what is changed in its object, or the sentence that refuses it.
//! Forbidden: state, a call to anybody, and typed objects, since a field that this build does not know must
//! come through. Refusals are the sentences of `check`; `tests/admission` holds both to the same cases.
//!
//! | file | what it is |
//! |---|---|
//! | `review` | the envelope: AdmissionReview in and out |
//! | `object` | reading labels, annotations and containers of any object |
//! | `gate`, `mirror`, `check` | the rules, under the names of their policies |
//! | `configuration` | what tells the API server to ask |

mod check;
pub mod configuration;
mod gate;
mod mirror;
mod object;
pub mod review;

use super::policy::Requests;
use super::workload::{self, WORKLOADS};
use review::{Outcome, Request};
use serde_json::Value;

/// What becomes of an object: the gate for a pod, the mirror for a workload.
#[must_use]
pub fn mutate(request: &Request) -> Outcome {
    let Some(object) = &request.object else { return Outcome::Pass };
    let changes = if request.is_for(&super::gate::PODS) {
        gate::changes(object)
    } else if request.is_for_a_workload() {
        mirror::changes(&request.template(), object, request.old_object.as_ref())
    } else {
        Vec::new()
    };
    if changes.is_empty() { Outcome::Pass } else { Outcome::Patch(changes) }
}

/// Whether an object may be stored, after everybody has changed it.
#[must_use]
pub fn validate(request: &Request) -> Outcome {
    let Some(object) = &request.object else { return Outcome::Pass };
    let refusal = if request.is_for(&super::gate::PODS) {
        check::pod(object)
    } else if request.is_for_a_workload() {
        check::workload(&request.template(), object, request.old_object.as_ref())
    } else {
        None
    };
    refusal.map_or(Outcome::Pass, Outcome::Refuse)
}

/// Why an object with a pod template at this path would be refused when it is made, after the mirror; of a pod the path is
/// empty.
#[must_use]
pub fn refusal(path: &str, object: &Value) -> Option<String> {
    check::workload(path, object, None).map(|refusal| refusal.sentence)
}

impl Request {
    fn is_for_a_workload(&self) -> bool {
        WORKLOADS.iter().any(|requests| self.is_for(requests))
    }

    /// Where the pod template of the workload stands.
    fn template(&self) -> String {
        workload::pointer(&self.resource.resource)
    }

    fn is_for(&self, requests: &Requests) -> bool {
        self.sub_resource.is_empty()
            && self.resource.group == requests.group
            && self.resource.version == requests.version
            && requests.resources.contains(&self.resource.resource.as_str())
            && requests.operations.contains(&self.operation.as_str())
    }
}

#[cfg(test)]
mod tests;
