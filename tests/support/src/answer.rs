//! What an API server answers to a write, for those who play one.
//!
//! In: a stored object and a request. Out: the new object, or the refusal as a client reads it.

use json_patch::{Patch, PatchOperation};
use kube::core::Status;
use serde_json::{Value, json};

/// The object after a JSON patch, or why it does not apply.
pub fn patched(object: &Value, patch: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    let mut patch: Patch = serde_json::from_value(patch.clone()).expect("a JSON patch");
    // For the API server, a test for null passes if the path is missing; this library refuses it.
    patch.0.retain(|operation| !tests_absence(operation, &object));
    json_patch::patch(&mut object, &patch).map_err(|error| error.to_string())?;
    Ok(object)
}

fn tests_absence(operation: &PatchOperation, object: &Value) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    test.value.is_null() && object.pointer(&test.path.to_string()).is_none()
}

/// A refusal with this code.
pub fn refusal(code: u16, message: &str) -> Box<Status> {
    Status::failure(message, "").with_code(code).boxed()
}

/// The refusal of an eviction by the PodDisruptionBudget `by`.
pub fn disruption(by: &str, needed: u32, healthy: u32) -> Box<Status> {
    let message =
        format!("The disruption budget {by} needs {needed} healthy pods and has {healthy} currently");
    let details = json!({"causes": [{"reason": "DisruptionBudget", "message": message}]});
    let status = Status::failure(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        "TooManyRequests",
    );
    status.with_code(429).with_details(serde_json::from_value(details).expect("details")).boxed()
}
