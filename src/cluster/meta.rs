//! Metadata as far as it is used.
//!
//! In: the metadata of any object. Out: an `ObjectMeta` without the rest. Fields that others may write and nobody here
//! uses (managedFields, impossible times) are dropped, so that they can neither cost memory nor keep an object from
//! being read.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct MetaView {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// Reads metadata; for `deserialize_with`.
///
/// # Errors
/// When a part that is used has the wrong type.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let view = MetaView::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: view.name,
        namespace: view.namespace,
        uid: view.uid,
        resource_version: view.resource_version,
        generation: view.generation,
        creation_timestamp: view.creation_timestamp.as_deref().and_then(time),
        // It matters that it is being deleted, not since when.
        deletion_timestamp: view
            .deletion_timestamp
            .map(|text| time(&text).unwrap_or(Time(Timestamp::UNIX_EPOCH))),
        deletion_grace_period_seconds: view.deletion_grace_period_seconds,
        labels: view.labels,
        annotations: view.annotations,
        owner_references: view.owner_references,
        ..ObjectMeta::default()
    })
}

/// Reads a time; none if the text is no time that can be used. For `deserialize_with`.
///
/// # Errors
/// When it is no text.
pub fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.as_deref().and_then(time))
}

fn time(text: &str) -> Option<Time> {
    text.parse().ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_used_cannot_keep_an_object_from_being_read() {
        let meta = json!({"name": "p", "creationTimestamp": "9999-12-31T23:59:59Z", "deletionTimestamp": "soon",
            "managedFields": [{"time": "9999-12-31T23:59:59Z"}], "finalizers": 5});
        let meta = read(meta).expect("metadata");
        assert_eq!((meta.name.as_deref(), meta.creation_timestamp), (Some("p"), None));
        assert_eq!((meta.deletion_timestamp.is_some(), meta.managed_fields), (true, None));
    }

    #[test]
    fn what_is_used_is_kept() {
        let meta = json!({"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:01Z",
            "deletionGracePeriodSeconds": 30,
            "labels": {"a": "b"}, "annotations": {"c": "d"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "v", "controller": true}]});
        let strict: ObjectMeta = serde_json::from_value(meta.clone()).expect("metadata");
        assert_eq!(read(meta).expect("metadata"), strict);
    }
}
