//! Fields of an object that do not exist, and fields that are missing.
//!
//! In: a value, and the fields of its type as JSON Schema. Out: unknown fields, with the one that was probably meant;
//! the first missing field without which nothing can be counted. Forbidden here: types of values, which decoding
//! checks.

use serde_json::{Map, Value};

use crate::api::keys;

/// Required fields that are looked for. Some of the other fields that the schema requires have a default all the same.
const NEEDED: [&str; 7] =
    ["selector", "template", "jobTemplate", "containers", "name", "maxReplicas", "scaleTargetRef"];

/// Fields that may be missing if nothing in them is required.
const ENTERED: [&str; 2] = ["spec", "template"];

/// The most unknown fields that are recorded.
const MOST: usize = 1000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Unknown fields.
    pub(super) unknown: Vec<Unknown>,
    /// The first required field that is missing, in a sentence.
    pub(super) missing: Option<String>,
}

/// An unknown field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The field.
    pub(super) way: String,
    /// The known field at that place that was probably meant.
    pub(super) meant: Option<String>,
}

impl Fields {
    /// Adds what is found in a value of the type that `root` describes.
    pub(super) fn look(&mut self, value: &Value, root: &Value, way: &str) {
        self.walk(value, root, root, way);
    }

    fn walk(&mut self, value: &Value, schema: &Value, root: &Value, way: &str) {
        let schema = resolved(schema, root);
        match value {
            Value::Object(fields) => self.walk_object(fields, schema, root, way),
            Value::Array(items) => {
                let Some(of) = schema.get("items") else { return };
                for (place, item) in items.iter().enumerate() {
                    self.walk(item, of, root, &format!("{way}[{place}]"));
                }
            }
            _ => {}
        }
    }

    fn walk_object(&mut self, fields: &Map<String, Value>, schema: &Value, root: &Value, way: &str) {
        let Some(known) = schema.get("properties").and_then(Value::as_object) else { return };
        let to = |field: &str| if way.is_empty() { field.to_owned() } else { format!("{way}.{field}") };
        for field in fields.keys().filter(|field| !known.contains_key(*field)) {
            if self.unknown.len() < MOST {
                let meant = keys::misspelt(field, known.keys().map(String::as_str)).map(ToOwned::to_owned);
                self.unknown.push(Unknown { way: to(field), meant });
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for field in required.filter_map(Value::as_str).filter(|field| NEEDED.contains(field)) {
            let lack = lack(fields.get(field)).map(|lack| format!("{} is {lack}", to(field)));
            self.missing = self.missing.take().or(lack);
        }
        for (field, schema) in known {
            match fields.get(field) {
                // The cluster writes this part; it is not checked.
                Some(_) if way.is_empty() && field == "status" => {}
                Some(value) => self.walk(value, schema, root, &to(field)),
                None if ENTERED.contains(&field.as_str()) => {
                    self.walk(&Value::Object(Map::new()), schema, root, &to(field));
                }
                None => {}
            }
        }
    }
}

/// What is missing of a required field.
fn lack(value: Option<&Value>) -> Option<&'static str> {
    match value {
        None | Some(Value::Null) => Some("missing"),
        Some(Value::String(text)) if text.is_empty() => Some("missing"),
        Some(Value::Array(items)) if items.is_empty() => Some("empty"),
        Some(Value::Object(fields)) if fields.is_empty() => Some("empty"),
        Some(_) => None,
    }
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|way| way.strip_prefix("#/$defs/"));
    name.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}
