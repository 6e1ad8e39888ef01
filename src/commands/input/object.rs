//! Kubernetes objects in documents, and the places in them where a workload states what concerns a budget.
//!
//! In: documents. Out: objects as JSON, as the API server would accept them.

use serde_json::Value;

use super::{Document, Place, list};
use crate::admission::request;
use crate::api::kinds::Facts;
use crate::api::{WorkloadKind, names};

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its place in the input.
    pub place: Place,
    /// The object.
    pub value: Value,
}

/// A kind of workload, as its manifest shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The kind.
    pub kind: WorkloadKind,
    /// The path of what its pods are made from: an object with metadata and spec.
    pub template: &'static [&'static str],
    /// The path of the number of its pods, if it states one.
    pub replicas: Option<&'static [&'static str]>,
}

/// The path of what a CronJob makes its Jobs from.
const JOB: &str = "/spec/jobTemplate";

impl Workload {
    /// The workload of this group and kind.
    pub(super) fn of(group: &str, kind: &str) -> Option<Self> {
        let kind = WorkloadKind::in_group(group, kind)?;
        let Facts { template, replicas, .. } = kind.facts();
        Some(Self { kind, template, replicas })
    }
}

/// The objects of a document; those of a list one by one. None if it holds no objects.
///
/// # Errors
/// When the document cannot be parsed, or has the metadata of an object but no kind.
pub fn objects(document: &Document<'_>) -> Result<Vec<Object>, String> {
    let mut value = document.value()?;
    let is_list = text(&value, &["kind"]).ends_with("List");
    let (mut found, mut untyped) = (Vec::new(), None);
    list::each_item(&mut value, &mut |item| {
        let object = Object { place: document.place.clone(), value: item.clone() };
        if object.value.get("metadata").is_some_and(Value::is_object) {
            untyped = untyped.take().or_else(|| object.untyped(is_list));
        }
        if !object.kind().is_empty() && !object.api_version().is_empty() {
            found.push(object);
        }
    })
    .map_err(|why| format!("{}: {why}", document.place))?;
    untyped.map_or(Ok(found), |why| Err(format!("{}: {why}", document.place)))
}

/// Whether a value describes pods for which `rule` holds, at any depth: an object with a spec with containers.
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

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    dig(value, path).and_then(Value::as_str).unwrap_or_default()
}

impl Object {
    fn text(&self, path: &[&str]) -> &str {
        text(&self.value, path)
    }

    /// Which part of its type is missing. Besides lists, many values have metadata and are no objects.
    fn untyped(&self, is_in_list: bool) -> Option<String> {
        match (self.api_version(), self.kind()) {
            ("", "") if is_in_list => {
                Some("apiVersion and kind are missing in an item of this list".to_owned())
            }
            ("", "") => None,
            ("", kind) => Some(format!("apiVersion is missing in this {kind}")),
            (version, "") => Some(format!("kind is missing in this object of {version}")),
            _ => None,
        }
    }

    /// Its kind; empty if it states none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// Its apiVersion; empty if it states none.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// Its API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// Its name; empty if it states none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// Its namespace; empty if it states none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text(&["metadata", "namespace"])
    }

    /// Its identity among the objects of its namespace.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// Its identity among all objects of the input.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace(), self.name())
    }

    /// Which kind of workload it is, if any.
    #[must_use]
    pub fn workload(&self) -> Option<Workload> {
        Workload::of(self.group(), self.kind())
    }

    /// Whether another object made it and so decides over it.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        dig(&self.value, &["metadata", "ownerReferences"]).and_then(|owners| owners.get(0)).is_some()
    }

    /// The object that made it, as `KIND/NAME`.
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        let owner = dig(&self.value, &["metadata", "ownerReferences"])?.get(0)?;
        Some(format!("{}/{}", text(owner, &["kind"]), text(owner, &["name"])))
    }

    /// Why admission would refuse it for what it states about its pods, after its labels and annotations were copied
    /// into its template.
    #[must_use]
    pub fn refusal(&self, workload: Workload) -> Option<String> {
        let path = |template: &[&str]| template.iter().flat_map(|part| ["/", part]).collect::<String>();
        let own = request::refusal(&path(workload.template), &self.value);
        // A CronJob makes Jobs, and admission checks those too.
        own.or_else(|| request::refusal(&path(WorkloadKind::Job.facts().template), self.job()?))
    }

    /// The Job that a CronJob makes.
    fn job(&self) -> Option<&Value> {
        self.value.pointer(JOB).filter(|_| self.workload().is_some_and(|w| w.kind == WorkloadKind::CronJob))
    }

    /// What admission copies into its template, in admission's order: its own labels and annotations, and what its
    /// CronJob writes on each Job.
    fn mirrored(&self) -> impl Iterator<Item = &Value> {
        [Some(&self.value), self.job()].into_iter().flatten().filter_map(|maker| maker.get("metadata"))
    }

    /// Whether it has the label that says which budget its pods belong to, whatever the value.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        let labelled = |meta: &Value| dig(meta, &["labels", names::BUDGET]).is_some();
        let template = self.workload().and_then(|workload| self.template(workload)?.get("metadata"));
        self.mirrored().chain(template).any(labelled)
    }

    /// A label of ours that counts only on pods, in a place from which nothing copies it.
    pub(super) fn idle_label(&self) -> Option<String> {
        let workload = self.workload().filter(|workload| !workload.template.is_empty())?;
        let has = |meta: &Value| dig(meta, &["labels", names::WORKLOAD]).is_some();
        let counts = self.template(workload).and_then(|template| template.get("metadata")).is_some_and(has);
        (!counts && self.mirrored().any(has)).then(|| {
            format!(
                "the label {} only has an effect in the pod template, at {}.metadata.labels: write it there",
                names::WORKLOAD,
                workload.template.join(".")
            )
        })
    }

    /// What a workload's pods are made from.
    #[must_use]
    pub fn template(&self, workload: Workload) -> Option<&Value> {
        dig(&self.value, workload.template)
    }

    /// What to report about an object of an unserved kind that describes pods of a budget: nobody knows how many pods
    /// there will be.
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
                "{}: this {} of {} creates pods of a budget, but poolbudget does not know how many pods that kind creates: remove \
                 the label {}, or use a supported kind ({})",
                self.key(),
                self.kind(),
                self.api_version(),
                names::BUDGET,
                WorkloadKind::ALL.map(|kind| kind.to_string()).join(", ")
            )
        })
    }

    /// The budget whose label a workload's pods have.
    #[must_use]
    pub fn budget(&self, workload: Workload) -> Option<&str> {
        dig(self.template(workload)?, &["metadata", "labels", names::BUDGET])?.as_str()
    }

    /// Writes a value at a path below a workload's pod template.
    pub fn set_in_template(&mut self, workload: Workload, path: &[&str], value: Value) {
        self.set(&[workload.template, path].concat(), value);
    }

    /// Labels and annotations on a workload count as if they were in its pod template: admission copies them there.
    /// Jobs of a CronJob are admitted too, with what `jobTemplate.metadata` gives them, so that comes before what the
    /// CronJob says.
    pub fn mirror(&mut self, workload: Workload) {
        let makers: Vec<Value> = self.mirrored().cloned().collect();
        for metadata in makers {
            let copy = |map, key| Some((map, key, dig(&metadata, &[map, key])?.clone()));
            if let Some((map, key, label)) = copy("labels", names::BUDGET) {
                self.set_in_template(workload, &["metadata", map, key], label);
            }
            let governed = self.template(workload).map(|template| template.pointer("/metadata/labels"));
            if governed.flatten().and_then(|labels| labels.get(names::BUDGET)).is_none() {
                continue;
            }
            for (map, key, note) in
                names::APP_ANNOTATIONS.into_iter().filter_map(|key| copy("annotations", key))
            {
                self.set_in_template(workload, &["metadata", map, key], note);
            }
        }
    }

    /// Writes a value into the Job that a CronJob makes; other objects stay as they are.
    pub fn set_in_job(&mut self, path: &[&str], value: &str) {
        if self.job().is_some() {
            self.set(&[&["spec", "jobTemplate"], path].concat(), value.into());
        }
    }

    /// Writes a value at a path and creates what is missing on the way. If something on the way is not an object, it
    /// stays as it is, so that its reader can report it.
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
