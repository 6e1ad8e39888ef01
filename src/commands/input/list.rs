//! Lists: documents that hold several objects.
//!
//! In: the value of a document. Out: its objects, in place. As in kubectl, an item of a typed list (`DeploymentList`)
//! that does not state its type gets the type of its list. A list within a list is taken apart too: some versions of
//! kubectl do that and some refuse it, but none ignores it.

use serde_json::Value;

/// The most levels of nested lists.
const DEEPEST: usize = 10;

/// Shows each object of a document to `visit`, which may change it; the type that it got from its list is removed
/// again.
///
/// # Errors
/// When lists are nested too deeply.
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
        return Err(format!("lists are nested deeper than {DEEPEST} levels"));
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
