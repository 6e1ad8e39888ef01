//! Pod templates that one object takes from another: an Argo Rollout with `workloadRef`.
//!
//! In: all objects of the input. Out: for an object, who takes its template, and what those state about their pods that
//! would have to be in it. A cluster does not copy that, so the reader of a loan must report it.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Object, Workload};
use crate::api::{WorkloadKind, names};

/// The object that lends its template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lender {
    namespace: String,
    group: String,
    kind: String,
    name: String,
}

impl Lender {
    /// The object in a namespace that a reference names.
    #[must_use]
    pub fn named(namespace: &str, reference: &Value) -> Self {
        let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let api_version = text("apiVersion");
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        Self { namespace: namespace.to_owned(), group, kind: text("kind"), name: text("name") }
    }

    /// Its identity among the objects of its namespace.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Where to look for it if it is not in the input; `how` says what to do then.
    #[must_use]
    pub fn missing(&self, how: &str) -> String {
        let key = self.key();
        if template_of(&self.group, &self.kind).is_none() {
            return format!(
                "takes its pod template from {key}, but only a Deployment, a ReplicaSet or a PodTemplate can provide one"
            );
        }
        format!("takes its pod template from {key}, which is not in the input: {how}")
    }
}

/// A workload that takes the template of another object.
#[derive(Clone, Debug)]
pub struct Borrower {
    /// Its identity among the objects of its namespace.
    pub key: String,
    /// The label and annotations on it, each as its map, key and value.
    stated: Vec<(&'static str, &'static str, Value)>,
}

impl Borrower {
    /// Whether a template states everything that it states.
    #[must_use]
    pub fn agrees(&self, template: &Value) -> bool {
        self.stated.iter().all(|(map, key, value)| noted(template, map, key) == Some(value))
    }
}

/// All loans of the input.
#[derive(Debug, Default)]
pub struct Loans {
    borrowers: HashMap<Lender, Vec<Borrower>>,
    /// The objects of the input that could lend their template.
    lenders: HashSet<Lender>,
}

impl Loans {
    /// Finds them.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut loans = Self::default();
        for object in objects {
            if let Some(lender) = object.borrows() {
                let borrower = Borrower { key: object.key(), stated: stated(object) };
                loans.borrowers.entry(lender).or_default().push(borrower);
            }
            if object.lends().is_some() {
                loans.lenders.insert(object.as_lender());
            }
        }
        loans
    }

    /// Whether an object of the input can lend what is taken from this one.
    #[must_use]
    pub fn has(&self, lender: &Lender) -> bool {
        self.lenders.contains(lender)
    }

    /// The workloads that take the template of an object.
    #[must_use]
    pub fn of_lender(&self, lender: &Lender) -> &[Borrower] {
        self.borrowers.get(lender).map_or(&[], Vec::as_slice)
    }

    /// Writes into the template of an object what its borrowers state and it does not.
    pub fn fill(&self, object: &mut Object, workload: Workload) {
        for borrower in self.of_lender(&object.as_lender()) {
            for (map, key, value) in &borrower.stated {
                if object.template(workload).and_then(|template| noted(template, map, key)).is_none() {
                    object.set_in_template(workload, &["metadata", map, key], value.clone());
                }
            }
        }
    }
}

/// The labels and annotations of an object that admission would copy into the object's own template.
fn stated(object: &Object) -> Vec<(&'static str, &'static str, Value)> {
    let annotations = names::APP_ANNOTATIONS.into_iter().map(|key| ("annotations", key));
    let keys = [("labels", names::BUDGET)].into_iter().chain(annotations);
    keys.filter_map(|(map, key)| Some((map, key, noted(&object.value, map, key)?.clone()))).collect()
}

fn noted<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(map)?.get(key)
}

fn template_of(group: &str, kind: &str) -> Option<Workload> {
    match (group, kind) {
        ("apps", "Deployment" | "ReplicaSet") => Workload::of(group, kind),
        // It makes no pods itself, so it is no workload: only the path of its template counts.
        ("", "PodTemplate") => {
            Some(Workload { kind: WorkloadKind::Pod, template: &["template"], replicas: None })
        }
        _ => None,
    }
}

impl Object {
    /// The object whose template it takes.
    #[must_use]
    pub fn borrows(&self) -> Option<Lender> {
        if self.workload()?.kind != WorkloadKind::Rollout {
            return None;
        }
        let reference = self.value.pointer("/spec/workloadRef").filter(|reference| !reference.is_null())?;
        Some(Lender::named(self.namespace(), reference))
    }

    /// The path of its template, if its kind can lend it.
    #[must_use]
    pub fn lends(&self) -> Option<Workload> {
        template_of(self.group(), self.kind())
    }

    /// The words by which others refer to it as their lender.
    #[must_use]
    pub fn as_lender(&self) -> Lender {
        Lender {
            namespace: self.namespace().to_owned(),
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            name: self.name().to_owned(),
        }
    }

    /// Takes the template, and what that alone states about its pods, as its controller does.
    pub fn take_template(&mut self, template: Value) {
        for (map, key, _) in stated(self) {
            if let Some(notes) =
                self.value.pointer_mut(&format!("/metadata/{map}")).and_then(Value::as_object_mut)
            {
                notes.remove(key);
            }
        }
        self.set(&["spec", "template"], template);
        if let Some(spec) = self.value.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("workloadRef");
        }
    }
}
