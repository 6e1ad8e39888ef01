//! Adoption on the day on which people install this: the database is full, and a new pod is Ready only when it was
//! answered by it.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::{Value, json};
use testkit::install::chart;
use testkit::postgres::apps::{App, budget};
use testkit::postgres::kubelet::Kubelet;
use testkit::postgres::server::Server;
use testkit::postgres::tally::Life;
use testkit::postgres::until::until;
use testkit::{Cluster, Options};

const SHOP: &str = "shop";
/// The patience of the operator, and as much again for a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// The pool that the template states, which is more than the database has.
fn all() -> (String, String) {
    ("20".to_owned(), "0".to_owned())
}

/// One pod that takes every connection there is, and keeps it.
fn greedy(database: &str) -> String {
    let mut object: Value = serde_json::from_str(&App::Api.deployment(SHOP, database, false)).unwrap();
    object["spec"]["replicas"] = json!(1);
    for entry in object["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap() {
        let (pool, overflow) = all();
        match entry["name"].as_str().unwrap() {
            "DB_POOL_SIZE" => entry["value"] = json!(pool),
            "DB_MAX_OVERFLOW" => entry["value"] = json!(overflow),
            _ => {}
        }
    }
    object.to_string()
}

#[tokio::test]
async fn a_full_database_is_adopted_by_ending_an_old_pod_that_no_other_one_replaces() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.install_chart(&chart()).await.unwrap();
    let mut operator = cluster.start_replica("poolbudget-0").await.unwrap();
    let server = Server::start(16).await.unwrap();
    cluster.create_namespace(SHOP).await.unwrap();
    cluster.apply(&budget(SHOP, &json!({"connections": 13}), 0, &[])).await.unwrap();
    let kubelet = Kubelet::start(&cluster).unwrap();
    let database = format!("postgresql://app@127.0.0.1:{}/app", server.port());
    cluster.apply(&greedy(&database)).await.unwrap();
    let lives = || kubelet.tally().of(SHOP);
    until(DEADLINE, "the old pod holds all that there is", async || {
        let full = |life: &Life| life.ready.is_some() && !life.refused.is_empty();
        ensure!(lives().iter().any(full), "{:?}", lives());
        Ok(())
    })
    .await
    .unwrap();

    cluster.kubectl(&["-n", SHOP, "label", "deployment", "api", "poolbudget.dev/budget=main"]).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client, SHOP);
    until(DEADLINE, "the rollout is complete", async || {
        let found = deployments.get("api").await?;
        let status = found.status.unwrap_or_default();
        ensure!(status.observed_generation >= found.metadata.generation, "it has not begun");
        let counts = [status.replicas, status.updated_replicas, status.ready_replicas];
        ensure!(counts == [Some(1); 3], "{counts:?}");
        Ok(())
    })
    .await
    .unwrap();

    // The new one is Ready as soon as the old one has let go of one connection.
    until(DEADLINE, "the old pod has ended", async || {
        ensure!(lives().iter().any(|life| life.ended.is_some()), "{:?}", lives());
        Ok(())
    })
    .await
    .unwrap();
    let lives = lives();
    let new = lives.iter().find(|life| life.ended.is_none()).unwrap();
    until(DEADLINE, "its connections have the name of the new pod", async || {
        let held = server.sql("select distinct application_name from pg_stat_activity where usename = 'app'");
        let held = held.await?;
        ensure!(held.trim() == new.name, "{held:?} of {}", new.name);
        Ok(())
    })
    .await
    .unwrap();
    assert!(lives.iter().all(|life| !life.killed), "{lives:?}");
    let (old, new): (Vec<_>, Vec<_>) = lives.iter().partition(|life| life.size == all());
    assert_eq!(old.len(), 1, "its ReplicaSet made no other one: {lives:?}");
    assert!(old[0].ended.is_some());
    assert_eq!(new.len(), 1, "{lives:?}");
    assert!(!new[0].refused.is_empty(), "it was refused while the old one stood");
    assert!(new[0].ready.is_some());
    let events = cluster.kubectl(&[
        "-n",
        SHOP,
        "get",
        "events",
        "-o",
        "name",
        "--field-selector",
        "reason=ForeignPodEnded",
    ]);
    assert!(events.await.unwrap().contains("event"), "it was not told");
    assert!(operator.is_running().unwrap());
    assert_eq!(kubelet.tally().faults, Vec::<String>::new());
}
