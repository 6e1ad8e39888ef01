//! The rules of admission as cases, and one run of them for whoever answers for a write: the policies and the webhook on a
//! real API server, and the twin of both in Rust.
//!
//! In: a [`Door`]. Out: a panic that tells every case that went wrong. The tables, `tests/admission/*.yaml`, are written by
//! hand: they say what is right, and nothing in them is taken from what ships.
//! A table is one test: each case is a dry run of a few milliseconds. No case depends on what the API server adds to an
//! object (defaults) before it asks.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::large::in_full;
use super::objects::{self, BUDGET_LABEL, GATE, Kind, Workload};

type Texts = BTreeMap<String, String>;

/// Who answers for a write.
pub trait Door {
    /// Whether a refusal tells the known key that is nearest to an unknown one: policies cannot look for it.
    fn tells_nearest(&self) -> bool;
    /// What would become of a new object.
    fn create(&self, object: &Value) -> impl Future<Output = Result<Value, Refusal>>;
    /// What becomes of an object that is created and then changed by a merge patch.
    fn change(&self, object: &Value, change: &Value) -> impl Future<Output = Result<Value, Refusal>>;
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub code: u16,
    /// What the rule says, without what Kubernetes says before it.
    pub sentence: String,
}

/// What the API server's answer says.
pub fn refusal(error: kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => {
            let message = status.message;
            // A policy's refusal, or the webhook's.
            let before = ["denied request: ", "denied the request: "];
            let said = before.iter().find_map(|before| Some(message.rsplit_once(before)?.1));
            let sentence = said.unwrap_or(message.as_str());
            Refusal { code: status.code, sentence: sentence.to_owned() }
        }
        other => panic!("the request did not get through: {other}"),
    }
}

/// Collects what went wrong, so that one failed case does not hide the others.
#[derive(Default)]
pub struct Verdict(Vec<String>);

impl Verdict {
    /// Notes what was found where it is not what is expected.
    pub fn expect<T: Debug + PartialEq>(&mut self, case: &str, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.0.push(format!("{case}: {what}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }

    /// What was accepted; a refusal went wrong.
    fn accepted(&mut self, case: &str, answer: Result<Value, Refusal>) -> Option<Value> {
        answer.map_err(|refusal| self.0.push(format!("{case}: refused: {refusal:?}"))).ok()
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{} failed:\n{}", self.0.len(), self.0.join("\n"));
        }
    }
}

/// The cases of a table.
pub fn table<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let cases: Vec<T> = serde_yaml::from_str(&in_full(text)).expect("a table");
    assert!(!cases.is_empty());
    cases
}

// The gate ------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GateCase {
    name: String,
    given: Value,
    #[serde(default = "our_gate")]
    gates: Vec<String>,
    env: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    annotations: Texts,
}

fn our_gate() -> Vec<String> {
    vec![GATE.to_owned()]
}

/// A labelled pod is born with its gate, and with env that reads its grant; a second pass changes nothing.
pub async fn gate(door: &impl Door) {
    let mut verdict = Verdict::default();
    for case in table::<GateCase>(include_str!("../../admission/gate.yaml")) {
        let mut pod = case.given.clone();
        pod["metadata"]["labels"] = json!({BUDGET_LABEL: "main"});
        for pass in ["", " (a second pass)"] {
            let name = format!("{}{pass}", case.name);
            pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "tried", "namespace": "default",
                    "labels": pod["metadata"]["labels"], "annotations": pod["metadata"]["annotations"]},
                "spec": pod["spec"],
            });
            let Some(born) = verdict.accepted(&name, door.create(&pod).await) else { break };
            verdict.expect(&name, "gates", &gates_of(&born), &case.gates);
            verdict.expect(&name, "env", &env_of(&born), &case.env);
            verdict.expect(&name, "annotations", &texts(&born["metadata"]["annotations"]), &case.annotations);
            pod = born;
        }
    }
}

fn texts(keys: &Value) -> Texts {
    serde_json::from_value::<Option<Texts>>(keys.clone()).expect("texts").unwrap_or_default()
}

/// The scheduling gates of a pod.
pub fn gates_of(pod: &Value) -> Vec<String> {
    let gates = pod["spec"]["schedulingGates"].as_array().into_iter().flatten();
    gates.map(|gate| gate["name"].as_str().expect("a name").to_owned()).collect()
}

/// The env of each container of a pod that has any, in the words of the table.
pub fn env_of(pod: &Value) -> BTreeMap<String, Vec<String>> {
    let containers = ["containers", "initContainers"].map(|kind| pod["spec"][kind].as_array());
    let described = |container: &Value| -> Vec<String> {
        container["env"].as_array().into_iter().flatten().map(describe_entry).collect()
    };
    containers
        .into_iter()
        .flatten()
        .flatten()
        .map(|container| (container["name"].as_str().expect("a name").to_owned(), described(container)))
        .filter(|(_, entries)| !entries.is_empty())
        .collect()
}

fn describe_entry(entry: &Value) -> String {
    let name = entry["name"].as_str().expect("a name");
    let Some(source) = entry["valueFrom"].as_object() else {
        return format!("{name}={}", entry["value"].as_str().unwrap_or_default());
    };
    let path = entry["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap_or_default();
    match path.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']")) {
        Some(annotation) => format!("{name}<{annotation}"),
        None if path == "metadata.name" => format!("{name}<{path}"),
        None => format!("{name} from {}", source.keys().next().expect("a source")),
    }
}

// The mirror ----------------------------------------------------------------------------------------

/// The namespace of the objects that are stored.
pub const MIRROR: &str = "mirror";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MirrorCase {
    name: String,
    #[serde(default)]
    kind: Kind,
    created: Value,
    changed: Option<Value>,
    template: TemplateKeys,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct TemplateKeys {
    labels: Texts,
    annotations: Texts,
}

/// What is set on a workload is set in its template, and goes with it.
pub async fn mirror(door: &impl Door) {
    let mut verdict = Verdict::default();
    for (number, case) in table::<MirrorCase>(include_str!("../../admission/mirror.yaml")).iter().enumerate()
    {
        let name = format!("case-{number}");
        let idle = Workload::of(case.kind, MIRROR, &name).idle();
        let object = with_metadata(&idle, &case.created["metadata"], &case.created["template"]);
        let answer = match &case.changed {
            Some(change) => door.change(&object, change).await,
            None => door.create(&object).await,
        };
        let Some(after) = verdict.accepted(&case.name, answer) else { continue };
        let template = &after.pointer(case.kind.template()).expect("a template")["metadata"];
        let keys = TemplateKeys {
            labels: authors(&template["labels"]),
            annotations: texts(&template["annotations"]),
        };
        verdict.expect(&case.name, "template", &keys, &case.template);
        let selector = |object: &Value| object["spec"]["selector"]["matchLabels"]["app"].clone();
        verdict.expect(&case.name, "selector", &selector(&after), &selector(&object));
    }
}

/// The object with more metadata on itself and on its template; both may be null.
fn with_metadata(workload: &Workload, own: &Value, template: &Value) -> Value {
    let mut object = workload.json();
    json_patch::merge(&mut object, &json!({"metadata": or_empty(own)}));
    let place = object.pointer_mut(workload.kind().template()).expect("a template");
    json_patch::merge(place, &json!({"metadata": or_empty(template)}));
    object
}

fn or_empty(keys: &Value) -> Value {
    if keys.is_null() { json!({}) } else { keys.clone() }
}

/// Labels without those by which selectors and the Job controller tell pods.
fn authors(labels: &Value) -> Texts {
    let by_controllers = |key: &str| key == "app" || key.ends_with("-name") || key.ends_with("-uid");
    texts(labels).into_iter().filter(|(key, _)| !by_controllers(key)).collect()
}

// The check -----------------------------------------------------------------------------------------

/// A label or annotation that may be refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckCase {
    /// What it is about.
    pub name: String,
    /// The name of the budget.
    #[serde(default = "main_budget")]
    pub budget: String,
    #[serde(default)]
    labels: Texts,
    #[serde(default)]
    annotations: Texts,
    #[serde(default)]
    spec: Map<String, Value>,
    refused: Option<String>,
    nearest: Option<String>,
}

fn main_budget() -> String {
    "main".to_owned()
}

impl CheckCase {
    /// Every case.
    pub fn all() -> Vec<Self> {
        table(include_str!("../../admission/check.yaml"))
    }

    /// Its labels and annotations.
    fn keys(&self) -> Value {
        let budget = (BUDGET_LABEL.to_owned(), self.budget.clone());
        let labels: Texts = [budget].into_iter().chain(self.labels.clone()).collect();
        json!({"labels": labels, "annotations": self.annotations})
    }

    fn object(&self, kind: Kind, own: &Value, template: &Value) -> Value {
        let mut object = with_metadata(&Workload::of(kind, "default", "tried").idle(), own, template);
        let place = object.pointer_mut(kind.template()).expect("a template");
        let spec = place["spec"].as_object_mut().expect("a spec");
        let named = |name: &str| json!({"name": name, "image": "shop/app:1"});
        spec.insert("initContainers".to_owned(), json!([named("migrate")]));
        spec.insert("containers".to_owned(), json!([named("app"), named("proxy")]));
        spec.extend(self.spec.clone());
        // The containers of a case have no images, since no rule is about them.
        for containers in ["containers", "initContainers"] {
            let containers = spec.get_mut(containers).and_then(Value::as_array_mut);
            containers.into_iter().flatten().for_each(|container| container["image"] = json!("shop/app:1"));
        }
        object
    }

    /// Objects that have its keys, and where.
    pub fn objects(&self) -> [(&'static str, Value); 4] {
        let (keys, none) = (self.keys(), Value::Null);
        [
            ("on a pod", self.object(Kind::Pod, &keys, &none)),
            ("on a workload", self.object(Kind::Deployment, &keys, &none)),
            ("in a template", self.object(Kind::Deployment, &none, &keys)),
            ("in the template of a CronJob", self.object(Kind::CronJob, &none, &keys)),
        ]
    }

    /// How it is refused, with the nearest known key if that is told; none if it passes.
    pub fn refusal(&self, tells_nearest: bool) -> Option<Refusal> {
        let mut sentence = self.refused.clone()?;
        if let Some(key) = self.nearest.as_ref().filter(|_| tells_nearest) {
            sentence = sentence.replacen(';', &format!(": did you mean {key}?"), 1);
        }
        Some(Refusal { code: 422, sentence })
    }
}

/// A bad label or annotation is refused with a sentence, wherever it stands.
pub async fn check(door: &impl Door) {
    let mut verdict = Verdict::default();
    for case in CheckCase::all() {
        for (place, object) in case.objects() {
            let found = door.create(&object).await.err();
            verdict.expect(&case.name, place, &found, &case.refusal(door.tells_nearest()));
        }
    }
}

/// An idle Deployment with this metadata on itself and on its template; both may be null.
pub fn deployment(namespace: &str, name: &str, own: &Value, template: &Value) -> Value {
    with_metadata(&objects::deployment(namespace, name).idle(), own, template)
}
