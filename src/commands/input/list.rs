//! Lists: documents that hold several objects.
//!
//! In: the value of a document. Out: its objects where they stand. As kubectl does, an item of a typed list (`DeploymentList`)
//! that does not say what it is gets the type of its list. A list within a list is taken apart too: some kubectl do that and
//! some refuse it, and none passes it over.

use serde_json::Value;

/// The most lists that stand within each other.
const DEEPEST: usize = 10;

/// Shows each object of a document to `visit`, which may change it; the type that it has from its list is not left in it.
///
/// # Errors
/// When lists stand within lists without end.
pub fn each_item(document: &mut Value, visit: &mut impl FnMut(&mut Value)) -> Result<(), String> {
    each(document, DEEPEST, visit)
}

fn each(value: &mut Value, depth: usize, visit: &mut impl FnMut(&mut Value)) -> Result<(), String> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, version) = (text(value, "kind"), text(value, "apiVersion"));
    let items = value.get_mut("items").and_then(Value::as_array_mut);
    let (Some(of), Some(items), false) = (kind.strip_suffix("List"), items, version.is_empty()) else {
        visit(value);
        return Ok(());
    };
    let Some(depth) = depth.checked_sub(1) else {
        return Err(format!("more than {DEEPEST} lists stand within each other"));
    };
    for item in items {
        let is_bare = ["kind", "apiVersion"].iter().all(|key| text(item, key).is_empty());
        let Some(fields) = item.as_object_mut().filter(|_| is_bare && !of.is_empty()) else {
            each(item, depth, visit)?;
            continue;
        };
        fields.insert("kind".to_owned(), of.into());
        fields.insert("apiVersion".to_owned(), version.clone().into());
        each(item, depth, visit)?;
        for key in ["kind", "apiVersion"] {
            item.as_object_mut().and_then(|fields| fields.remove(key));
        }
    }
    Ok(())
}
