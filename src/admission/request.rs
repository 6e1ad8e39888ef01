//! One request of an API server, and how the rules answer it.
//!
//! In: a request. Out: the changes to its object, or the sentence that refuses it, exactly as from the policies gate,
//! mirror and check; their twins in Rust are beside them. `plan` and `inject` ask here, and so does `webhook`.
//! Forbidden: state, requests to others, and typed objects, since fields that this build does not know must be kept.

use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;

pub use super::policy::Reason;
use super::{check, gate, mirror, workload};
use crate::api::WorkloadKind;

/// What the API server asks.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Names this request; the answer repeats it.
    pub uid: String,
    /// The resource of the object.
    pub resource: Resource,
    /// `scale`, for example; empty for the object itself.
    #[serde(default)]
    pub sub_resource: String,
    /// `CREATE` or `UPDATE`.
    pub operation: String,
    /// The namespace of the object.
    #[serde(default)]
    pub namespace: String,
    /// The name of the object; empty while the API server has yet to generate one.
    #[serde(default)]
    pub name: String,
    /// The new object.
    #[serde(default)]
    pub object: Option<Value>,
    /// The old object.
    #[serde(default)]
    pub old_object: Option<Value>,
}

/// A resource, as named in a URL.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for the core.
    #[serde(default)]
    pub group: String,
    /// The version of the group.
    pub version: String,
    /// The plural.
    pub resource: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The object is accepted unchanged.
    Pass,
    /// The object is accepted with these changes.
    Patch(Vec<PatchOperation>),
    /// The request is refused.
    Refuse(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class of the refusal; it determines the HTTP status.
    pub reason: Reason,
    /// What the caller reads.
    pub sentence: String,
}

/// How an object is changed: by the gate for a pod, by the mirror for a workload.
#[must_use]
pub fn mutate(request: &Request) -> Outcome {
    let changes = match request.written() {
        Some((WorkloadKind::Pod, object)) => gate::native::changes(object),
        Some((kind, object)) => {
            mirror::native::changes(&workload::pointer(kind), object, request.old_object.as_ref())
        }
        None => Vec::new(),
    };
    if changes.is_empty() { Outcome::Pass } else { Outcome::Patch(changes) }
}

/// Whether an object may be stored, after all changes.
#[must_use]
pub fn validate(request: &Request) -> Outcome {
    let refusal = match request.written() {
        Some((WorkloadKind::Pod, object)) => check::native::pod(object),
        Some((kind, object)) => {
            check::native::workload(&workload::pointer(kind), object, request.old_object.as_ref())
        }
        None => None,
    };
    refusal.map_or(Outcome::Pass, Outcome::Refuse)
}

/// Why an object with a pod template at this path would be refused on creation, after the mirror; for a pod the path is
/// empty.
#[must_use]
pub fn refusal(path: &str, object: &Value) -> Option<String> {
    check::native::workload(path, object, None).map(|refusal| refusal.sentence)
}

impl Request {
    /// The written object, if it is of a kind that the rules are about.
    fn written(&self) -> Option<(WorkloadKind, &Value)> {
        let Resource { group, version, resource } = &self.resource;
        let kind = workload::written(group, version, resource, &self.operation)?;
        self.object.as_ref().filter(|_| self.sub_resource.is_empty()).map(|object| (kind, object))
    }
}

#[cfg(test)]
mod tests;
