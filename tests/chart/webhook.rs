//! What is rendered where the webhook gates pods.

use serde_json::{Value, json};

use crate::render::{Rendered, render, render_for};

const WEBHOOK: &str = r#"admission.mode="webhook""#;
const CERT_MANAGER: &str = "admission.webhook.certManager.enabled=true";

/// The kinds that gate pods.
fn ways(rendered: &Rendered) -> Vec<&str> {
    let kinds = ["MutatingAdmissionPolicy", "MutatingWebhookConfiguration"];
    kinds.into_iter().filter(|kind| rendered.of_kind(kind).count() > 0).collect()
}

#[test]
fn a_cluster_gets_policies_where_it_serves_them_and_the_webhook_elsewhere() {
    for (version, way) in [
        ("1.30.0", "MutatingWebhookConfiguration"),
        ("1.33.13", "MutatingWebhookConfiguration"),
        ("1.35.4-gke.1", "MutatingWebhookConfiguration"),
        ("1.36.0", "MutatingAdmissionPolicy"),
        ("1.36.3-gke.100", "MutatingAdmissionPolicy"),
        ("1.37.1", "MutatingAdmissionPolicy"),
    ] {
        assert_eq!(ways(&render_for(version, &[])), [way], "{version}");
    }
    assert_eq!(ways(&render_for("1.37.1", &[WEBHOOK])), ["MutatingWebhookConfiguration"]);
}

#[test]
fn the_guard_and_the_denial_stay_policies() {
    let names = |settings: &[&str]| -> Vec<Value> {
        let rendered = render(settings);
        rendered
            .of_kind("ValidatingAdmissionPolicy")
            .map(|policy| policy["metadata"]["name"].clone())
            .collect()
    };
    let always = [
        "deny.poolbudget.dev",
        "guard.poolbudget.dev",
        "guard-bindings.poolbudget.dev",
        "guard-status.poolbudget.dev",
        "check-bound.poolbudget.dev",
        "confine-pods.poolbudget.dev",
        "confine-scale.poolbudget.dev",
        "confine-secrets.poolbudget.dev",
    ];
    assert_eq!(names(&[WEBHOOK, r#"failurePolicy="Ignore""#]), always);
    // Where pods are rather refused than born without a gate, this one sees to it.
    assert_eq!(names(&[WEBHOOK]), [&["guard-births.poolbudget.dev"], &always[..]].concat());
}

#[test]
fn the_operator_serves_where_the_service_and_the_network_policy_lead() {
    let rendered = render(&[WEBHOOK]);
    let container = &rendered.only("Deployment")["spec"]["template"]["spec"]["containers"][0];
    let variable = |name: &str| {
        container["env"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["name"] == name)
            .map(|e| e["value"].clone())
    };
    assert_eq!(variable("POOLBUDGET_WEBHOOK_ADDRESS"), Some(json!("0.0.0.0:9443")));
    assert_eq!(variable("POOLBUDGET_WEBHOOK_HOST"), Some(json!("poolbudget-webhook.there.svc")));
    let port = json!({"name": "webhook", "containerPort": 9443, "protocol": "TCP"});
    assert_eq!(container["ports"][1], port);
    let of_webhook = |object: &&Value| object["metadata"]["name"] == "poolbudget-webhook";
    let service = rendered.of_kind("Service").find(of_webhook).unwrap();
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "webhook");
    assert_eq!(service["spec"]["ports"][0]["port"], 443);
    assert_eq!(service["spec"]["selector"]["app.kubernetes.io/component"], "operator");
    let ingress = &rendered.only("NetworkPolicy")["spec"]["ingress"];
    assert_eq!(ingress[1], json!({"ports": [{"port": "webhook", "protocol": "TCP"}]}));
}

#[test]
fn nothing_of_the_webhook_is_there_where_policies_are() {
    let rendered = render(&[]);
    // What confines the operator names the Secret in any case.
    let others = rendered
        .objects()
        .iter()
        .filter(|object| !object["metadata"]["name"].to_string().contains("confine-"));
    assert!(!serde_json::to_string(&others.collect::<Vec<_>>()).unwrap().contains("poolbudget-webhook"));
    assert_eq!(rendered.of_kind("Service").count(), 1);
}

#[test]
fn a_url_is_what_the_certificate_is_for() {
    for (url, host) in
        [("https://10.0.0.7:9443", "10.0.0.7"), ("https://hooks.example.com", "hooks.example.com")]
    {
        let rendered = render(&[WEBHOOK, &format!("admission.webhook.url={url:?}")]);
        let text = serde_json::to_string(rendered.only("Deployment")).unwrap();
        assert!(
            text.contains(&format!(r#"{{"name":"POOLBUDGET_WEBHOOK_HOST","value":"{host}"}}"#)),
            "{text}"
        );
    }
}

#[test]
fn cert_manager_makes_the_certificate_and_tells_api_servers_of_the_authority() {
    let rendered = render(&[WEBHOOK, CERT_MANAGER]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let injected = &rendered.only(kind)["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(*injected, "there/poolbudget-webhook", "{kind}");
    }
    let named = |kind: &str| -> Vec<Value> {
        rendered.of_kind(kind).map(|object| object["metadata"]["name"].clone()).collect()
    };
    assert_eq!(named("Certificate"), ["poolbudget-webhook-authority", "poolbudget-webhook"]);
    assert_eq!(named("Issuer"), ["poolbudget-webhook-root", "poolbudget-webhook"]);
    let certificate = rendered.of_kind("Certificate").nth(1).unwrap();
    assert_eq!(certificate["spec"]["dnsNames"], json!(["poolbudget-webhook.there.svc"]));
    assert_eq!(certificate["spec"]["issuerRef"], json!({"name": "poolbudget-webhook"}));
    let pod = &rendered.only("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"], json!([{"name": "webhook", "secret": {"secretName": "poolbudget-webhook"}}]));
    let mount = json!([{"name": "webhook", "mountPath": "/etc/poolbudget/webhook", "readOnly": true}]);
    assert_eq!(pod["containers"][0]["volumeMounts"], mount);
    let text = pod.to_string();
    assert!(
        text.contains(r#"{"name":"POOLBUDGET_WEBHOOK_CERTIFICATE","value":"/etc/poolbudget/webhook"}"#),
        "{text}"
    );
    assert!(!text.contains("POOLBUDGET_WEBHOOK_HOST"), "{text}");
}

#[test]
fn an_issuer_of_the_cluster_needs_no_authority_of_ours() {
    let issuer = r#"admission.webhook.certManager.issuerRef={"kind":"ClusterIssuer","name":"corporate"}"#;
    let url = r#"admission.webhook.url="https://10.0.0.7:9443""#;
    let rendered = render(&[WEBHOOK, CERT_MANAGER, issuer, url]);
    assert_eq!(rendered.of_kind("Issuer").count(), 0);
    let certificate = rendered.only("Certificate");
    assert_eq!(certificate["spec"]["issuerRef"], json!({"kind": "ClusterIssuer", "name": "corporate"}));
    assert_eq!(certificate["spec"]["ipAddresses"], json!(["10.0.0.7"]));
    assert_eq!(certificate["spec"].get("dnsNames"), None);
}

#[test]
fn the_failure_policy_and_the_namespaces_reach_every_entry() {
    let selector = r#"namespaceSelector={"matchLabels":{"team":"shop"}}"#;
    let rendered = render(&[WEBHOOK, r#"failurePolicy="Ignore""#, selector]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for entry in rendered.only(kind)["webhooks"].as_array().unwrap() {
            assert_eq!(entry["failurePolicy"], "Ignore", "{entry}");
            assert_eq!(entry["namespaceSelector"], json!({"matchLabels": {"team": "shop"}}), "{entry}");
        }
    }
}
