//! What a pod would run, from the Deployment of the chart.

use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
use testkit::Launch;
use testkit::launch::Identity;

fn chart_deployment(args: &[&str]) -> Deployment {
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
    let args = ["--identity=$(POD_NAMESPACE)/$(POD_NAME)", "--http-address", "0.0.0.0:8080", "--json"];
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
