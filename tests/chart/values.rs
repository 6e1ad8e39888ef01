//! What each value does, and what is refused.

use serde_json::{Value, json};

use crate::render::{IMAGE, chart, helm, render, template, template_as_it_is};

#[test]
fn the_chart_lints() {
    let chart = chart();
    let said = helm(&[&["lint", "--strict", chart.to_str().unwrap()], &IMAGE[..]].concat());
    assert!(said.is_ok(), "{said:?}");
}

#[test]
fn every_object_bears_the_labels_of_the_release() {
    for object in render(&[]).objects() {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "poolbudget", "{object}");
        assert_eq!(labels["app.kubernetes.io/instance"], "test", "{object}");
    }
}

#[test]
fn nothing_of_the_chart_is_governed_by_a_budget() {
    assert!(!template(&[]).unwrap().contains("poolbudget.dev/budget:"));
}

#[test]
fn the_operator_is_told_who_and_where_it_is() {
    let rendered = render(&[]);
    let container = &rendered.only("Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["run", "--lease-name=poolbudget"]));
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    assert_eq!(
        container["env"],
        json!([
            {"name": "POOLBUDGET_LOG", "value": "info"},
            {"name": "POOLBUDGET_LOG_FORMAT", "value": "text"},
            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
            {"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
            {"name": "POOLBUDGET_HTTP_ADDRESS", "value": "0.0.0.0:8080"},
        ])
    );
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "http"}), "{probe}");
    }
    assert_eq!(container["ports"], json!([{"name": "http", "containerPort": 8080, "protocol": "TCP"}]));
}

#[test]
fn every_pod_meets_the_restricted_standard() {
    for pod in render(&[]).pod_specs() {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
        for key in ["hostNetwork", "hostPID", "hostIPC", "volumes"] {
            assert_eq!(pod[key], Value::Null, "{key}");
        }
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    }
}

#[test]
fn the_release_job_runs_before_the_uninstall_as_an_account_of_its_own() {
    let rendered = render(&[]);
    let job = rendered.only("Job");
    let hook = json!({
        "helm.sh/hook": "pre-delete",
        "helm.sh/hook-weight": "0",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    });
    assert_eq!(job["metadata"]["annotations"], hook);
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["args"], json!(["release", "--lease-name=poolbudget"]));
    assert_eq!(pod["serviceAccountName"], "poolbudget-release");
    // It has to be there before the hook and after: hooks are made and deleted one by one.
    let account = rendered.named("ServiceAccount", "poolbudget-release");
    assert_eq!(account["metadata"].get("annotations"), None);
}

#[test]
fn selectors_tell_the_operator_from_the_release_job() {
    let rendered = render(&[]);
    let component = |kind: &str, pointer: &str| rendered.only(kind).pointer(pointer).cloned();
    let key = "app.kubernetes.io~1component";
    assert_eq!(component("Service", &format!("/spec/selector/{key}")), Some(json!("operator")));
    let pointer = format!("/spec/selector/matchLabels/{key}");
    assert_eq!(component("PodDisruptionBudget", &pointer), Some(json!("operator")));
    assert_eq!(component("Deployment", &pointer), Some(json!("operator")));
    let pointer = format!("/spec/template/metadata/labels/{key}");
    assert_eq!(component("Job", &pointer), Some(json!("release")));
}

#[test]
fn values_of_pods_reach_the_operator_and_the_release_job() {
    for (name, setting, pointer, expected) in [
        ("image", r#"image={"repository":"r/p","tag":"t"}"#, "/containers/0/image", json!("r/p:t")),
        ("tag of the app", r#"image.repository="r/p""#, "/containers/0/image", json!("r/p:0.1.0")),
        ("pull policy", r#"image.pullPolicy="Always""#, "/containers/0/imagePullPolicy", json!("Always")),
        ("pull secrets", r#"imagePullSecrets=[{"name":"s"}]"#, "/imagePullSecrets", json!([{"name": "s"}])),
        (
            "resources",
            r#"resources={"limits":{"memory":"1Gi"}}"#,
            "/containers/0/resources/limits/memory",
            json!("1Gi"),
        ),
        ("node selector", r#"nodeSelector={"a":"b"}"#, "/nodeSelector", json!({"a": "b"})),
        ("tolerations", r#"tolerations=[{"key":"k"}]"#, "/tolerations", json!([{"key": "k"}])),
        ("affinity", r#"affinity={"podAffinity":{}}"#, "/affinity", json!({"podAffinity": {}})),
        ("priority", r#"priorityClassName="high""#, "/priorityClassName", json!("high")),
        ("log level", r#"logLevel="debug""#, "/containers/0/env/0/value", json!("debug")),
        ("log format", r#"logFormat="json""#, "/containers/0/env/1/value", json!("json")),
    ] {
        for pod in render(&[setting]).pod_specs() {
            assert_eq!(pod.pointer(pointer), Some(&expected), "{name}");
        }
    }
}

#[test]
fn what_is_not_set_is_not_rendered() {
    for pod in render(&[]).pod_specs() {
        for key in ["imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName"] {
            assert_eq!(pod.get(key), None, "{key}");
        }
    }
}

#[test]
fn replicas_are_two_unless_said_otherwise() {
    assert_eq!(render(&[]).only("Deployment")["spec"]["replicas"], 2);
    assert_eq!(render(&["replicas=3"]).only("Deployment")["spec"]["replicas"], 3);
}

#[test]
fn the_accounts_take_annotations() {
    let rendered = render(&[r#"serviceAccount.annotations={"a":"b"}"#]);
    assert_eq!(rendered.of_kind("ServiceAccount").count(), 2);
    for account in rendered.of_kind("ServiceAccount") {
        assert_eq!(account["metadata"]["annotations"], json!({"a": "b"}));
    }
}

#[test]
fn the_failure_policy_and_the_namespaces_reach_every_policy() {
    let selector = r#"namespaceSelector={"matchLabels":{"team":"shop"}}"#;
    let rendered = render(&[r#"failurePolicy="Ignore""#, selector]);
    for (policy, binding, count) in [
        ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", 2),
        ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", 7),
    ] {
        let chosen = |kind| rendered.of_kind(kind).filter(|object| !confines(object));
        assert_eq!(chosen(policy).count(), count);
        assert_eq!(chosen(binding).count(), count);
        assert!(chosen(policy).all(|object| object["spec"]["failurePolicy"] == "Ignore"));
        let scope = json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}});
        assert!(chosen(binding).all(|object| object["spec"]["matchResources"] == scope));
    }
}

/// Whether it is about the operator itself.
fn confines(object: &Value) -> bool {
    object["metadata"]["name"].as_str().unwrap().starts_with("confine-")
}

#[test]
fn the_operator_is_confined_wherever_it_is_and_whatever_is_chosen_for_others() {
    let selector = r#"namespaceSelector={"matchLabels":{"team":"shop"}}"#;
    for mode in ["policy", "webhook", "none"] {
        let mode = format!(r#"admission.mode="{mode}""#);
        let rendered = render(&[&mode, r#"failurePolicy="Ignore""#, selector]);
        let of = |kind| rendered.of_kind(kind).filter(|object| confines(object));
        assert_eq!(of("ValidatingAdmissionPolicy").count(), 3, "{mode}");
        assert_eq!(of("ValidatingAdmissionPolicyBinding").count(), 3, "{mode}");
        for policy in of("ValidatingAdmissionPolicy") {
            assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{policy}");
            let about = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
            let accounts = "in ['system:serviceaccount:there:poolbudget', 'system:serviceaccount:there:poolbudget-release']";
            assert!(about.contains(accounts), "{about}");
        }
        for binding in of("ValidatingAdmissionPolicyBinding") {
            assert_eq!(binding["spec"]["matchResources"], Value::Null, "{binding}");
        }
    }
}

#[test]
fn the_disruption_budget_and_the_network_policy_can_be_left_out() {
    for (kind, setting) in [
        ("PodDisruptionBudget", "podDisruptionBudget.enabled=false"),
        ("NetworkPolicy", "networkPolicy.enabled=false"),
    ] {
        assert_eq!(render(&[]).of_kind(kind).count(), 1, "{kind}");
        assert_eq!(render(&[setting]).of_kind(kind).count(), 0, "{kind}");
    }
}

#[test]
fn the_network_policy_opens_the_ports_of_the_api_server() {
    let rendered = render(&["networkPolicy.apiServerPorts=[8443]"]);
    let egress = &rendered.only("NetworkPolicy")["spec"]["egress"];
    assert_eq!(egress[0], json!({"ports": [{"port": 8443, "protocol": "TCP"}]}));
}

#[test]
fn the_operator_reaches_the_ports_at_which_pods_answer_in_the_networks_of_the_pods() {
    let ports = "networkPolicy.poolStatusPorts=[8000,9187]";
    let egress = |settings: &[&str]| render(settings).only("NetworkPolicy")["spec"]["egress"].clone();
    assert_eq!(egress(&[]).as_array().map(Vec::len), Some(3));
    let open = json!([{"port": 8000, "protocol": "TCP"}, {"port": 9187, "protocol": "TCP"}]);
    assert_eq!(egress(&[ports])[1], json!({"ports": open}));
    let networks = r#"observe.podNetworks=["10.244.0.0/16","fd00::/48"]"#;
    let to = json!([{"ipBlock": {"cidr": "10.244.0.0/16"}}, {"ipBlock": {"cidr": "fd00::/48"}}]);
    assert_eq!(egress(&[ports, networks])[1], json!({"ports": open, "to": to}));
    let rendered = render(&[networks]);
    let env = &rendered.only("Deployment")["spec"]["template"]["spec"]["containers"][0]["env"];
    let of = env.as_array().expect("env").iter().find(|one| one["name"] == "POOLBUDGET_POD_NETWORKS");
    assert_eq!(of.expect("the networks")["value"], "10.244.0.0/16,fd00::/48");
}

#[test]
fn the_operator_reaches_the_ports_of_databases_and_is_told_their_networks() {
    let egress = |settings: &[&str]| render(settings).only("NetworkPolicy")["spec"]["egress"].clone();
    let port = |port: u16| json!({"port": port, "protocol": "TCP"});
    assert_eq!(egress(&[])[1], json!({"ports": [port(443), port(5432), port(6432), port(6543)]}));
    assert_eq!(egress(&["networkPolicy.databasePorts=[]"]).as_array().map(Vec::len), Some(2));
    let rendered = render(&[r#"observe.databaseNetworks=["10.0.0.0/8"]"#]);
    let env = &rendered.only("Deployment")["spec"]["template"]["spec"]["containers"][0]["env"];
    let of = env.as_array().expect("env").iter().find(|one| one["name"] == "POOLBUDGET_DATABASE_NETWORKS");
    assert_eq!(of.expect("the networks")["value"], "10.0.0.0/8");
}

#[test]
fn bad_values_are_refused_by_name() {
    for (setting, named) in [
        ("replicas=-1", "replicas"),
        (r#"replicas="two""#, "replicas"),
        (r#"failurePolicy="Maybe""#, "failurePolicy"),
        (r#"logFormat="xml""#, "logFormat"),
        (r#"logLevel="""#, "logLevel"),
        (r#"image.pullPolicy="Sometimes""#, "pullPolicy"),
        (r#"namespaceSelector={"team":"shop"}"#, "namespaceSelector"),
        ("networkPolicy.apiServerPorts=[]", "apiServerPorts"),
        ("networkPolicy.poolStatusPorts=[0]", "poolStatusPorts"),
        (r#"observe.podNetworks=["10.244.0.0"]"#, "podNetworks"),
        ("networkPolicy.databasePorts=[0]", "databasePorts"),
        (r#"observe.databaseNetworks=["db.example.com"]"#, "databaseNetworks"),
        (r#"admission.mode="both""#, "mode"),
        (r#"admission.webhook.url="http://10.0.0.7""#, "url"),
        (r#"admission.webhook.url="https://10.0.0.7/hook""#, "url"),
        ("admission.webhook.port=1", "port"),
        ("replicaCount=3", "replicaCount"),
        ("image.digest=1", "digest"),
        ("podDisruptionBudget.minAvailable=1", "minAvailable"),
    ] {
        let refused = template(&["--set-json", setting]).unwrap_err();
        assert!(refused.contains(named), "{setting}: {refused}");
    }
}

#[test]
fn no_image_is_taken_that_nobody_has_named() {
    for flags in [&[][..], &["--set", "image.repository="], &["--set", "image.tag=0.1.0"]] {
        let refused = template_as_it_is(flags).unwrap_err();
        for part in [
            "image.repository is not set",
            "make image IMAGE=registry.example.com/poolbudget:0.1.0",
            "--set image.repository=registry.example.com/poolbudget",
        ] {
            assert!(refused.contains(part), "{flags:?}: {refused}");
        }
    }
}

#[test]
fn clusters_that_cannot_hold_pods_back_are_refused() {
    let refused = template(&["--kube-version", "1.29.14"]).unwrap_err();
    assert!(refused.contains("needs Kubernetes 1.30 or newer"), "{refused}");
    assert!(refused.contains("this cluster is v1.29.14"), "{refused}");
    let policies = ["--kube-version", "1.35.4", "--set", "admission.mode=policy"];
    let refused = template(&policies).unwrap_err();
    assert!(refused.contains("Set admission.mode to webhook, or leave it at auto."), "{refused}");
    let served = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";
    assert!(template(&[&policies[..], &["--api-versions", served]].concat()).is_ok());
}

#[test]
fn the_notes_say_what_to_do_next() {
    let chart = chart();
    let flags = ["install", "test", chart.to_str().unwrap(), "--namespace", "there", "--dry-run=client"];
    let flags = [&flags[..], &IMAGE].concat();
    let notes = helm(&flags).unwrap();
    assert!(notes.contains("kubectl label -n shop deployment api poolbudget.dev/budget=main"), "{notes}");
    assert!(
        notes.contains("kubectl label namespace there pod-security.kubernetes.io/enforce=restricted"),
        "{notes}"
    );
    assert!(!notes.contains("nobody takes over"), "{notes}");
    let mut alone = flags.clone();
    alone.extend(["--set", "replicas=1,failurePolicy=Ignore"]);
    let notes = helm(&alone).unwrap();
    assert!(notes.contains("nobody takes over"), "{notes}");
    assert!(notes.contains("failurePolicy is Ignore"), "{notes}");
}
