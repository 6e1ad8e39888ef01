//! What the API server would refuse in a budget before anything could read it.
//!
//! In: a budget as JSON. Out: sentences, each with the field that it is about. The bounds come from the resource's own
//! schema; of its CEL rules, only those are here that no reader of a spec checks.

use std::fmt::Display;

use serde_json::{Map, Value};

use crate::api;
use crate::api::pool_status::{PATH, PoolStatus};

/// The longest name that fits into the label's value.
const LONGEST_NAME: usize = 63;

/// What is wrong with a budget; empty if the API server accepts it.
pub fn faults(budget: &Value) -> Vec<String> {
    let definition = serde_json::to_value(api::crd()).unwrap_or_default();
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    let mut found = Vec::new();
    match (budget.get("spec"), schema) {
        (Some(spec), Some(schema)) => check(spec, schema, "spec", &mut found),
        (None, _) => found.push("spec is missing: a budget needs at least spec.limit".to_owned()),
        (_, None) => {}
    }
    found.extend(bounds_that_cross(budget));
    let name = budget.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if name.len() > LONGEST_NAME {
        found.push(format!("metadata.name must fit into a label value: at most {LONGEST_NAME} characters"));
    }
    found
}

fn bounds_that_cross(budget: &Value) -> Vec<String> {
    let workloads = budget.pointer("/spec/workloads").and_then(Value::as_array);
    let entries = workloads.into_iter().flatten().enumerate();
    let entries = entries.map(|(index, entry)| (format!("spec.workloads[{index}]"), entry));
    let defaults = budget.pointer("/spec/defaults").map(|defaults| ("spec.defaults".to_owned(), defaults));
    let crossed = |(path, settings): (String, &Value)| {
        let bound = |name: &str| settings.get("connectionsPerProcess")?.get(name)?.as_i64();
        let (min, max) = (bound("min")?, bound("max")?);
        (min > max).then(|| format!("{path}.connectionsPerProcess: min must not be larger than max"))
    };
    entries.chain(defaults).filter_map(crossed).collect()
}

/// Checks a value against the part of OpenAPI that the resource uses.
fn check(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    match (schema.get("type").and_then(Value::as_str), value) {
        // The API server drops null if the field has a default or is optional.
        (_, Value::Null) => {}
        (Some("object"), Value::Object(fields)) => check_object(fields, schema, path, found),
        (Some("array"), Value::Array(items)) => check_array(items, schema, path, found),
        (Some("integer"), Value::Number(number)) if !number.is_f64() => {
            check_number(value, schema, path, found);
        }
        (Some("string"), Value::String(text)) => check_text(text, schema, path, found),
        (Some(wanted), other) => found.push(format!("{path} must be of type {wanted}; it is {other}")),
        (None, _) => {}
    }
}

fn check_object(fields: &Map<String, Value>, schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(known) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, value) in fields {
        match known.get(name) {
            Some(schema) => check(value, schema, &format!("{path}.{name}"), found),
            None => {
                let names: Vec<&str> = known.keys().map(String::as_str).collect();
                found.push(format!(
                    "{path}.{name}: there is no such field; the fields are: {}",
                    names.join(", ")
                ));
            }
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            found.push(format!("{path}.{name} is missing"));
        }
    }
}

fn check_array(items: &[Value], schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(of) = schema.get("items") else { return };
    let most = schema.get("maxItems").and_then(Value::as_u64);
    if most.is_some_and(|most| u64::try_from(items.len()).is_ok_and(|n| n > most)) {
        found.push(format!("{path}: at most {} items are allowed", most.unwrap_or_default()));
    }
    let keys: Vec<&Value> =
        schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten().collect();
    let mut seen = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        check(item, of, &path, found);
        let key: Vec<String> = keys.iter().filter_map(|key| key_of(item, of, key.as_str()?)).collect();
        if !keys.is_empty() && seen.contains(&key) {
            found.push(format!("{path}: there is already an entry for {}", key.join("/")));
        }
        seen.push(key);
    }
}

/// A part of the key of an item; its default if it is left out.
fn key_of(item: &Value, schema: &Value, key: &str) -> Option<String> {
    let default = || schema.get("properties")?.get(key)?.get("default");
    Some(item.get(key).or_else(default)?.as_str()?.to_owned())
}

fn check_number(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (least, most, number) = (bound("minimum"), bound("maximum"), value.as_f64());
    let below = least.zip(number).is_some_and(|(least, number)| number < least);
    let above = most.zip(number).is_some_and(|(most, number)| number > most);
    if below || above {
        found.push(format!("{path} must be {}; it is {value}", between(least, most)));
    }
}

/// The bounds that there are, in words.
fn between<N: Display>(least: Option<N>, most: Option<N>) -> String {
    let least = least.map(|least| format!("at least {least}"));
    let most = most.map(|most| format!("at most {most}"));
    least.into_iter().chain(most).collect::<Vec<_>>().join(" and ")
}

fn check_text(text: &str, schema: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(known) = schema.get("enum").and_then(Value::as_array) {
        let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
        if !known.contains(&text) {
            found.push(format!("{path} must be one of {}; it is {text:?}", known.join(", ")));
        }
    }
    // The one pattern of the resource.
    if schema.get("pattern").and_then(Value::as_str) == Some(PATH) && PoolStatus::at(1, text).is_none() {
        found.push(format!(
            "{path} must be like /debug/db-pool, without spaces, # or brackets; it is {text:?}"
        ));
        return;
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (least, most, length) = (bound("minLength"), bound("maxLength"), text.chars().count());
    if least.is_some_and(|least| length < least) || most.is_some_and(|most| length > most) {
        found.push(format!("{path} must have {} characters; it has {length}", between(least, most)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(spec: &Value) -> Vec<String> {
        faults(&json!({"metadata": {"name": "main"}, "spec": spec}))
    }

    #[test]
    fn a_path_that_the_api_server_refuses_is_refused() {
        let of = |path: &str| {
            found(&json!({"limit": {"connections": 15}, "observe": {"pods": {"path": path, "port": 8000}}}))
        };
        assert_eq!(of("/debug/db-pool?all=1"), Vec::<String>::new());
        for path in ["debug/db-pool", "/x y", "/x#y", "/x[]", ""] {
            let told = of(path);
            assert!(
                told.len() == 1 && told[0].starts_with("spec.observe.pods.path must "),
                "{path}: {told:?}"
            );
        }
    }

    #[test]
    fn a_budget_that_says_everything_has_no_fault() {
        let spec = json!({"limit": {"supabase": {"plan": "Free", "connection": "Session"}}, "reserved": 2,
            "mode": "Gate", "sizing": {"basis": "Ladder", "surge": "Full", "overflowRatio": 0},
            "infeasiblePolicy": "Wait", "evictionPolicy": "Forbidden", "defaults": {"connectionsPerProcess": {"min": 1, "max": 8}, "weight": 2},
            "workloads": [{"name": "a", "kind": "Job", "weight": 2, "connectionsPerProcess": {"min": 2, "max": 2}, "maxReplicas": 4},
                {"name": "a"}]});
        assert_eq!(found(&spec), Vec::<String>::new());
    }

    #[test]
    fn a_field_that_is_not_there_is_told_with_those_that_are() {
        assert_eq!(
            found(&json!({"limit": {"connection": 15}})),
            [
                "spec.limit.connection: there is no such field; the fields are: connections, postgres, supabase, verify"
            ]
        );
    }

    #[test]
    fn bounds_types_and_names_are_those_of_the_schema() {
        let cases = [
            (json!({"reserved": 2}), "spec.limit is missing"),
            (
                json!({"limit": {"connections": 0}}),
                "spec.limit.connections must be at least 1 and at most 1000000; it is 0",
            ),
            (
                json!({"limit": {"connections": "15"}}),
                "spec.limit.connections must be of type integer; it is \"15\"",
            ),
            (
                json!({"limit": {"connections": 1.5}}),
                "spec.limit.connections must be of type integer; it is 1.5",
            ),
            (json!({"limit": {}, "mode": "Auto"}), "spec.mode must be one of Observe, Gate; it is \"Auto\""),
            (
                json!({"limit": {}, "workloads": [{"name": ""}]}),
                "spec.workloads[0].name must have at least 1 and at most 253 characters; it has 0",
            ),
            (json!({"limit": {}, "workloads": {}}), "spec.workloads must be of type array; it is {}"),
            (
                json!({"limit": {}, "workloads": [{"name": "a"}, {"name": "a", "kind": "Deployment"}]}),
                "spec.workloads[1]: there is already an entry for Deployment/a",
            ),
            (
                json!({"limit": {}, "workloads": [{"name": "a", "connectionsPerProcess": {"min": 3, "max": 2}}]}),
                "spec.workloads[0].connectionsPerProcess: min must not be larger than max",
            ),
            (
                json!({"limit": {}, "defaults": {"connectionsPerProcess": {"min": 3, "max": 2}}}),
                "spec.defaults.connectionsPerProcess: min must not be larger than max",
            ),
            (
                json!({"limit": {}, "defaults": {"weight": 0}}),
                "spec.defaults.weight must be at least 1 and at most 1000; it is 0",
            ),
            (
                json!({"limit": {}, "workloads": [{"name": "a", "connectionsPerProcess": {"min": 0}}]}),
                "spec.workloads[0].connectionsPerProcess.min must be at least 1 and at most 10000; it is 0",
            ),
        ];
        for (spec, sentence) in cases {
            assert_eq!(found(&spec), [sentence]);
        }
    }

    #[test]
    fn a_name_has_to_fit_into_a_label() {
        let budget = json!({"metadata": {"name": "a".repeat(64)}, "spec": {"limit": {"connections": 1}}});
        assert_eq!(faults(&budget), ["metadata.name must fit into a label value: at most 63 characters"]);
        assert_eq!(faults(&json!({})), ["spec is missing: a budget needs at least spec.limit"]);
    }
}
