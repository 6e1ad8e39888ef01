//! `poolbudget plan --limit-from`, with a server of the test in place of Supabase's Management API.

use std::io::Write as _;

use testkit::vendor::Vendor;

use crate::ran::{Ran, plan};

const TOKEN: &str = "sbp_0123456789abcdef0123456789abcdef01234567";

/// A budget with this limit, and a workload.
fn budget(limit: &str) -> String {
    format!(
        "apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {{name: main}}
spec:
  limit: {limit}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api, labels: {{poolbudget.dev/budget: main}}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: api}}}}
  template: {{spec: {{containers: [{{name: app, image: app}}]}}}}
"
    )
}

const PROJECT: &str = "{ref: kjhgfdsapoiuytrewqzx, tokenSecretRef: {name: supabase, key: token}}";

/// `plan` of a budget, with the token in a file.
fn planned(limit: &str, api: &str) -> Ran {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{TOKEN}").expect("a token");
    let from = format!("file:{}", file.path().display());
    let ran = plan(&budget(limit), &["--limit-from", &from, "--supabase-api", api]);
    assert!(!format!("{}{}", ran.out, ran.err).contains(TOKEN), "{ran:?}");
    ran
}

#[test]
fn a_budget_of_a_project_is_planned_with_what_supabase_says() {
    let limits = [
        format!("{{supabase: {{connection: Session, project: {PROJECT}}}}}"),
        format!("{{connections: 15, verify: {{supabase: {{connection: Session, project: {PROJECT}}}}}}}"),
    ];
    for limit in limits {
        let pooler = r#"[{"database_type":"PRIMARY","default_pool_size":30,"max_client_conn":200}]"#;
        let supabase = Vendor::start().expect("a server");
        supabase.answers("/config/database/pooler", "200 OK", pooler);
        let ran = planned(&limit, &supabase.url());
        assert_eq!(ran.code, 0, "{ran:?}");
        let source = "read from Supabase: pool size 30 of the pooler (Supabase Management API)";
        assert!(ran.out.contains(source), "{ran:?}");
        let asked = supabase.requests();
        assert_eq!(asked.len(), 1, "{asked:?}");
        let path = "GET /v1/projects/kjhgfdsapoiuytrewqzx/config/database/pooler HTTP/1.1\r\n";
        assert!(asked.iter().all(|request| request.starts_with(path)), "{asked:?}");
        assert!(asked.iter().all(|request| request.contains(&format!("authorization: Bearer {TOKEN}\r\n"))));
    }
}

#[test]
fn a_refusal_of_supabase_is_an_error_that_says_what_to_do() {
    let supabase = Vendor::start().expect("a server");
    supabase.answers("/config/database/pooler", "401 Unauthorized", "{}");
    let limit = format!("{{supabase: {{connection: Session, project: {PROJECT}}}}}");
    let ran = planned(&limit, &supabase.url());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(
        ran.err.contains("--limit-from: Supabase refused the token: make one with the permissions"),
        "{ran:?}"
    );
}

#[test]
fn a_token_is_no_connection_string_for_a_budget_without_a_project() {
    let ran = planned("{connections: 15}", "http://127.0.0.1:1");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("--limit-from: "), "{ran:?}");
}

#[test]
fn the_token_never_crosses_a_network_in_the_clear() {
    let ran = planned(
        &format!("{{supabase: {{connection: Session, project: {PROJECT}}}}}"),
        "http://api.supabase.com",
    );
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("use https://"), "{ran:?}");
}
