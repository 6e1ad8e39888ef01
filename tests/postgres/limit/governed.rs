//! A budget that reads its limit from a real server, on a real control plane: from the first refusal of the Secret to a
//! limit that falls and rises under its pods.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::Options;
use testkit::install::{SYSTEM, chart, operator_binary};
use testkit::postgres::programs::Programs;
use testkit::postgres::until::until;

use super::server::{PASSWORD, Server};

const SHOP: &str = "shop";
/// A doubt about a Secret lasts 36 seconds at most after the cure; as much again for a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

async fn budget(cluster: &Cluster) -> Result<Value> {
    let text = cluster.kubectl(&["-n", SHOP, "get", "dbcb", "main", "-o", "json"]).await?;
    Ok(serde_json::from_str(&text)?)
}

fn condition(budget: &Value, kind: &str) -> (String, String, String) {
    let all = budget["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

async fn until_limit(cluster: &Cluster, limit: u32, reason: &str) -> Value {
    let mut last = Value::Null;
    until(DEADLINE, "the limit is in force", async || {
        last = budget(cluster).await?;
        let seen = (&last["status"]["limit"]["connections"], condition(&last, "LimitConfirmed").1);
        ensure!(seen == (&json!(limit), reason.to_owned()), "{seen:?}, not {limit} and {reason}");
        Ok(())
    })
    .await
    .unwrap();
    last
}

fn deployment() -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "api", "namespace": SHOP, "labels": {"poolbudget.dev/budget": "main"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}}, "template": {
            "metadata": {"labels": {"app": "api"}},
            "spec": {"containers": [{"name": "app", "image": "registry.example/app:1", "command": ["app"]}]},
        }},
    })
    .to_string()
}

fn budget_object() -> String {
    json!({
        "apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudget",
        "metadata": {"name": "main", "namespace": SHOP},
        "spec": {"limit": {"postgres": {"secretRef": {"name": "db", "key": "url"}}}, "reserved": 2},
    })
    .to_string()
}

#[tokio::test]
async fn a_budget_reads_its_limit_from_the_server_and_follows_it() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.expects_forbidden();
    cluster.install_chart(&chart()).await.unwrap();
    let networks = "POOLBUDGET_DATABASE_NETWORKS=127.0.0.0/8";
    cluster.kubectl(&["-n", SYSTEM, "set", "env", "deployment/poolbudget", networks]).await.unwrap();
    let mut operator = cluster.start_replica("poolbudget-0").await.unwrap();
    let mut server = Server::start(&Programs::default()).await.unwrap();
    cluster.create_namespace(SHOP).await.unwrap();
    let dsn =
        format!("--from-literal=url=postgres://app:{PASSWORD}@127.0.0.1:{}/app?sslmode=disable", server.port);
    cluster.kubectl(&["-n", SHOP, "create", "secret", "generic", "db", &dsn]).await.unwrap();
    cluster.apply(&budget_object()).await.unwrap();
    cluster.apply(&deployment()).await.unwrap();

    // Nobody has given it the Secret: nothing is granted, and the message says what to run.
    let mut told = String::new();
    until(DEADLINE, "the Secret is refused", async || {
        let budget = budget(&cluster).await?;
        let (_, reason, message) = condition(&budget, "LimitConfirmed");
        ensure!(reason == "Forbidden" && budget["status"]["pods"]["waiting"] == 2, "{reason}: {message}");
        told = message;
        Ok(())
    })
    .await
    .unwrap();
    let line = told.split("run kubectl poolbudget ").nth(1).expect("a line to run").to_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    let granted = std::process::Command::new(operator_binary().unwrap())
        .args(&words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .unwrap();
    assert!(granted.status.success(), "{line}: {}", String::from_utf8_lossy(&granted.stderr));

    let budget = until_limit(&cluster, 96, "Read").await;
    assert_eq!(
        budget["status"]["limit"]["source"],
        "max_connections 100 − 3 for superusers − 1 for poolbudget to read with"
    );
    until(DEADLINE, "the pods are granted", async || {
        let budget = self::budget(&cluster).await?;
        ensure!(budget["status"]["pods"]["granted"] == 2, "{}", budget["status"]["pods"]);
        Ok(())
    })
    .await
    .unwrap();

    // Somebody lowers what the role may have: it counts with the next reading, which confirms the first one.
    server.sql("alter role app connection limit 20").await.unwrap();
    let budget = until_limit(&cluster, 19, "Read").await;
    let source = budget["status"]["limit"]["source"].as_str().unwrap_or_default();
    assert!(source.starts_with("connection limit 20 of role app"), "{source}");

    // The pods held more than that: they are replaced until they fit.
    until(DEADLINE, "the pods fit the lower limit", async || {
        let budget = self::budget(&cluster).await?;
        let (status, pods) = (&budget["status"], &budget["status"]["pods"]);
        let fits = status["committed"].as_u64().is_some_and(|committed| committed <= 17);
        ensure!(fits && pods["granted"] == 2 && pods["draining"] == 0, "{} {pods}", status["committed"]);
        Ok(())
    })
    .await
    .unwrap();

    // A new leader knows the limit before it has read it. A higher one waits for its second reading, and if the server
    // dies before that, the lower one stays.
    server.sql("alter role app connection limit -1").await.unwrap();
    drop(operator);
    operator = cluster.start_replica("poolbudget-1").await.unwrap();
    until(DEADLINE, "a higher limit was read once", async || {
        let (_, _, message) = condition(&self::budget(&cluster).await?, "LimitConfirmed");
        ensure!(message.contains("19 stays in force until the next reading says so too"), "{message}");
        Ok(())
    })
    .await
    .unwrap();
    server.stop().unwrap();
    until_limit(&cluster, 19, "Unreachable").await;
    server.resume().await.unwrap();
    let budget = until_limit(&cluster, 96, "Read").await;

    assert!(operator.is_running().unwrap());
    let seen = [
        budget.to_string(),
        cluster.kubectl(&["get", "events", "-A", "-o", "json"]).await.unwrap(),
        operator.get("/metrics").await.unwrap().1,
        operator.log().unwrap(),
    ];
    for text in seen {
        assert!(!text.contains(PASSWORD), "the password is in {text:.300}");
    }
}
