//! Every case of `tests/admission/*.yaml`: those of the gate, the mirror and the check as `testkit` runs them, and those
//! of the guard, which has no twin.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetStatus};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::admission::{self, Door, MIRROR, Refusal, Verdict, deployment, refusal, table};
use testkit::objects;
use testkit::{Cluster, Version};

use super::{BUDGET, by_policies_and_by_the_webhook, dry_run, installed, operator, try_deployment, try_pod};

by_policies_and_by_the_webhook! {
    a_labelled_pod_is_born_with_its_gate_and_with_env_that_reads_its_grant,
    what_is_set_on_a_workload_is_set_in_its_template_and_goes_with_it,
    a_bad_label_or_annotation_is_refused_with_a_sentence_wherever_it_stands,
    a_misspelt_label_is_refused_on_what_no_label_governs_once_and_where_it_is_written,
}

/// A real API server.
struct Real {
    client: Client,
    /// Whether the webhook is asked, and no policy.
    asks: bool,
}

impl Real {
    async fn of(cluster: &Cluster) -> Self {
        Self { client: cluster.client().await.unwrap(), asks: cluster.tools().version() == Version::Older }
    }

    fn typed(&self, object: &Value) -> (Api<DynamicObject>, DynamicObject) {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let kind = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
        let namespace = object.metadata.namespace.as_ref().unwrap();
        (Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk(&kind)), object)
    }
}

impl Door for Real {
    fn tells_nearest(&self) -> bool {
        self.asks
    }

    async fn create(&self, object: &Value) -> Result<Value, Refusal> {
        let (objects, object) = self.typed(object);
        objects.create(&dry_run(), &object).await.map(|object| json!(object)).map_err(refusal)
    }

    async fn change(&self, object: &Value, change: &Value) -> Result<Value, Refusal> {
        let (objects, object) = self.typed(object);
        objects.create(&PostParams::default(), &object).await.map_err(refusal)?;
        let name = object.metadata.name.as_ref().unwrap();
        let changed = objects.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
        changed.map(|object| json!(object)).map_err(refusal)
    }
}

async fn a_labelled_pod_is_born_with_its_gate_and_with_env_that_reads_its_grant(cluster: &Cluster) {
    admission::gate(&Real::of(cluster).await).await;
}

async fn what_is_set_on_a_workload_is_set_in_its_template_and_goes_with_it(cluster: &Cluster) {
    cluster.create_namespace(MIRROR).await.unwrap();
    admission::mirror(&Real::of(cluster).await).await;
}

async fn a_bad_label_or_annotation_is_refused_with_a_sentence_wherever_it_stands(cluster: &Cluster) {
    admission::check(&Real::of(cluster).await).await;
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
        let mut object = deployment("default", "misspelt", own, template);
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
    let found =
        try_deployment(&client, "default", &deployment("default", "noted", &noted, &noted)).await.err();
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
    for name in ["gated", "granted", "free"] {
        let mut pod = objects::pod(namespace, name).annotation("poolbudget.dev/processes", "2");
        if name != "free" {
            pod = pod.label(BUDGET, "main");
        }
        if name == "gated" {
            pod = pod.gate("example.com/other");
        }
        let pod = pod.pod_spec("schedulerName", "nobody").json();
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
