//! What the gate writes into the containers of a pod, in Rust: the twin of the policy in `gate`.
//!
//! In: a pod as JSON. Out: the env of each container that is bound, and the literals that it replaced. Pure: it decides
//! nothing about gates and annotations but says what they are to hold. Entries of others pass as they came, with fields
//! that nobody here knows. `tests/admission/gate.yaml` holds for both twins.

use serde_json::{Value, json};

use crate::api::names;
use crate::profile::Gets;
use crate::profile::stated::{Entry, Notes, Stated};

/// What becomes of the containers of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// The whole env of each container that is bound, by its JSON pointer (`/spec/containers/0/env`).
    pub env: Vec<(String, Vec<Value>)>,
    /// The value of the annotation [`names::REPLACED_ENV`]; none where no literal was replaced, and what stands there
    /// stays.
    pub replaced: Option<String>,
}

/// Binds the containers of a pod to its grant. Nothing is bound where the check has something to refuse, nor in a pod
/// that is born on a node.
#[must_use]
pub fn bind(pod: &Value) -> Bound {
    let notes = notes(pod);
    let stated = stated(&notes, pod);
    let entries = stated.entries();
    let named = stated.containers();
    let on_node = pod.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty());
    if on_node || entries.is_empty() || named.len() > names::MAX_CONTAINERS {
        return Bound::default();
    }
    let mut bound = Bound::default();
    let mut replaced = Vec::new();
    for field in ["containers", "initContainers"] {
        for (place, container) in containers(pod, field).iter().enumerate() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            if !named.contains(&name) {
                continue;
            }
            let env = container.get("env").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
            let prefix = if named.len() > 1 { format!("{name}/") } else { String::new() };
            replaced.extend(entries.iter().filter_map(|entry| member(entry, env, &prefix)));
            bound.env.push((format!("/spec/{field}/{place}/env"), bound_env(&stated, &entries, env)));
        }
    }
    bound.replaced = (!replaced.is_empty()).then(|| format!("{{{}}}", replaced.join(",")));
    bound
}

/// What a pod, or a pod template, states.
#[must_use]
pub fn stated<'a>(notes: &'a Notes, pod: &'a Value) -> Stated<'a> {
    let names_of = |field| {
        let containers = containers(pod, field).iter();
        containers
            .map(|container| container.get("name").and_then(Value::as_str).unwrap_or_default())
            .collect()
    };
    let label = pod.pointer("/metadata/labels").and_then(|labels| labels.get(names::BUDGET));
    Stated {
        budget: label.and_then(Value::as_str).unwrap_or_default(),
        notes,
        regular: names_of("containers"),
        init: names_of("initContainers"),
    }
}

/// The annotations of a pod, or of a pod template.
#[must_use]
pub fn notes(pod: &Value) -> Notes {
    let notes = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    notes.into_iter().flatten().filter_map(text).collect()
}

fn containers<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    let containers = pod.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_array);
    containers.map_or(&[], Vec::as_slice)
}

fn is_named(entry: &Value, name: &str) -> bool {
    entry.get("name").and_then(Value::as_str) == Some(name)
}

/// The entries stand first, so that `$(DB_POOL_SIZE)` in a later entry still resolves.
fn bound_env(stated: &Stated<'_>, entries: &[Entry<'_>], env: &[Value]) -> Vec<Value> {
    let grant = entries.iter().map(|Entry { name, gets }| match gets {
        Gets::PoolSize => reads(name, names::POOL_SIZE),
        Gets::MaxOverflow => reads(name, names::MAX_OVERFLOW),
        Gets::Text(text) => json!({"name": name, "value": text}),
    });
    let companions = stated.companions().into_iter();
    let missing = companions.filter(|(name, _)| !env.iter().any(|entry| is_named(entry, name)));
    let beside = missing.map(|(name, value)| json!({"name": name, "value": value}));
    let others = env.iter().filter(|entry| !entries.iter().any(|ours| is_named(entry, ours.name)));
    grant.chain(beside).chain(others.cloned()).collect()
}

fn reads(name: &str, annotation: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.annotations['{annotation}']")}}})
}

/// The literal that an entry takes the place of, as a member of a JSON object. Of entries with the same name the last
/// counts, as it does for the kubelet. What stands there already was not replaced.
fn member(entry: &Entry<'_>, env: &[Value], prefix: &str) -> Option<String> {
    let last = env.iter().rfind(|theirs| is_named(theirs, entry.name))?;
    let value = last.get("value").and_then(Value::as_str)?;
    let stands = matches!(entry.gets, Gets::Text(text) if text == value);
    (!stands && is_remembered(value)).then(|| {
        let escaped = value.replace('\\', r"\\").replace('"', "\\\"");
        format!("\"{prefix}{}\":\"{escaped}\"", entry.name)
    })
}

/// Printable and short enough for an annotation, as `gate::REMEMBERED_VALUE` says it.
fn is_remembered(value: &str) -> bool {
    (1..=128).contains(&value.chars().count()) && !value.chars().any(|c| c <= '\u{1f}' || c == '\u{7f}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct GateCase {
        name: String,
        given: Value,
        env: BTreeMap<String, Vec<String>>,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }

    /// The pod as the gate would leave it, as far as this is about it.
    fn gated(mut pod: Value) -> Value {
        let bound = bind(&pod);
        for (pointer, env) in bound.env {
            let (container, _) = pointer.rsplit_once('/').unwrap();
            pod.pointer_mut(container).unwrap()["env"] = env.into();
        }
        if let Some(replaced) = bound.replaced {
            pod["metadata"]["annotations"][names::REPLACED_ENV] = replaced.into();
        }
        pod
    }

    fn env_of(pod: &Value) -> BTreeMap<String, Vec<String>> {
        let all = ["containers", "initContainers"].iter().flat_map(|field| containers(pod, field));
        let described = |container: &Value| -> Vec<String> {
            container["env"].as_array().into_iter().flatten().map(describe).collect()
        };
        all.map(|container| (container["name"].as_str().unwrap().to_owned(), described(container)))
            .filter(|(_, entries)| !entries.is_empty())
            .collect()
    }

    fn describe(entry: &Value) -> String {
        let name = entry["name"].as_str().unwrap();
        let Some(source) = entry["valueFrom"].as_object() else {
            return format!("{name}={}", entry["value"].as_str().unwrap_or_default());
        };
        let path = entry.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str).unwrap_or_default();
        match path.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']")) {
            Some(annotation) => format!("{name}<{annotation}"),
            None => format!("{name} from {}", source.keys().next().unwrap()),
        }
    }

    #[test]
    fn it_binds_what_the_table_of_the_gate_says_and_a_second_pass_changes_nothing() {
        let cases: Vec<GateCase> =
            serde_yaml::from_str(include_str!("../../tests/admission/gate.yaml")).unwrap();
        for case in cases {
            let once = gated(case.given);
            assert_eq!(env_of(&once), case.env, "{}", case.name);
            let replaced = notes(&once).get(names::REPLACED_ENV).cloned();
            assert_eq!(replaced.as_ref(), case.annotations.get(names::REPLACED_ENV), "{}", case.name);
            assert_eq!(gated(once.clone()), once, "{}", case.name);
        }
    }

    #[derive(Deserialize)]
    struct CheckCase {
        name: String,
        #[serde(default = "main_budget")]
        budget: String,
        #[serde(default)]
        annotations: BTreeMap<String, String>,
        refused: Option<String>,
    }

    fn main_budget() -> String {
        "main".to_owned()
    }

    #[test]
    fn its_rules_refuse_what_the_table_of_the_check_says_in_the_same_words() {
        let cases: Vec<CheckCase> =
            serde_yaml::from_str(include_str!("../../tests/admission/check.yaml")).unwrap();
        for case in cases {
            let pod = json!({
                "metadata": {"labels": {names::BUDGET: case.budget}, "annotations": case.annotations},
                "spec": {
                    "initContainers": [{"name": "migrate"}],
                    "containers": [{"name": "app"}, {"name": "proxy"}],
                },
            });
            assert_eq!(stated(&notes(&pod), &pod).fault(), case.refused, "{}", case.name);
        }
    }
}
