//! What changes in a pod template besides additions, so that no change goes unreported.
//!
//! In: a template before and after. Out: sentences.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::api::names;
use crate::cluster::template::shortened;

/// The most characters of a value that a note quotes.
const QUOTED: usize = 80;

/// What was there and is gone or different now.
pub(super) fn told(before: Option<&Value>, after: &Value) -> Vec<String> {
    let empty = Value::Null;
    let before = before.unwrap_or(&empty);
    let kept = kept(before, after);
    let mut told: Vec<String> = kept
        .map(|values| {
            let values = shortened(values, 10 * QUOTED);
            let key = names::REPLACED_ENV;
            format!("the granted sizes replace the values {values}, which are kept in the annotation {key}")
        })
        .into_iter()
        .collect();
    told.extend(lost_env(before, after, kept.unwrap_or_default()));
    for map in ["labels", "annotations"] {
        told.extend(changed(map, noted(before, map), noted(after, map)));
    }
    told
}

fn noted<'a>(template: &'a Value, map: &str) -> Option<&'a Map<String, Value>> {
    template.get("metadata")?.get(map)?.as_object()
}

/// The values that the annotation keeps from now on.
fn kept<'a>(before: &Value, after: &'a Value) -> Option<&'a str> {
    let of = |template: &'a Value| noted(template, "annotations")?.get(names::REPLACED_ENV)?.as_str();
    let old = noted(before, "annotations").and_then(|notes| notes.get(names::REPLACED_ENV));
    of(after).filter(|new| old.and_then(Value::as_str) != Some(new))
}

/// Env entries that read something else now, and whose old value is kept nowhere.
fn lost_env(before: &Value, after: &Value, kept: &str) -> Vec<String> {
    let kept: Map<String, Value> = serde_json::from_str(kept).unwrap_or_default();
    // If several entries have one name, the last one counts.
    let mut counts: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for (container, entry) in env(before) {
        counts.insert((container, entry.get("name").and_then(Value::as_str).unwrap_or_default()), entry);
    }
    let now: Vec<(&str, &Value)> = env(after).collect();
    let lost = counts.into_iter().filter(|((container, name), old)| {
        let stays = now.contains(&(*container, *old));
        let keeps = |key: &str| kept.get(key).is_some_and(|value| Some(value) == old.get("value"));
        !stays && !keeps(name) && !keeps(&format!("{container}/{name}"))
    });
    lost.map(|((container, name), old)| {
        let was = source(old);
        format!(
            "{name} in container {container} now reads the granted size; its old value, {was}, is not kept"
        )
    })
    .collect()
}

/// All entries of env, each with the name of its container.
fn env(template: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let containers = ["containers", "initContainers"].into_iter();
    let containers = containers.filter_map(|list| template.get("spec")?.get(list)?.as_array()).flatten();
    containers.flat_map(|container| {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let env = container.get("env").and_then(Value::as_array).into_iter().flatten();
        env.map(move |entry| (name, entry))
    })
}

/// The value of an entry, or where it comes from.
fn source(entry: &Value) -> String {
    let Some(from) = entry.get("valueFrom").and_then(Value::as_object).and_then(|from| from.iter().next())
    else {
        let value = entry.get("value").and_then(Value::as_str).unwrap_or_default();
        return format!("{:?}", shortened(value, QUOTED));
    };
    let (kind, of) = from;
    let text = |key: &str| of.get(key).and_then(Value::as_str).map(|text| shortened(text, QUOTED));
    let parts = ["name", "key", "fieldPath", "resource"].into_iter().filter_map(text);
    format!("from {kind} ({})", parts.collect::<Vec<_>>().join(", "))
}

/// Labels or annotations whose value is different or gone now.
fn changed(
    map: &str,
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
) -> Vec<String> {
    let kind = map.trim_end_matches('s');
    let one = |(key, old): (&String, &Value)| {
        let new = after.and_then(|after| after.get(key));
        let quoted = |value: &Value| format!("{:?}", shortened(value.as_str().unwrap_or_default(), QUOTED));
        match new {
            Some(new) if new == old => None,
            // What the annotation keeps is reported elsewhere.
            Some(_) if key == names::REPLACED_ENV => None,
            Some(new) => {
                let (old, new) = (quoted(old), quoted(new));
                Some(format!(
                    "the {kind} {key} of its pod template changes from {old} to {new}: the value higher up in the manifest takes \
                     precedence"
                ))
            }
            None => {
                let old = quoted(old);
                Some(format!(
                    "the {kind} {key} is removed from its pod template, because only the operator may write it; it was {old}"
                ))
            }
        }
    };
    before.into_iter().flatten().filter_map(one).collect()
}
