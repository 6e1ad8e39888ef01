//! The operator's process handle, tried with kubectl's proxy: a program that serves HTTP with a kubeconfig.

use std::time::Duration;

use serde_json::json;
use testkit::ports::free_port;
use testkit::{Operator, eventually};

use crate::world::{SHARED, SOON};

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
    let operator = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "operator", "namespace": "system"},
        "spec": {
            "selector": {"matchLabels": {"app": "operator"}},
            "template": {
                "metadata": {"labels": {"app": "operator"}},
                "spec": {"serviceAccountName": "robot", "containers": [{"name": "operator", "image": "operator:1"}]},
            },
        },
    });
    cluster.apply(&operator.to_string()).await.unwrap();

    let kubectl = cluster.tools().program("kubectl");
    let mut launch = cluster.launch_of("system", "operator", "operator-0", &kubectl).await.unwrap();
    let port = free_port().unwrap();
    launch.args = vec!["proxy".to_owned(), format!("--port={port}")];
    let launch = launch.env("POOLBUDGET_HTTP_ADDRESS", &format!("127.0.0.1:{port}"));
    let mut proxy = cluster.start_operator(&launch).unwrap();

    let answers = async |path: &str, proxy: &Operator| {
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
