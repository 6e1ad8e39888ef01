//! A cluster full of large objects that are none of the operator's business: its memory, and its first decision.

use std::fs;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use testkit::{Version, eventually};

use crate::installed::{Installed, on_every_version};
use crate::main_job::governed;

/// Where the objects are that nobody labelled.
const ELSEWHERE: &str = "elsewhere";
/// Each Deployment is 1 MB, and so is the ReplicaSet that is made of it.
const DEPLOYMENTS: usize = 100;
const MEGABYTE: usize = 1_000_000;
/// What the leader may take at its peak. The chart's limit is twice that.
const PEAK: u64 = 128 * 1024;
/// The first grant after the start, on a machine that does everything else as well.
const SOON: Duration = Duration::from_secs(45);

on_every_version!(
    a_leader_that_starts_among_200_megabytes_of_foreign_objects_stays_below_128_mebibytes_and_decides_soon
);

async fn a_leader_that_starts_among_200_megabytes_of_foreign_objects_stays_below_128_mebibytes_and_decides_soon(
    version: Version,
) {
    let mut shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    shop.operators[0].kill().unwrap();
    fill(&shop).await;
    let began = Instant::now();
    shop.operators[0].start_again().unwrap();
    shop.scale("api", 3).await;
    shop.settles(&[("api", 3)]).await;
    let took = began.elapsed();
    let peak = peak_kib(shop.operators[0].pid());
    assert!(peak <= PEAK, "{} MiB at the peak; the first grants took {took:?}", peak / 1024);
    assert!(took <= SOON, "{took:?} until the first grants, with {} MiB at the peak", peak / 1024);
}

/// Makes the foreign objects, most of one large text, some of many small ones.
async fn fill(shop: &Installed) {
    shop.cluster.create_namespace(ELSEWHERE).await.unwrap();
    let api: Api<Deployment> = Api::namespaced(shop.client.clone(), ELSEWHERE);
    let made = stream::iter(0..DEPLOYMENTS).map(|n| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &large(n)).await.map(drop) }
    });
    made.buffer_unordered(4).try_collect::<()>().await.unwrap();
    let sets: Api<ReplicaSet> = Api::namespaced(shop.client.clone(), ELSEWHERE);
    eventually(Duration::from_secs(180), "every Deployment has its ReplicaSet", async || {
        let listed = sets.list_metadata(&ListParams::default()).await.map_err(|error| error.to_string())?;
        if listed.items.len() == DEPLOYMENTS { Ok(()) } else { Err(format!("{}", listed.items.len())) }
    })
    .await;
}

fn large(n: usize) -> Deployment {
    let env: Vec<Value> = if !n.is_multiple_of(10) {
        vec![json!({"name": "TEXT", "value": "x".repeat(MEGABYTE)})]
    } else {
        // 31 bytes each.
        (0..MEGABYTE / 31).map(|i| json!({"name": format!("V{i:05}"), "value": "x"})).collect()
    };
    let (name, app) = (format!("large-{n}"), json!({"app": format!("large-{n}")}));
    let template = json!({"metadata": {"labels": app}, "spec": {"containers": [
        {"name": "app", "image": "registry.example.com/large", "env": env}]}});
    let object = json!({"metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": app}, "template": template}});
    serde_json::from_value(object).unwrap()
}

/// VmHWM of a process.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
