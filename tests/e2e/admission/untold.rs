//! What the tables cannot say: objects without containers, names without an end, and the operator's own pods.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::admission::{Refusal, Verdict, deployment, refusal};
use testkit::install::{RELEASE, SYSTEM};

use super::{BEFORE, BUDGET, by_policies_and_by_the_webhook, installed, pod_with, try_pod};
use crate::world::until_ready;

by_policies_and_by_the_webhook! {
    what_cannot_be_looked_at_is_refused_with_a_sentence_and_not_with_the_text_of_a_policy,
    the_pods_of_the_chart_are_born_where_the_restricted_standard_is_enforced,
}

/// The namespace of the operator enforces it in every test.
async fn the_pods_of_the_chart_are_born_where_the_restricted_standard_is_enforced(cluster: &Cluster) {
    let client = cluster.client().await.unwrap();
    until_ready(&client, SYSTEM, RELEASE, 2).await;
    let refused = try_pod(&client, SYSTEM, &pod_with(&json!({}))).await.unwrap_err();
    assert!(refused.sentence.contains("restricted"), "{}", refused.sentence);
}

async fn what_cannot_be_looked_at_is_refused_with_a_sentence_and_not_with_the_text_of_a_policy(
    cluster: &Cluster,
) {
    let client = cluster.client().await.unwrap();
    let mut verdict = Verdict::default();
    let named = json!({"poolbudget.dev/container": "app"});
    let several = json!({"poolbudget.dev/container": "a,b,c,d", "poolbudget.dev/processes": "a=1,b=2"});
    for annotations in [&json!({}), &named, &several] {
        for spec in
            [json!({}), json!({"containers": null}), json!({"containers": [], "initContainers": null})]
        {
            let case = format!("{annotations} {spec}");
            let keys = json!({"labels": {BUDGET: "main"}, "annotations": annotations});
            let mut pod = json!({"metadata": keys, "spec": spec});
            pod["metadata"]["name"] = json!("tried");
            let found = ask(&client, "/api/v1/namespaces/default/pods", &pod).await;
            verdict.expect(&case, &format!("of a pod: {found:?}"), &of_the_api_server(&found), &true);
            let mut object = deployment("default", "tried", &Value::Null, &keys);
            object["spec"]["template"]["spec"] = spec.clone();
            let found = ask(&client, "/apis/apps/v1/namespaces/default/deployments", &object).await;
            verdict.expect(&case, &format!("of a workload: {found:?}"), &of_the_api_server(&found), &true);
        }
    }
    let long = json!({"kubectl.kubernetes.io/default-container": "a".repeat(250_000)});
    let found = try_pod(&client, "default", &pod_with(&long)).await.unwrap_err();
    let told = "; kubectl.kubernetes.io/default-container has 250000";
    assert!(found.sentence.ends_with(told), "{}", found.sentence);
    let env = json!([{"name": "DB_POOL_SIZE", "value": "5"}]);
    let deep = json!({
        "metadata": {"name": "tried", "labels": {BUDGET: "main"}},
        "spec": {"containers": [{"name": "a".repeat(500_000), "image": "i", "env": env}]},
    });
    let found = ask(&client, "/api/v1/namespaces/default/pods", &deep).await.map_err(|mut refusal| {
        refusal.sentence.truncate(300);
        refusal
    });
    verdict.expect("a name of half a mebibyte", &format!("{found:?}"), &of_the_api_server(&found), &true);
}

/// What is too much to look at, from before the policies: many env entries, and many keys that nobody knows.
pub(super) async fn make_large_from_before(client: &Client) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), BEFORE);
    let governed = json!({"labels": {BUDGET: "main"}});
    let env: Vec<Value> = (0..1200).map(|n| json!({"name": format!("A{n}"), "value": "b"})).collect();
    let mut crowded = deployment(BEFORE, "crowded", &governed, &governed);
    crowded["spec"]["template"]["spec"]["containers"][0]["env"] = json!(env);
    let mut noted = deployment(BEFORE, "noted", &governed, &governed);
    let keys = (0..3000).map(|n| (format!("poolbudget.dev/unknown-{n}"), json!("x")));
    noted["metadata"]["annotations"] = keys.collect::<serde_json::Map<_, _>>().into();
    for object in [crowded, noted] {
        deployments.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_too_much_to_look_at_before_may_change_and_not_grow() {
    let cluster = installed().await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().await.unwrap(), BEFORE);
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let container = |change: Value| json!({"spec": {"template": {"spec": {"containers": [change]}}}});
    let image = container(json!({"name": "app", "image": "shop/app:2"}));
    let one_more = json!({"metadata": {"annotations": {"poolbudget.dev/one-more": "x"}}});
    let mut verdict = Verdict::default();
    for (what, name, change, refused) in [
        ("replicas", "crowded", json!({"spec": {"replicas": 3}}), None),
        ("an image", "crowded", image.clone(), None),
        (
            "an annotation of another",
            "crowded",
            json!({"metadata": {"annotations": {"example.com/x": "y"}}}),
            None,
        ),
        ("replicas", "noted", json!({"spec": {"replicas": 3}}), None),
        ("an image", "noted", image, None),
        ("one more key", "noted", one_more, Some("unknown label or annotation poolbudget.dev/one-more;")),
    ] {
        let answer = deployments.patch(name, &dry_run, &Patch::Strategic(&change)).await;
        let found = answer.err().map(refusal);
        let as_told = match (&found, refused) {
            (Some(refusal), Some(told)) => refusal.code == 422 && refusal.sentence.starts_with(told),
            (found, refused) => found.is_none() && refused.is_none(),
        };
        verdict.expect(name, &format!("{what}: {found:?}"), &as_told, &true);
    }
}

/// Whether it is refused as invalid, by nobody's policy.
fn of_the_api_server(found: &Result<(), Refusal>) -> bool {
    let words = ["denied", "expression", "evaluat", "admission"];
    let by_policy = |refusal: &Refusal| words.iter().any(|word| refusal.sentence.contains(word));
    matches!(found, Err(refusal) if refusal.code == 422 && !by_policy(refusal))
}

/// A dry run of an object as it is: the client's own types leave out what is null.
async fn ask(client: &Client, path: &str, object: &Value) -> Result<(), Refusal> {
    let mut object = object.clone();
    let (version, kind) = if path.ends_with("/pods") { ("v1", "Pod") } else { ("apps/v1", "Deployment") };
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    let request =
        http::Request::post(format!("{path}?dryRun=All")).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes()).unwrap();
    client.request_text(request).await.map(|_| ()).map_err(refusal)
}
