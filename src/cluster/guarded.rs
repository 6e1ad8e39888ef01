//! An object that may turn out to be unreadable. One such object must not stop the watch of its kind.
//!
//! In: the JSON of an object. Out: the object, or its identity and which of its fields cannot be read. The API server
//! returns what was stored, even under an earlier or later schema of the resource.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object, if it can be read.
#[derive(Clone, Debug)]
pub enum Guarded<K> {
    /// It can.
    Read(K),
    /// It cannot.
    Unreadable(Box<Unreadable>),
}

/// An object that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Name, namespace, uid, version and labels, as far as they are texts.
    pub metadata: ObjectMeta,
    /// Which field cannot be read, and why.
    pub why: String,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    // Read from the text: a tree of the whole object would take twenty times its size.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(serde_json::from_str(raw.get())
            .map_or_else(|_| Self::Unreadable(Box::new(Unreadable::of::<K>(&raw))), Self::Read))
    }
}

impl Unreadable {
    /// What can be said about the text of an object that is no `K`.
    fn of<K: DeserializeOwned>(raw: &RawValue) -> Self {
        let mut text = serde_json::Deserializer::from_str(raw.get());
        let why = match serde_path_to_error::deserialize::<_, K>(&mut text) {
            Ok(_) => "it is read by one way and not by another".to_owned(),
            Err(error) => shorten(format!("{}: {}", error.path(), plain(error.inner()))),
        };
        Self { metadata: identity(raw), why }
    }
}

/// What is wrong, without the position in a text that nobody sees.
fn plain(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The metadata of an object, whatever else is in it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    metadata: Value,
}

fn identity(raw: &RawValue) -> ObjectMeta {
    let Named { metadata } = serde_json::from_str(raw.get()).unwrap_or_default();
    let text = |key: &str| metadata.get(key)?.as_str().map(ToOwned::to_owned);
    let labels = metadata.get("labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        labels: Some(
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
        ),
        ..ObjectMeta::default()
    }
}

/// A message quotes what was found, which may be long: at most 400 bytes of it.
fn shorten(mut why: String) -> String {
    let end = why.floor_char_boundary(400);
    if end < why.len() {
        why.truncate(end);
        why.push('…');
    }
    why
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }
    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }
    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }
    fn api_version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::api_version(of)
    }
    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }
    fn metadata_api() -> bool {
        K::metadata_api()
    }
    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Read(object) => object.meta(),
            Self::Unreadable(object) => &object.metadata,
        }
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Read(object) => object.meta_mut(),
            Self::Unreadable(object) => &mut object.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DbConnectionBudget;
    use kube::core::ObjectList;
    use serde_json::json;

    fn budget(name: &str, mode: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "spec": {"limit": {"connections": 15}, "mode": mode}})
    }

    #[test]
    fn an_object_that_cannot_be_read_leaves_the_rest_of_its_list_readable() {
        let list = json!({"apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudgetList", "metadata": {},
            "items": [budget("sound", "Gate"), budget("bad", "Auction")]});
        let list: ObjectList<Guarded<DbConnectionBudget>> = serde_json::from_value(list).expect("a list");
        let [Guarded::Read(sound), Guarded::Unreadable(object)] = &list.items[..] else { panic!("{list:?}") };
        assert_eq!(sound.metadata.name.as_deref(), Some("sound"));
        assert_eq!(
            (object.metadata.name.as_deref(), object.metadata.uid.as_deref()),
            (Some("bad"), Some("u"))
        );
        assert_eq!(object.why, "spec.mode: unknown variant `Auction`, expected `Observe` or `Gate`");
    }

    #[test]
    fn what_is_no_object_at_all_is_unreadable_too() {
        for value in
            [json!(null), json!(5), json!([]), json!({"metadata": 5, "spec": "\u{0}".repeat(10_000)})]
        {
            let read: Guarded<DbConnectionBudget> = serde_json::from_value(value).expect("anything");
            let Guarded::Unreadable(object) = read else { panic!("{read:?}") };
            assert!(object.why.len() < 410, "{}", object.why);
        }
    }
}
