//! The page: off, on loopback, and who may ask what for it.

use serde_json::{Value, json};

use crate::render::{Rendered, render, template};

fn env(rendered: &Rendered, name: &str) -> Option<Value> {
    let container = &rendered.only("Deployment")["spec"]["template"]["spec"]["containers"][0];
    let env = container["env"].as_array().unwrap();
    env.iter().find(|entry| entry["name"] == name).map(|entry| entry["value"].clone())
}

fn roles(rendered: &Rendered) -> usize {
    rendered.of_kind("Role").filter(|role| role["metadata"]["name"] == "poolbudget-page").count()
}

fn may_review(rendered: &Rendered) -> bool {
    rendered.named("ClusterRole", "poolbudget")["rules"].to_string().contains("reviews")
}

#[test]
fn no_page_is_served_unless_it_is_asked_for() {
    let rendered = render(&[]);
    assert_eq!(env(&rendered, "POOLBUDGET_PAGE_ADDRESS"), None);
    assert_eq!((roles(&rendered), may_review(&rendered)), (0, false));
}

#[test]
fn the_page_is_on_the_loopback_of_its_pod_and_no_port_or_policy_names_it() {
    let rendered = render(&["page.enabled=true"]);
    assert_eq!(env(&rendered, "POOLBUDGET_PAGE_ADDRESS"), Some(json!("127.0.0.1:8081")));
    assert_eq!(env(&rendered, "POOLBUDGET_PAGE_HOST"), None);
    assert_eq!(env(&rendered, "POOLBUDGET_PAGE_AUTHORIZE"), None);
    let plain = render(&[]);
    let ports = |rendered: &Rendered| {
        rendered.only("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"].clone()
    };
    assert_eq!(ports(&rendered), ports(&plain));
    assert_eq!(rendered.only("NetworkPolicy")["spec"], plain.only("NetworkPolicy")["spec"]);
    assert!(!may_review(&rendered), "the page asks for nothing that the operator may not do already");
}

#[test]
fn a_viewer_needs_the_right_to_find_a_replica_and_to_reach_it() {
    let rendered = render(&["page.enabled=true"]);
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
    ]);
    assert_eq!(rendered.named("Role", "poolbudget-page")["rules"], rules);
}

#[test]
fn only_a_page_that_asks_for_tokens_may_review_them() {
    let rendered =
        render(&["page.enabled=true", "page.authorize=true", r#"page.hosts=["a.example.com","b"]"#]);
    assert_eq!(env(&rendered, "POOLBUDGET_PAGE_AUTHORIZE"), Some(json!("true")));
    assert_eq!(env(&rendered, "POOLBUDGET_PAGE_HOST"), Some(json!("a.example.com,b")));
    let rules = rendered.named("ClusterRole", "poolbudget")["rules"].as_array().unwrap().clone();
    assert_eq!(
        rules[rules.len() - 2..],
        [
            json!({"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}),
            json!({"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}),
        ]
    );
    assert!(!may_review(&render(&["page.authorize=true"])));
}

#[test]
fn a_name_that_is_none_is_refused() {
    for wrong in [r#"page.hosts=["a b"]"#, r#"page.hosts=["a,b"]"#, "page.port=1", r#"page.enabled="yes""#] {
        template(&["--set-json", wrong]).expect_err(wrong);
    }
}
