//! The operator's process handle, tried with kubectl's proxy: a program that serves HTTP with a kubeconfig.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use testkit::launch::Identity;
use testkit::ports::free_port;
use testkit::{Launch, eventually};

use crate::world::{SHARED, SOON};

fn chart_deployment(args: &serde_json::Value) -> Deployment {
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    serde_json::from_value(json!({
        "metadata": {"name": "operator", "namespace": "system"},
        "spec": {
            "selector": {"matchLabels": {"app": "operator"}},
            "template": {
                "metadata": {"labels": {"app": "operator"}},
                "spec": {
                    "serviceAccountName": "robot",
                    "containers": [{
                        "name": "operator",
                        "image": "operator:1",
                        "command": ["/operator", "run"],
                        "args": args,
                        "env": [
                            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
                            {"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
                            {"name": "LOG", "value": "info"},
                        ],
                    }],
                },
            },
        },
    }))
    .unwrap()
}

#[test]
fn a_launch_is_what_the_kubelet_would_make_of_the_deployment() {
    let args = json!(["--identity=$(POD_NAMESPACE)/$(POD_NAME)", "--http-address", "0.0.0.0:8080", "--json"]);
    let identity =
        Identity { pod: "operator-0".into(), namespace: "system".into(), service_account: "robot".into() };
    let binary = Path::new("/bin/operator");
    let launch =
        Launch::from_deployment(&chart_deployment(&args), &identity, binary, Path::new("/kubeconfig"))
            .unwrap();
    assert_eq!(["run", "--identity=system/operator-0", "--json"], launch.args.as_slice());
    let env: Vec<_> = launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = [
        "KUBECONFIG=/kubeconfig",
        "LOG=info",
        "POD_NAME=operator-0",
        "POD_NAMESPACE=system",
        "RUST_BACKTRACE=1",
    ];
    assert_eq!(expected, env.as_slice());
}

#[tokio::test]
async fn a_program_runs_with_the_rights_of_the_deployments_account_and_is_killed_and_started_again() {
    let cluster = SHARED.cluster().await.unwrap();
    cluster.create_namespace("system").await.unwrap();
    cluster.kubectl(&["create", "serviceaccount", "robot", "-n", "system"]).await.unwrap();
    let grant = ["--clusterrole=view", "--serviceaccount=system:robot"];
    cluster
        .kubectl(&[&["create", "rolebinding", "view", "-n", "system"], grant.as_slice()].concat())
        .await
        .unwrap();
    cluster.apply(&serde_json::to_string(&chart_deployment(&json!([]))).unwrap()).await.unwrap();

    let kubectl = cluster.tools().program("kubectl");
    let mut launch = cluster.launch_of("system", "operator", "operator-0", &kubectl).await.unwrap();
    let port = free_port().unwrap();
    launch.args = vec!["proxy".to_owned(), format!("--port={port}")];
    let launch = launch.env("POOLBUDGET_HTTP_ADDRESS", &format!("127.0.0.1:{port}"));
    let mut proxy = cluster.start_operator(&launch).unwrap();

    let answers = async |path: &str, proxy: &testkit::Operator| {
        eventually(SOON, &format!("an answer to {path}"), async || {
            proxy.get(path).await.map(|(status, _body)| status).map_err(|error| format!("{error:#}"))
        })
        .await
    };
    assert_eq!(200, answers("/api/v1/namespaces/system/pods", &proxy).await);
    assert_eq!(403, answers("/api/v1/namespaces/default/pods", &proxy).await);
    assert!(proxy.log().unwrap().contains("Starting to serve"));

    proxy.kill().unwrap();
    assert!(!proxy.is_running().unwrap());
    assert!(proxy.get("/version").await.is_err());
    proxy.start_again().unwrap();
    assert_eq!(200, answers("/version", &proxy).await);
    proxy.terminate().unwrap();
    proxy.wait(Duration::from_secs(30)).await.unwrap();
    assert_eq!(2, proxy.log().unwrap().matches("Starting to serve").count());
}
