//! Which fields of an object there are none of, and which have to be there.
//!
//! In: a value, and the fields of its type as JSON Schema. Out: fields that nobody knows, with the one that was probably
//! meant; the first field without which nothing could be counted. Forbidden here: types of values, which decoding checks.

use serde_json::{Map, Value};

use crate::api::keys;

/// Fields that are looked for where the schema requires them. Of the others that it requires some have a default all the same.
const NEEDED: [&str; 7] =
    ["selector", "template", "jobTemplate", "containers", "name", "maxReplicas", "scaleTargetRef"];

/// What may be left out only where nothing in it has to be there.
const ENTERED: [&str; 2] = ["spec", "template"];

/// The most unknown fields that are kept.
const MOST: usize = 1000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Fields that nobody knows.
    pub(super) unknown: Vec<Unknown>,
    /// The first one that has to be there and is not, in a sentence.
    pub(super) missing: Option<String>,
}

/// A field that nobody knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// The field.
    pub(super) way: String,
    /// The one of that place that was probably meant.
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
                // What a cluster writes there is its own affair.
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

/// What a field that has to be there lacks.
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
