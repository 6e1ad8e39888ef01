//! One request of an API server, and what the rules make of it.
//!
//! In: a request. Out: what is changed in its object, or the sentence that refuses it: the same as the policies gate, mirror
//! and check make of it, whose twins in Rust stand beside them. `plan` and `inject` ask here, and so does `webhook`.
//! Forbidden: state, a call to anybody, and typed objects, since a field that this build does not know must come through.

use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;

pub use super::policy::Reason;
use super::{check, gate, mirror, workload};
use crate::api::WorkloadKind;

/// What the API server wants to know.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Names this request; the answer repeats it.
    pub uid: String,
    /// What kind of object it is about.
    pub resource: Resource,
    /// `scale`, for example; empty for the object itself.
    #[serde(default)]
    pub sub_resource: String,
    /// `CREATE` or `UPDATE`.
    pub operation: String,
    /// Where the object is.
    #[serde(default)]
    pub namespace: String,
    /// What it is called; empty while the API server has yet to make up a name.
    #[serde(default)]
    pub name: String,
    /// As it is to be.
    #[serde(default)]
    pub object: Option<Value>,
    /// As it is.
    #[serde(default)]
    pub old_object: Option<Value>,
}

/// A kind of object, as it stands in a URL.
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

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The object may be as it is.
    Pass,
    /// The object may be, with these changes.
    Patch(Vec<PatchOperation>),
    /// The request is refused.
    Refuse(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class, which gives the HTTP status.
    pub reason: Reason,
    /// What the caller reads.
    pub sentence: String,
}

/// What becomes of an object: the gate for a pod, the mirror for a workload.
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

/// Whether an object may be stored, after everybody has changed it.
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

/// Why an object with a pod template at this path would be refused when it is made, after the mirror; of a pod the path is
/// empty.
#[must_use]
pub fn refusal(path: &str, object: &Value) -> Option<String> {
    check::native::workload(path, object, None).map(|refusal| refusal.sentence)
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
