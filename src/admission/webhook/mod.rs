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

use serde_json::Value;

use super::workload;
use crate::api::WorkloadKind;
use review::{Outcome, Request, Resource};

/// What becomes of an object: the gate for a pod, the mirror for a workload.
#[must_use]
pub fn mutate(request: &Request) -> Outcome {
    let changes = match request.written() {
        Some((WorkloadKind::Pod, object)) => gate::changes(object),
        Some((kind, object)) => {
            mirror::changes(&workload::pointer(kind), object, request.old_object.as_ref())
        }
        None => Vec::new(),
    };
    if changes.is_empty() { Outcome::Pass } else { Outcome::Patch(changes) }
}

/// Whether an object may be stored, after everybody has changed it.
#[must_use]
pub fn validate(request: &Request) -> Outcome {
    let refusal = match request.written() {
        Some((WorkloadKind::Pod, object)) => check::pod(object),
        Some((kind, object)) => {
            check::workload(&workload::pointer(kind), object, request.old_object.as_ref())
        }
        None => None,
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
    /// The object that is written, if it is of a kind that the rules are about.
    fn written(&self) -> Option<(WorkloadKind, &Value)> {
        let Resource { group, version, resource } = &self.resource;
        let kind = workload::written(group, version, resource, &self.operation)?;
        self.object.as_ref().filter(|_| self.sub_resource.is_empty()).map(|object| (kind, object))
    }
}

#[cfg(test)]
mod tests;
