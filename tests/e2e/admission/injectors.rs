//! Others who change pods, before the gate and after it, and what becomes of the grant.
//!
//! Each injector is a policy of its own that sees the pods with its label alone.

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use serde_json::{Value, json};
use testkit::admission::{Refusal, env_of};
use testkit::{Cluster, eventually};

use super::{BUDGET, GATE, SOON, gates, installed, try_pod};

/// Installs a policy that changes the pods with the label `test: NAME`. In which order the API server asks policies is not
/// stated; it may change whenever one of them does.
async fn inject(cluster: &Cluster, name: &str, unless: &str, operation: &str) {
    let labelled = format!("object.metadata.?labels[?'test'].orValue('') == '{name}' && !({unless})");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
            ]},
            "matchConditions": [{"name": "labelled", "expression": labelled}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!("[{operation}]")}}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name},
    });
    cluster.apply(&format!("{policy}\n---\n{binding}")).await.unwrap();
}

/// Puts a container before all others, once.
async fn inject_container(cluster: &Cluster, name: &str, container: &str) {
    let there = format!("object.spec.containers.exists(c, c.name == '{container}')");
    let operation = format!(
        "JSONPatch{{op: 'add', path: '/spec/containers/0', \
         value: Object.spec.containers{{name: '{container}', image: 'shop/proxy:1'}}}}"
    );
    inject(cluster, name, &there, &operation).await;
}

/// A pod whose app would open 20 + 10 connections.
fn pod(test: &str, annotations: &Value) -> Value {
    json!({
        "metadata": {"name": "tried", "labels": {BUDGET: "main", "test": test}, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "shop/app:1", "env": [
            {"name": "DB_POOL_SIZE", "value": "20"}, {"name": "DB_MAX_OVERFLOW", "value": "10"},
        ]}]},
    })
}

/// What becomes of it once the injector is in force.
async fn born(client: &Client, pod: &Value, injected: &str) -> Pod {
    eventually(SOON, &format!("{injected} is injected"), async || {
        let born = try_pod(client, "default", pod).await.map_err(|refusal| refusal.sentence)?;
        let containers = born.spec.as_ref().unwrap().containers.iter();
        let there = containers.map(|container| &container.name).any(|name| name == injected);
        if there { Ok(born) } else { Err("it is not there".to_owned()) }
    })
    .await
}

/// The refusal that comes once the injector is in force.
async fn refused(client: &Client, pod: &Value) -> Refusal {
    eventually(SOON, "a refusal", async || {
        let passed = |_| "it passes".to_owned();
        try_pod(client, "default", pod).await.map_or_else(Ok, |pod| Err(passed(pod)))
    })
    .await
}

fn bound() -> Vec<&'static str> {
    vec![
        "DB_POOL_SIZE<poolbudget.dev/pool-size",
        "DB_MAX_OVERFLOW<poolbudget.dev/max-overflow",
        "PGAPPNAME<metadata.name",
    ]
}

#[tokio::test]
async fn a_known_proxy_leaves_the_grant_to_the_app_whether_it_comes_before_the_gate_or_after_it() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    for name in ["aa-mesh", "zz-mesh"] {
        inject_container(cluster, name, "istio-proxy").await;
        let born = born(&client, &pod(name, &json!({})), "istio-proxy").await;
        assert_eq!(gates(&born), [GATE], "{name}");
        let env = env_of(&json!(born));
        assert_eq!(env.keys().collect::<Vec<_>>(), ["app"], "{name}");
        assert_eq!(env["app"], bound(), "{name}");
    }
}

#[tokio::test]
async fn a_proxy_that_nobody_knows_has_the_pod_refused_until_the_app_is_named() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    for name in ["aa-unknown", "zz-unknown"] {
        inject_container(cluster, name, "sidecar-of-ours").await;
        let refusal = refused(&client, &pod(name, &json!({}))).await;
        let sentence = "app sets DB_POOL_SIZE or DB_MAX_OVERFLOW, but only sidecar-of-ours is counted; list the \
                        containers that connect in poolbudget.dev/container";
        assert_eq!(refusal, Refusal { code: 422, sentence: sentence.to_owned() }, "{name}");
        let named = pod(name, &json!({"poolbudget.dev/container": "app"}));
        let env = env_of(&json!(born(&client, &named, "sidecar-of-ours").await));
        assert_eq!(env.keys().collect::<Vec<_>>(), ["app"], "{name}");
        assert_eq!(env["app"], bound(), "{name}");
    }
}

#[tokio::test]
async fn an_env_that_somebody_writes_over_after_the_gate_has_the_pod_refused() {
    let cluster = installed().await;
    let client = cluster.client().await.unwrap();
    let operation = "JSONPatch{op: 'add', path: '/spec/containers/0/env', \
                     value: [{'name': 'DB_POOL_SIZE', 'value': '20'}]}";
    inject(cluster, "zz-spoils", "false", operation).await;
    // Asked before the gate it spoils nothing. Whenever a policy changes, the API server orders them anew.
    let tries = std::cell::Cell::new(0);
    let refusal = eventually(SOON, "the spoiler comes last", async || {
        tries.set(tries.get() + 1);
        let Err(refusal) = try_pod(&client, "default", &pod("zz-spoils", &json!({}))).await else {
            let order = format!("test/order={}", tries.get());
            let touch = ["annotate", "mutatingadmissionpolicy", "zz-spoils", "--overwrite", &order];
            cluster.kubectl(&touch).await.map_err(|error| format!("{error:#}"))?;
            return Err("it passes".to_owned());
        };
        Ok(refusal)
    })
    .await;
    let sentence = "the container that opens connections must read its pool size from the grant, as the gate policy sets it: name the container in poolbudget.dev/container, and keep other mutating admission from changing its env; app does not";
    assert_eq!(refusal, Refusal { code: 422, sentence: sentence.to_owned() });
}
