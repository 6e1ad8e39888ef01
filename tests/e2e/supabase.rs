//! A budget of a Supabase project on a real control plane. Supabase itself is played on loopback, with answers of the form
//! that are recorded of it: no project is within reach of a test.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::install::{SYSTEM, chart};
use testkit::vendor::Vendor;
use testkit::{Cluster, Options, eventually};

const SHOP: &str = "shop";
const TOKEN: &str = "sbp_0123456789abcdef0123456789abcdef01234567";
const KEY: &str = "sb_secret_aaaaaaaabbbbcccc";
/// A doubt is looked into again after at most 36 seconds at first; as much again for a busy machine.
const READS: Duration = Duration::from_secs(90);

fn pooler(size: u32) -> String {
    format!(
        r#"[{{"database_type":"PRIMARY","pool_mode":"session","default_pool_size":{size},"max_client_conn":null}}]"#
    )
}

fn clients(postgres: u32) -> String {
    format!(
        "# TYPE supavisor_connections_active untyped\n\
         supavisor_connections_active{{mode=\"session\",user=\"postgres\",db_name=\"postgres\"}} {postgres}\n\
         supavisor_connections_active{{mode=\"transaction\",user=\"postgres\",db_name=\"postgres\"}} 99\n"
    )
}

fn budget() -> String {
    json!({
        "apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudget",
        "metadata": {"name": "main", "namespace": SHOP},
        "spec": {"reserved": 2, "limit": {"supabase": {"connection": "Session", "project": {
            "ref": "kjhgfdsapoiuytrewqzx",
            "tokenSecretRef": {"name": "supabase", "key": "token"},
            "metricsSecretRef": {"name": "supabase", "key": "secret-key"},
        }}}},
    })
    .to_string()
}

async fn seen(cluster: &Cluster) -> Result<Value, String> {
    let text = cluster.kubectl(&["-n", SHOP, "get", "dbcb", "main", "-o", "json"]).await;
    serde_json::from_str(&text.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

fn condition(budget: &Value, kind: &str) -> (String, String) {
    let all = budget["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

/// Waits for a limit, and for the reason and part of the message of a condition.
async fn until(cluster: &Cluster, limit: &Value, kind: &str, reason: &str, part: &str) -> Value {
    eventually(READS, &format!("the limit is {limit} and {kind} is {reason}, {part}"), async || {
        let budget = seen(cluster).await?;
        let (why, message) = condition(&budget, kind);
        let now = &budget["status"]["limit"]["connections"];
        let holds = now == limit && why == reason && message.contains(part);
        if holds { Ok(budget) } else { Err(format!("{now}, {why}: {message}")) }
    })
    .await
}

#[tokio::test]
async fn a_budget_of_a_project_follows_what_supabase_says_and_tells_who_uses_the_pooler() {
    let supabase = Vendor::start().unwrap();
    supabase.answers("/config/database/pooler", "403 Forbidden", "{}");
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.expects_forbidden();
    cluster.install_chart(&chart()).await.unwrap();
    let api = format!("POOLBUDGET_SUPABASE_API={}", supabase.url());
    let projects = format!("POOLBUDGET_SUPABASE_PROJECTS={}", supabase.url());
    cluster.kubectl(&["-n", SYSTEM, "set", "env", "deployment/poolbudget", &api, &projects]).await.unwrap();
    let mut operator = cluster.start_replica("poolbudget-0").await.unwrap();
    cluster.create_namespace(SHOP).await.unwrap();
    let (token, key) = (format!("--from-literal=token={TOKEN}"), format!("--from-literal=secret-key={KEY}"));
    cluster.kubectl(&["-n", SHOP, "create", "secret", "generic", "supabase", &token, &key]).await.unwrap();
    let role = [
        "-n",
        SHOP,
        "create",
        "role",
        "reads",
        "--verb=get",
        "--resource=secrets",
        "--resource-name=supabase",
    ];
    cluster.kubectl(&role).await.unwrap();
    let account = format!("--serviceaccount={SYSTEM}:poolbudget");
    cluster.kubectl(&["-n", SHOP, "create", "rolebinding", "reads", "--role=reads", &account]).await.unwrap();
    cluster.apply(&budget()).await.unwrap();

    // A token without the permission: no limit yet, and the message names the permission.
    until(
        &cluster,
        &Value::Null,
        "LimitConfirmed",
        "Refused",
        "lacks the permission database_pooling_config_read",
    )
    .await;

    // A limit is there with the next attempt. That the metrics have no answer does not keep it away.
    supabase.answers("/config/database/pooler", "200 OK", &pooler(30));
    let open = "which connections are open was not read: the project kjhgfdsapoiuytrewqzx answered 404";
    until(&cluster, &json!(30), "LimitConfirmed", "Read", open).await;

    // The reading that confirms it says less, which counts at once; and now the clients are told.
    supabase.answers("/config/database/pooler", "200 OK", &pooler(20));
    supabase.answers("/customer/v1/privileged/metrics", "200 OK", &clients(7));
    let budget = until(&cluster, &json!(20), "OutsideClients", "MoreThanReserved", "set reserved to 7").await;
    assert_eq!(budget["status"]["database"]["open"], 7);
    assert_eq!(budget["status"]["limit"]["source"], "pool size 20 of the pooler (Supabase Management API)");

    // Supabase is away: the limit stays.
    supabase.answers("/config/database/pooler", "503 Service Unavailable", "");
    until(&cluster, &json!(20), "LimitConfirmed", "Unreachable", "20 stays in force").await;

    assert!(operator.is_running().unwrap());
    let texts = [
        seen(&cluster).await.unwrap().to_string(),
        cluster.kubectl(&["get", "events", "-A", "-o", "json"]).await.unwrap(),
        operator.get("/metrics").await.unwrap().1,
        operator.log().unwrap(),
    ];
    for text in texts {
        assert!(!text.contains(TOKEN) && !text.contains(KEY), "a secret is in {text:.300}");
    }
}
