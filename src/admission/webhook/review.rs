//! The envelope: an AdmissionReview of `admission.k8s.io/v1` is read, and one is written back.
//!
//! In: the body of a request. Out: a [`Request`], or a sentence that says why it is none; the body of the
//! answer. What the answer says is not decided here.

use json_patch::PatchOperation;
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::{Value, json};

pub use super::super::policy::Reason;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

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

/// A body that holds no review that can be answered.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON, or the JSON of something else.
    #[error("the body is not an AdmissionReview: {0}")]
    Unreadable(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// It is of a version or kind that is not spoken here.
    #[error("the body is {api_version}/{kind}, this webhook answers {API_VERSION}/{KIND}")]
    Other {
        /// Its apiVersion.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// It asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    request: Option<Request>,
}

/// Reads a body.
///
/// # Errors
/// When it holds no request of a version that is spoken here.
pub fn read(body: &[u8]) -> Result<Request, Malformed> {
    let review: Review = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(body))?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(Malformed::Other { api_version: review.api_version, kind: review.kind });
    }
    review.request.ok_or(Malformed::NoRequest)
}

/// Writes the answer to the request `uid`.
///
/// # Errors
/// When a change cannot be written as JSON.
pub fn answer(uid: &str, outcome: &Outcome) -> Result<Vec<u8>, serde_json::Error> {
    let response = match outcome {
        Outcome::Pass => json!({"uid": uid, "allowed": true}),
        Outcome::Patch(changes) => {
            let patch = ByteString(serde_json::to_vec(changes)?);
            json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch})
        }
        Outcome::Refuse(Refusal { reason, sentence }) => {
            let code = match reason {
                Reason::Forbidden => 403,
                Reason::Invalid => 422,
            };
            let status = json!({"code": code, "reason": format!("{reason:?}"), "message": sentence});
            json!({"uid": uid, "allowed": false, "status": status})
        }
    };
    serde_json::to_vec(&json!({"apiVersion": API_VERSION, "kind": KIND, "response": response}))
}
