//! Kubernetes objects in documents, and where in them a workload keeps what concerns a budget.
//!
//! In: documents. Out: objects as JSON, as the API server would take them.

use serde_json::Value;

use super::{Document, Place};
use crate::admission::webhook;
use crate::api::{WorkloadKind, names};

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where it stands.
    pub place: Place,
    /// The object.
    pub value: Value,
}

/// A kind of workload, as far as its manifest is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The kind.
    pub kind: WorkloadKind,
    /// The path of what its pods are made from: an object with metadata and spec.
    pub template: &'static [&'static str],
    /// The path of the number of its pods, where it states one.
    pub replicas: Option<&'static [&'static str]>,
}

const TEMPLATE: &[&str] = &["spec", "template"];
const REPLICAS: &[&str] = &["spec", "replicas"];

impl Workload {
    const fn new(kind: WorkloadKind, replicas: &'static [&'static str]) -> Self {
        Self { kind, template: TEMPLATE, replicas: Some(replicas) }
    }

    /// The workload of this group and kind.
    pub(super) fn of(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            ("apps", "Deployment") => Self::new(WorkloadKind::Deployment, REPLICAS),
            ("apps", "StatefulSet") => Self::new(WorkloadKind::StatefulSet, REPLICAS),
            ("apps", "ReplicaSet") => Self::new(WorkloadKind::ReplicaSet, REPLICAS),
            ("argoproj.io", "Rollout") => Self::new(WorkloadKind::Rollout, REPLICAS),
            // One pod for each node that fits, which only the cluster can count.
            ("apps", "DaemonSet") => {
                Self::new(WorkloadKind::DaemonSet, &["status", "desiredNumberScheduled"])
            }
            ("batch", "Job") => Self::new(WorkloadKind::Job, &["spec", "parallelism"]),
            ("batch", "CronJob") => Self {
                kind: WorkloadKind::CronJob,
                template: &["spec", "jobTemplate", "spec", "template"],
                replicas: Some(&["spec", "jobTemplate", "spec", "parallelism"]),
            },
            ("", "Pod") => Self { kind: WorkloadKind::Pod, template: &[], replicas: None },
            _ => return None,
        })
    }
}

/// The objects of a document; those of a list one by one. None when it holds none, or something else.
///
/// # Errors
/// When the document cannot be parsed, or has the metadata of an object and does not say of what kind.
pub fn objects(document: &Document<'_>) -> Result<Vec<Object>, String> {
    let value = document.value()?;
    let object = Object { place: document.place.clone(), value };
    if object.value.get("metadata").is_some_and(Value::is_object) {
        match (object.api_version(), object.kind()) {
            ("", "") => {}
            ("", kind) => return Err(format!("{}: apiVersion is missing in this {kind}", object.place)),
            (version, "") => {
                return Err(format!("{}: kind is missing in this object of {version}", object.place));
            }
            _ => {}
        }
    }
    if object.kind().is_empty() || object.api_version().is_empty() {
        return Ok(Vec::new());
    }
    let Some(kind) = object.kind().strip_suffix("List").map(ToOwned::to_owned) else {
        return Ok(vec![object]);
    };
    let Some(items) = object.value.get("items").and_then(Value::as_array) else { return Ok(vec![object]) };
    let item = |value: &Value| {
        let mut value = value.clone();
        if let (Some(fields), false) = (value.as_object_mut(), kind.is_empty()) {
            // The items of a typed list need not repeat its type.
            fields.entry("kind").or_insert_with(|| kind.clone().into());
            fields.entry("apiVersion").or_insert_with(|| object.api_version().into());
        }
        Object { place: object.place.clone(), value }
    };
    Ok(items.iter().map(item).collect())
}

/// The objects of a document where they stand: the items of a list, or the one that it is.
pub fn items_mut(document: &mut Value) -> Vec<&mut Value> {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind.ends_with("List") && document.get("items").is_some_and(Value::is_array) {
        let items = document.get_mut("items").and_then(Value::as_array_mut);
        return items.into_iter().flatten().collect();
    }
    vec![document]
}

/// Whether pods for which `rule` holds are described somewhere in a value: an object with a spec with containers.
fn describes_pods(value: &Value, rule: &impl Fn(&Value) -> bool) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if dig(value, &["spec", "containers"]).is_some_and(Value::is_array) && rule(value) {
                    return true;
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    false
}

impl Object {
    fn text(&self, path: &[&str]) -> &str {
        dig(&self.value, path).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its kind; empty when it states none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    pub(super) fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// Its API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// Its name; empty when it states none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// Its namespace; empty when it states none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text(&["metadata", "namespace"])
    }

    /// How it is called among the objects of its namespace.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// How it is called among all objects of the input.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace(), self.name())
    }

    /// What kind of workload it is, if one.
    #[must_use]
    pub fn workload(&self) -> Option<Workload> {
        Workload::of(self.group(), self.kind())
    }

    /// Whether another object made it, which decides over it.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        dig(&self.value, &["metadata", "ownerReferences"]).and_then(|owners| owners.get(0)).is_some()
    }

    /// Why admission would refuse it by what it says of its pods; what stands on it has been copied into its template.
    #[must_use]
    pub fn refusal(&self, workload: Workload) -> Option<String> {
        let path: String = workload.template.iter().flat_map(|part| ["/", part]).collect();
        webhook::refusal(&path, &self.value)
    }

    /// What a workload's pods are made from.
    #[must_use]
    pub fn template(&self, workload: Workload) -> Option<&Value> {
        dig(&self.value, workload.template)
    }

    /// What to say of an object of a kind that is not served, in which pods are described that are to be in a budget: nobody
    /// knows how many of them there will be.
    #[must_use]
    pub fn unserved(&self) -> Option<String> {
        if self.workload().is_some() || self.group() == names::GROUP {
            return None;
        }
        let labelled =
            |meta: Option<&Value>| meta.and_then(|meta| dig(meta, &["labels", names::BUDGET])).is_some();
        let whole = labelled(self.value.get("metadata"));
        describes_pods(&self.value, &|pods| whole || labelled(pods.get("metadata"))).then(|| {
            format!(
                "{}: pods of a budget are made from this {} of {}, a kind of which poolbudget does not know how many pods it \
                 makes: take the label {} off it, or let a kind make them that is served ({})",
                self.key(),
                self.kind(),
                self.api_version(),
                names::BUDGET,
                WorkloadKind::ALL.map(|kind| kind.to_string()).join(", ")
            )
        })
    }

    /// The budget whose label a workload's pods bear.
    #[must_use]
    pub fn budget(&self, workload: Workload) -> Option<&str> {
        dig(self.template(workload)?, &["metadata", "labels", names::BUDGET])?.as_str()
    }

    /// Writes a value at a path below a workload's pod template.
    pub fn set_in_template(&mut self, workload: Workload, path: &[&str], value: Value) {
        self.set(&[workload.template, path].concat(), value);
    }

    /// What stands on a workload counts as if it stood in its pod template: admission copies it there.
    pub fn mirror(&mut self, workload: Workload) {
        let annotations = names::APP_ANNOTATIONS.map(|key| ("annotations", key));
        for (map, key) in [("labels", names::BUDGET)].into_iter().chain(annotations) {
            if let Some(value) = dig(&self.value, &["metadata", map, key]).cloned() {
                self.set_in_template(workload, &["metadata", map, key], value);
            }
        }
    }

    /// Writes a value at a path, with all that lies on the way. What is no object on the way is left alone, so that
    /// whoever reads it can say so.
    pub fn set(&mut self, path: &[&str], value: Value) {
        let Some((last, way)) = path.split_last() else { return };
        let mut at = &mut self.value;
        for key in way {
            let Some(fields) = at.as_object_mut() else { return };
            let next = fields.entry(*key).or_insert_with(|| Value::Object(serde_json::Map::new()));
            if next.is_null() {
                *next = Value::Object(serde_json::Map::new());
            }
            at = next;
        }
        if let Some(fields) = at.as_object_mut() {
            fields.insert((*last).to_owned(), value);
        }
    }
}

fn dig<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::input::{Source, documents};
    use serde_json::json;

    fn keys(text: &str) -> Vec<String> {
        let source = Source { origin: "a.yaml".into(), text: text.into() };
        let objects =
            documents(&source).iter().flat_map(|d| objects(d).expect("objects")).collect::<Vec<_>>();
        objects.iter().map(|object| format!("{}:{}", object.group(), object.key())).collect()
    }

    #[test]
    fn lists_are_taken_apart() {
        let list = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod, metadata: {name: p}}]}";
        assert_eq!(keys(list), [":Pod/p"]);
        let typed = "{apiVersion: apps/v1, kind: DeploymentList, items: [{metadata: {name: d}}]}";
        assert_eq!(keys(typed), ["apps:Deployment/d"]);
        assert_eq!(keys("{apiVersion: v1, kind: List, items: null}"), [":List/"]);
    }

    #[test]
    fn what_is_no_object_is_none() {
        assert_eq!(keys("5\n---\na: b\n---\n[1]\n---\nkind: Pod\n---\n"), Vec::<String>::new());
    }

    #[test]
    fn writing_makes_what_lies_on_the_way() {
        let place = Place { origin: String::new(), number: 1, line: 1 };
        let mut object = Object { place, value: json!({"metadata": null, "spec": 5}) };
        object.set(&["metadata", "labels", "a"], "b".into());
        object.set(&["spec", "replicas"], 3.into());
        assert_eq!(object.value, json!({"metadata": {"labels": {"a": "b"}}, "spec": 5}));
    }
}
