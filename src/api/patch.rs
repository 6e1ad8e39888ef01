//! JSON patches, operation by operation.
//!
//! In: a path of plain names, a key with any characters, a value. Out: operations of [`json_patch`].

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation};
use serde_json::Value;

/// The place at a path whose parts are plain names, such as `/metadata/labels`.
#[must_use]
pub fn place(path: &str) -> PointerBuf {
    PointerBuf::from_tokens(path.split('/').skip(1))
}

/// The member of a map at such a path. Its key may contain any characters.
#[must_use]
pub fn member(map: &str, key: &str) -> PointerBuf {
    PointerBuf::from_tokens(map.split('/').skip(1).chain([key]))
}

/// Adds a value, or replaces the one that is there.
#[must_use]
pub fn add(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value: value.into() })
}

/// Removes a value.
#[must_use]
pub fn remove(path: PointerBuf) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path })
}

/// Replaces a value that is there.
#[must_use]
pub fn replace(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path, value: value.into() })
}

/// Makes the patch fail when another value is there.
#[must_use]
pub fn test(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Test(TestOperation { path, value: value.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_are_those_of_the_standard_and_keys_are_escaped() {
        let patch = json_patch::Patch(vec![
            test(place("/metadata/uid"), "u"),
            add(member("/metadata/labels", "a/b~c"), "d"),
            replace(place("/spec/replicas"), 2),
            remove(place("/spec/schedulingGates/0")),
        ]);
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "d"},
            {"op": "replace", "path": "/spec/replicas", "value": 2},
            {"op": "remove", "path": "/spec/schedulingGates/0"},
        ]);
        assert_eq!(json!(patch), expected);
    }
}
