//! RBAC: nothing more than is listed here, and a reason beside each rule.

use std::fs;

use poolbudget::api::WorkloadKind;
use serde_json::{Value, json};

use crate::render::{Rendered, chart, render};

#[test]
fn the_operator_may_do_this_and_nothing_else() {
    let rendered = render(&[]);
    let cluster = json!([
        {"apiGroups": ["poolbudget.dev"], "resources": ["dbconnectionbudgets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["poolbudget.dev"], "resources": ["dbconnectionbudgets/status"], "verbs": ["update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "replicasets", "statefulsets", "daemonsets"],
            "verbs": ["list", "watch"],
        },
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["replicasets/scale"], "verbs": ["patch"]},
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list", "watch"]},
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["list", "watch"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ]);
    assert_eq!(rendered.named("ClusterRole", "poolbudget")["rules"], cluster);
    let own_namespace = json!([
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["poolbudget"],
            "verbs": ["get", "update"],
        },
    ]);
    assert_eq!(rendered.named("Role", "poolbudget")["rules"], own_namespace);
    let of_nodes = rendered.named("Role", "poolbudget-nodes");
    let leases =
        json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list"]}]);
    assert_eq!(
        (&of_nodes["metadata"]["namespace"], &of_nodes["rules"]),
        (&json!("kube-node-lease"), &leases)
    );
}

#[test]
fn every_kind_of_workload_may_be_watched() {
    let rendered = render(&[]);
    let rules = rendered.named("ClusterRole", "poolbudget")["rules"].as_array().unwrap().clone();
    for facts in WorkloadKind::ALL.map(WorkloadKind::facts) {
        let has = |rule: &Value, key: &str, name: &str| rule[key].as_array().unwrap().contains(&json!(name));
        let watched = rules.iter().any(|rule| {
            has(rule, "apiGroups", facts.group)
                && has(rule, "resources", facts.plural)
                && ["list", "watch"].iter().all(|verb| has(rule, "verbs", verb))
        });
        assert!(watched, "{facts:?}");
    }
}

#[test]
fn the_release_job_may_do_this_and_nothing_else() {
    let rendered = render(&[]);
    let cluster = json!([
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingadmissionpolicybindings"],
            "resourceNames": ["gate.poolbudget.dev", "mirror.poolbudget.dev"],
            "verbs": ["delete"],
        },
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["validatingadmissionpolicybindings"],
            "resourceNames": ["guard-births.poolbudget.dev"],
            "verbs": ["delete"],
        },
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": ["poolbudget.dev"],
            "verbs": ["delete"],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]},
    ]);
    assert_eq!(rendered.named("ClusterRole", "poolbudget-release")["rules"], cluster);
    let own_namespace = json!([
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["poolbudget"],
            "verbs": ["get", "update"],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
    ]);
    assert_eq!(rendered.named("Role", "poolbudget-release")["rules"], own_namespace);
}

#[test]
fn with_a_webhook_of_its_own_certificate_it_may_do_this_on_top() {
    let webhook = render(&[r#"admission.mode="webhook""#]);
    let added = |kind: &str| -> Vec<Value> {
        let rules =
            |rendered: &Rendered| rendered.named(kind, "poolbudget")["rules"].as_array().unwrap().clone();
        let before = rules(&render(&[]));
        rules(&webhook).into_iter().filter(|rule| !before.contains(rule)).collect()
    };
    let configurations = json!([{
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        "resourceNames": ["poolbudget.dev"],
        "verbs": ["get", "list", "watch", "patch"],
    }]);
    assert_eq!(json!(added("ClusterRole")), configurations);
    let secret = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["poolbudget-webhook"],
            "verbs": ["get", "list", "watch", "update"],
        },
    ]);
    assert_eq!(json!(added("Role")), secret);
    let elsewhere = render(&[r#"admission.mode="webhook""#, "admission.webhook.certManager.enabled=true"]);
    for kind in ["ClusterRole", "Role"] {
        let rules = |rendered: &Rendered| rendered.named(kind, "poolbudget")["rules"].clone();
        assert_eq!(rules(&elsewhere), rules(&render(&[])), "{kind}");
    }
}

#[test]
fn who_may_view_or_edit_a_namespace_may_do_so_with_its_budgets_but_not_with_their_status() {
    let rendered = render(&[]);
    let reading = json!(["get", "list", "watch"]);
    let writing = json!(["create", "update", "patch", "delete", "deletecollection"]);
    for (role, verbs) in [("view", reading), ("edit", writing)] {
        let object = rendered.named("ClusterRole", &format!("poolbudget-{role}"));
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
        assert_eq!(object["metadata"]["labels"][label], "true");
        let rules = json!([
            {"apiGroups": ["poolbudget.dev"], "resources": ["dbconnectionbudgets"], "verbs": verbs},
        ]);
        assert_eq!(object["rules"], rules);
    }
}

#[test]
fn without_admission_nothing_gates_pods() {
    let rendered = render(&[r#"admission.mode="none""#]);
    for kind in ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration"]
    {
        assert_eq!(rendered.of_kind(kind).count(), 0, "{kind}");
    }
    assert!(guard_of(rendered.objects()).to_string().contains("poolbudget"));
    let births = |rendered: &Rendered| {
        rendered.objects().iter().filter(|o| o["metadata"]["name"] == "guard-births.poolbudget.dev").count()
    };
    assert_eq!((births(&render(&[])), births(&rendered)), (2, 0), "pods without a gate are not refused then");
}

#[test]
fn each_role_is_bound_to_the_account_of_its_name_alone() {
    let rendered = render(&[]);
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in rendered.of_kind(kind) {
            let role = binding["roleRef"]["name"].as_str().unwrap();
            let account = if role == "poolbudget-nodes" { "poolbudget" } else { role };
            let account = json!([{"kind": "ServiceAccount", "name": account, "namespace": "there"}]);
            assert_eq!(binding["subjects"], account, "{kind} of {role}");
        }
    }
    let guard = guard_of(rendered.objects()).to_string();
    for user in
        ["'system:serviceaccount:there:poolbudget'", "'system:serviceaccount:there:poolbudget-release'"]
    {
        assert!(guard.contains(user), "{guard}");
    }
}

fn guard_of(objects: &[Value]) -> &Value {
    let is_guard = |object: &&Value| {
        object["kind"] == "ValidatingAdmissionPolicy" && object["metadata"]["name"] == "guard.poolbudget.dev"
    };
    objects.iter().find(is_guard).unwrap()
}

#[test]
fn what_release_may_delete_is_what_gates_pods() {
    let rendered = render(&[]);
    let webhook = render(&[r#"admission.mode="webhook""#]);
    let configuration = webhook.only("MutatingWebhookConfiguration");
    assert_eq!(configuration["metadata"]["name"], poolbudget::webhook::configuration::NAME);
    let mut names: Vec<&str> = rendered
        .of_kind("MutatingAdmissionPolicyBinding")
        .map(|binding| binding["metadata"]["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, [poolbudget::admission::gate::NAME, poolbudget::admission::mirror::NAME]);
}

#[test]
fn a_reason_stands_beside_each_rule() {
    let read = |file: &str| fs::read_to_string(chart().join("templates").join(file)).unwrap();
    let source = read("rbac.yaml") + &read("release-account.yaml");
    let lines: Vec<&str> = source.lines().collect();
    let rules = lines.iter().enumerate().filter(|(_, line)| line.starts_with("- apiGroups:"));
    let without: Vec<usize> = rules
        .filter(|(number, _)| !lines[number - 1].starts_with("# "))
        .map(|(number, _)| number + 1)
        .collect();
    assert_eq!(without, [0_usize; 0], "lines of rules without a reason");
}
