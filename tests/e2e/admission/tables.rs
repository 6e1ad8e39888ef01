//! Every case of `tests/admission/*.yaml`.
//!
//! A table is one test: each case is a dry run of a few milliseconds, and all that fail are told by name.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetStatus, WorkloadKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::large::in_full;

use super::{
    BUDGET, GATE, Refusal, by_policies_and_by_the_webhook, gates, installed, operator, refusal,
    try_deployment, try_pod,
};

by_policies_and_by_the_webhook! {
    a_labelled_pod_is_born_with_its_gate_and_with_env_that_reads_its_grant,
    what_is_set_on_a_workload_is_set_in_its_template_and_goes_with_it,
    a_bad_label_or_annotation_is_refused_with_a_sentence_wherever_it_stands,
    a_misspelt_label_is_refused_on_what_no_label_governs_once_and_where_it_is_written,
}

type Annotations = BTreeMap<String, String>;

/// Collects what went wrong, so that one failed case does not hide the others.
#[derive(Default)]
pub(super) struct Verdict(Vec<String>);

impl Verdict {
    pub(super) fn expect<T: Debug + PartialEq>(&mut self, case: &str, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.0.push(format!("{case}: {what}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{} failed:\n{}", self.0.len(), self.0.join("\n"));
        }
    }
}

pub(super) fn table<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let cases: Vec<T> = serde_yaml::from_str(&in_full(text)).unwrap();
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
    annotations: Annotations,
}

fn our_gate() -> Vec<String> {
    vec![GATE.to_owned()]
}

async fn a_labelled_pod_is_born_with_its_gate_and_with_env_that_reads_its_grant(cluster: &Cluster) {
    let client = cluster.client().await.unwrap();
    let mut verdict = Verdict::default();
    for case in table::<GateCase>(include_str!("../../admission/gate.yaml")) {
        let mut pod = case.given.clone();
        pod["metadata"]["name"] = json!("tried");
        pod["metadata"]["labels"] = json!({BUDGET: "main"});
        let once = match try_pod(&client, "default", &pod).await {
            Ok(once) => once,
            Err(refusal) => {
                verdict.0.push(format!("{}: refused: {}", case.name, refusal.sentence));
                continue;
            }
        };
        compare_pod(&mut verdict, &case.name, &case, &once);
        let twice = try_pod(&client, "default", &sent_again(&once)).await.unwrap();
        compare_pod(&mut verdict, &format!("{} (a second pass)", case.name), &case, &twice);
    }
}

fn compare_pod(verdict: &mut Verdict, name: &str, case: &GateCase, pod: &Pod) {
    verdict.expect(name, "gates", &gates(pod), &case.gates);
    verdict.expect(name, "env", &env_of(pod), &case.env);
    let annotations = pod.metadata.annotations.clone().unwrap_or_default();
    verdict.expect(name, "annotations", &annotations, &case.annotations);
}

fn sent_again(pod: &Pod) -> Value {
    json!({
        "metadata": {
            "name": "tried",
            "labels": pod.metadata.labels,
            "annotations": pod.metadata.annotations,
        },
        "spec": pod.spec,
    })
}

pub(super) fn env_of(pod: &Pod) -> BTreeMap<String, Vec<String>> {
    let spec = pod.spec.as_ref().unwrap();
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let described = |container: &Container| -> Vec<String> {
        container.env.iter().flatten().map(describe_entry).collect()
    };
    containers
        .map(|container| (container.name.clone(), described(container)))
        .filter(|(_, entries)| !entries.is_empty())
        .collect()
}

fn describe_entry(entry: &EnvVar) -> String {
    let Some(source) = &entry.value_from else {
        return format!("{}={}", entry.name, entry.value.clone().unwrap_or_default());
    };
    let path = source.field_ref.as_ref().map(|field| field.field_path.as_str()).unwrap_or_default();
    let annotation = path.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']"));
    match annotation {
        Some(annotation) => format!("{}<{annotation}", entry.name),
        None => {
            let kind = serde_json::to_value(source).unwrap().as_object().unwrap().keys().next().cloned();
            format!("{} from {}", entry.name, kind.unwrap_or_default())
        }
    }
}

// The mirror ----------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MirrorCase {
    name: String,
    #[serde(default)]
    kind: WorkloadKind,
    created: Value,
    changed: Option<Value>,
    template: TemplateKeys,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct TemplateKeys {
    labels: BTreeMap<String, String>,
    annotations: Annotations,
}

async fn what_is_set_on_a_workload_is_set_in_its_template_and_goes_with_it(cluster: &Cluster) {
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("mirror").await.unwrap();
    let mut verdict = Verdict::default();
    for (number, case) in table::<MirrorCase>(include_str!("../../admission/mirror.yaml")).iter().enumerate()
    {
        let name = format!("case-{number}");
        let object = workload(case.kind, &name, &case.created["metadata"], &case.created["template"]);
        let workloads = api_of(&client, case.kind);
        let object = serde_json::from_value(object).unwrap();
        let mut after = workloads.create(&PostParams::default(), &object).await.unwrap();
        if let Some(change) = &case.changed {
            let patch = Patch::Merge(change);
            after = workloads.patch(&name, &PatchParams::default(), &patch).await.unwrap();
        }
        let after = serde_json::to_value(after).unwrap();
        verdict.expect(&case.name, "template", &template_keys(case.kind, &after), &case.template);
        if case.kind.group() == "apps" {
            let selector = &after["spec"]["selector"]["matchLabels"];
            verdict.expect(&case.name, "selector", selector, &json!({"app": name}));
        }
    }
}

fn api_of(client: &Client, kind: WorkloadKind) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk(kind.group(), "v1", &kind.to_string());
    Api::namespaced_with(client.clone(), "mirror", &ApiResource::from_gvk(&gvk))
}

fn template_keys(kind: WorkloadKind, workload: &Value) -> TemplateKeys {
    let job = if kind == WorkloadKind::CronJob { &workload["spec"]["jobTemplate"] } else { workload };
    let metadata = &job["spec"]["template"]["metadata"];
    let texts = |map: &str| -> BTreeMap<String, String> {
        let texts = metadata.get(map).cloned().unwrap_or_else(|| json!({}));
        let texts: BTreeMap<String, String> = serde_json::from_value(texts).unwrap();
        // What the Job controller tells its pods by.
        texts
            .into_iter()
            .filter(|(key, _)| key != "app" && !key.ends_with("-name") && !key.ends_with("-uid"))
            .collect()
    };
    TemplateKeys { labels: texts("labels"), annotations: texts("annotations") }
}

/// A workload that makes no pods; both metadata may be null.
fn workload(kind: WorkloadKind, name: &str, metadata: &Value, template: &Value) -> Value {
    let mut object = deployment(name, metadata, template);
    object["apiVersion"] = json!(format!("{}/v1", kind.group()));
    object["kind"] = json!(kind);
    let spec = &mut object["spec"];
    match kind {
        WorkloadKind::DaemonSet => {
            spec["template"]["spec"]["nodeSelector"] = json!({"nobody": "here"});
            spec.as_object_mut().unwrap().remove("replicas");
        }
        WorkloadKind::Job | WorkloadKind::CronJob => {
            spec["template"]["spec"]["restartPolicy"] = json!("Never");
            let job = json!({"suspend": true, "template": spec["template"]});
            *spec = if kind == WorkloadKind::Job {
                job
            } else {
                json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": job}})
            };
        }
        _ => {}
    }
    object
}

/// A Deployment without replicas; both metadata may be null.
pub(super) fn deployment(name: &str, metadata: &Value, template: &Value) -> Value {
    let mut metadata = if metadata.is_null() { json!({}) } else { metadata.clone() };
    metadata["name"] = json!(name);
    let mut template = if template.is_null() { json!({}) } else { template.clone() };
    template["labels"]["app"] = json!(name);
    json!({
        "metadata": metadata,
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": template, "spec": two_containers()},
        },
    })
}

/// The containers of a case have no images, since no rule is about them.
fn named_images(mut spec: serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    for containers in ["containers", "initContainers"] {
        let containers = spec.get_mut(containers).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(|container| container["image"] = json!("shop/app:1"));
    }
    spec
}

fn two_containers() -> Value {
    json!({
        "initContainers": [{"name": "migrate", "image": "shop/app:1"}],
        "containers": [{"name": "app", "image": "shop/app:1"}, {"name": "proxy", "image": "shop/app:1"}],
    })
}

// The guard -----------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardCase {
    name: String,
    on: String,
    patch: Value,
    #[serde(default)]
    through: Through,
    refused: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Through {
    #[default]
    Pods,
    Status,
}

/// What the operator may do is said in the table of the confinement.
#[tokio::test]
async fn nobody_but_the_operator_touches_what_the_ledger_reads() {
    let cluster = installed().await;
    cluster.create_namespace("guard").await.unwrap();
    let administrator = cluster.client().await.unwrap();
    let operator = operator(cluster).await;
    make_guarded_pods(&administrator, &operator, "guard").await;
    let mut verdict = Verdict::default();
    for case in table::<GuardCase>(include_str!("../../admission/guard.yaml")) {
        let expected = case.refused.clone().map(|sentence| Refusal { code: 403, sentence });
        let found = try_patch(&administrator, &case).await.err();
        verdict.expect(&case.name, "by an administrator", &found, &expected);
    }
}

#[tokio::test]
async fn nobody_but_the_operator_writes_the_status_of_a_budget() {
    let cluster = installed().await;
    cluster.create_namespace("status").await.unwrap();
    let spec = json!({"limit": {"connections": 10}, "reserved": 0});
    cluster.apply(&testkit::objects::budget("status", "main", &spec)).await.unwrap();
    let quarantine = json!({"status": {"ledger": {"quarantine": []}}});
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let of = |client: Client| Api::<DbConnectionBudget>::namespaced(client, "status");
    let administrator = of(cluster.client().await.unwrap());
    let found =
        administrator.patch_status("main", &params, &Patch::Merge(&quarantine)).await.map_err(refusal);
    let sentence = "only poolbudget may write the status of a budget; to stop counting a pod that is gone, name it in the annotation poolbudget.dev/forget";
    assert_eq!(found.unwrap_err(), Refusal { code: 403, sentence: sentence.to_owned() });
    // The spec is its users', and the operator writes what it has to.
    let annotated = json!({"metadata": {"annotations": {"poolbudget.dev/forget": "api-1"}}});
    administrator.patch("main", &params, &Patch::Merge(&annotated)).await.unwrap();
    let mut budget = administrator.get("main").await.unwrap();
    budget.status = Some(DbConnectionBudgetStatus::default());
    let params = PostParams { dry_run: true, ..PostParams::default() };
    of(operator(cluster).await).replace_status("main", &params, &budget).await.unwrap();
}

/// No scheduler looks after them, so that they stay as they are.
pub(super) async fn make_guarded_pods(administrator: &Client, operator: &Client, namespace: &str) {
    let pods: Api<Pod> = Api::namespaced(administrator.clone(), namespace);
    for (name, labels) in [
        ("gated", json!({BUDGET: "main", "app": "x"})),
        ("granted", json!({BUDGET: "main", "app": "x"})),
        ("free", json!({"app": "x"})),
    ] {
        let pod = json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": {"poolbudget.dev/processes": "2"},
            },
            "spec": {
                "schedulerName": "nobody",
                "schedulingGates": if name == "gated" { json!([{"name": "example.com/other"}]) } else { json!([]) },
                "containers": [{"name": "app", "image": "shop/app:1"}],
            },
        });
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }
    let grant = json!([
        {"op": "remove", "path": "/spec/schedulingGates"},
        {"op": "add", "path": "/metadata/annotations/poolbudget.dev~1pool-size", "value": "1"},
        {"op": "add", "path": "/metadata/annotations/poolbudget.dev~1max-overflow", "value": "1"},
        {"op": "add", "path": "/metadata/annotations/poolbudget.dev~1connections", "value": "4"},
    ]);
    let grant = Patch::<()>::Json(serde_json::from_value(grant).unwrap());
    let pods: Api<Pod> = Api::namespaced(operator.clone(), namespace);
    pods.patch("granted", &PatchParams::default(), &grant).await.unwrap();
}

async fn try_patch(client: &Client, case: &GuardCase) -> Result<(), Refusal> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "guard");
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = Patch::<()>::Json(serde_json::from_value(case.patch.clone()).unwrap());
    let answer = match case.through {
        Through::Pods => pods.patch(&case.on, &params, &patch).await,
        Through::Status => pods.patch_status(&case.on, &params, &patch).await,
    };
    answer.map(|_| ()).map_err(refusal)
}

// The check -----------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckCase {
    name: String,
    #[serde(default = "main_budget")]
    budget: String,
    #[serde(default)]
    labels: Annotations,
    #[serde(default)]
    annotations: Annotations,
    #[serde(default)]
    spec: serde_json::Map<String, Value>,
    refused: Option<String>,
    nearest: Option<String>,
}

/// A refusal without what only the webhook can add to it.
fn without_nearest(refusal: &Refusal, nearest: Option<&String>) -> Refusal {
    let Some(key) = nearest else { return refusal.clone() };
    let sentence = refusal.sentence.replacen(&format!(": did you mean {key}?"), ";", 1);
    Refusal { sentence, code: refusal.code }
}

fn main_budget() -> String {
    "main".to_owned()
}

async fn a_bad_label_or_annotation_is_refused_with_a_sentence_wherever_it_stands(cluster: &Cluster) {
    let client = cluster.client().await.unwrap();
    let mut verdict = Verdict::default();
    for case in table::<CheckCase>(include_str!("../../admission/check.yaml")) {
        let expected = case.refused.clone().map(|sentence| Refusal { code: 422, sentence });
        let mut keys = json!({"labels": {BUDGET: case.budget}, "annotations": case.annotations});
        for (key, value) in &case.labels {
            keys["labels"][key] = json!(value);
        }
        let told = |refusal: Refusal| without_nearest(&refusal, case.nearest.as_ref());
        let mut metadata = keys.clone();
        metadata["name"] = json!("tried");
        let mut spec = two_containers();
        spec.as_object_mut().unwrap().extend(named_images(case.spec.clone()));
        let pod = json!({"metadata": metadata, "spec": spec.clone()});
        let found = try_pod(&client, "default", &pod).await.err().map(told);
        verdict.expect(&case.name, "on a pod", &found, &expected);
        for (place, mut object) in [
            ("on a workload", deployment("tried", &keys, &Value::Null)),
            ("in a template", deployment("tried", &Value::Null, &keys)),
        ] {
            object["spec"]["template"]["spec"] = spec.clone();
            let found = try_deployment(&client, "default", &object).await.err().map(told);
            verdict.expect(&case.name, place, &found, &expected);
        }
    }
}

async fn a_misspelt_label_is_refused_on_what_no_label_governs_once_and_where_it_is_written(
    cluster: &Cluster,
) {
    let client = cluster.client().await.unwrap();
    let misspelt = json!({"labels": {"poolbudget.dev/budgets": "main"}});
    let mut verdict = Verdict::default();
    for (place, own, template) in
        [("itself", &misspelt, &Value::Null), ("its template", &Value::Null, &misspelt)]
    {
        let mut object = deployment("misspelt", own, template);
        let found = try_deployment(&client, "default", &object).await.err().map(|refusal| refusal.sentence);
        let told = found
            .is_some_and(|sentence| sentence.contains("unknown label or annotation poolbudget.dev/budgets"));
        verdict.expect(place, "is told", &told, &true);
        // A controller's object says what its own maker said.
        object["metadata"]["ownerReferences"] = json!([{"apiVersion": "example.com/v1", "kind": "App", "name": "a",
            "uid": "00000000-0000-0000-0000-000000000000", "controller": true}]);
        let found = try_deployment(&client, "default", &object).await.err();
        verdict.expect(place, "of a controller's object", &found, &None);
    }
    let noted = json!({"annotations": {"poolbudget.dev/owner": "us"}});
    let found = try_deployment(&client, "default", &deployment("noted", &noted, &noted)).await.err();
    verdict.expect("an annotation", "on what no label governs", &found, &None);
    let found = try_pod(
        &client,
        "default",
        &json!({"metadata": {"name": "p", "labels": {"poolbudget.dev/budgets": "main"}},
        "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]}}),
    )
    .await
    .err();
    verdict.expect("a pod", "is asked about by its label alone", &found, &None);
}
