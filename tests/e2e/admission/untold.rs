//! What the tables cannot say: objects without containers, names without an end, and the operator's own pods.

use kube::Client;
use serde_json::{Value, json};

use super::tables::{Verdict, deployment};
use super::{BUDGET, Refusal, by_policies_and_by_the_webhook, pod_with, refusal, try_pod};
use crate::support::Cluster;
use crate::support::install::{RELEASE, SYSTEM};
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
            let mut object = deployment("tried", &Value::Null, &keys);
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
