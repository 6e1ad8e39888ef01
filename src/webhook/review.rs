//! The envelope: reads an AdmissionReview of `admission.k8s.io/v1`, and writes the answering one.
//!
//! In: the body of a request. Out: a [`Request`], or a sentence that says why the body is not one; the body of the
//! answer. What the answer says is not decided here.

use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::json;

use crate::admission::request::{Outcome, Reason, Refusal, Request};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A body without a review that can be answered.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON, or JSON of something else.
    #[error("the body is not an AdmissionReview: {0}")]
    Unreadable(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// Its version or kind is not supported here.
    #[error("the body is {api_version}/{kind}, this webhook answers {API_VERSION}/{KIND}")]
    Other {
        /// Its apiVersion.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// It has no request.
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
/// When it holds no request of a supported version.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_review_is_read_and_its_answer_names_it() {
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5", "operation": "UPDATE", "namespace": "shop", "name": "api", "dryRun": true,
                "resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "scale",
                "object": {"spec": {"replicas": 2}}, "oldObject": null, "options": {}, "userInfo": {},
            },
        });
        let request = read(body.to_string().as_bytes()).unwrap();
        assert_eq!((request.uid.as_str(), request.sub_resource.as_str()), ("705ab4f5", "scale"));
        assert_eq!(request.object.unwrap()["spec"]["replicas"], 2);
        assert_eq!(request.old_object, None);
        let refusal = Refusal { reason: Reason::Forbidden, sentence: "no".to_owned() };
        let answer: Value =
            serde_json::from_slice(&answer("705ab4f5", &Outcome::Refuse(refusal)).unwrap()).unwrap();
        let expected = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {
                "uid": "705ab4f5", "allowed": false,
                "status": {"code": 403, "reason": "Forbidden", "message": "no"},
            },
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn a_body_that_is_no_review_is_told_why() {
        let said = |body: &str| read(body.as_bytes()).unwrap_err().to_string();
        assert!(said("").starts_with("the body is not an AdmissionReview: "), "{}", said(""));
        assert_eq!(
            said(r#"{"apiVersion": "v1", "kind": "Pod"}"#),
            "the body is v1/Pod, this webhook answers admission.k8s.io/v1/AdmissionReview"
        );
        assert_eq!(
            said(r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#),
            "the AdmissionReview has no request"
        );
        let number =
            r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": 1}}"#;
        assert!(said(number).contains("request.uid: invalid type: integer `1`"), "{}", said(number));
    }
}
