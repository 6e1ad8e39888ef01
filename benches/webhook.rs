//! What the webhook adds to the birth of a pod, at 200 of them in a second, on a real control plane.
//!
//! `cargo bench --bench webhook`. Pods are tried as dry runs at a fixed rate, whatever the answers take. What the webhook
//! took is told by the API server, from its request to the answer, and by the operator, from head to answer. Both
//! count into buckets, so a percentile is given as the bound that it lies under.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use support::install::chart;
use support::{Cluster, Options, Version};

/// Pods in a second, and for how many seconds.
const RATE: u32 = 200;
const SECONDS: u32 = 30;
/// What the API server calls the time of a webhook.
const SEEN_BY_API_SERVER: &str = "apiserver_admission_webhook_admission_duration_seconds_bucket";
const SEEN_BY_OPERATOR: &str = "poolbudget_admission_duration_seconds_bucket";

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo test --benches` asks whether it runs at all; a cluster is not for that.
    if std::env::args().any(|arg| arg == "--test") {
        return Ok(());
    }
    let cluster = Cluster::start(Options { version: Version::Older, ..Options::default() }).await?;
    cluster.install_chart(&chart()).await?;
    let operator = cluster.start_replica("poolbudget-0").await?;
    let client = cluster.client().await?;
    // Connections and caches first.
    load(&client, 2).await?;
    let before = buckets(&api_server_metrics(&client).await?, SEEN_BY_API_SERVER)?;
    let own_before = buckets(&operator.get("/metrics").await?.1, SEEN_BY_OPERATOR)?;
    let mut births = load(&client, SECONDS).await?;
    let after = buckets(&api_server_metrics(&client).await?, SEEN_BY_API_SERVER)?;
    let own_after = buckets(&operator.get("/metrics").await?.1, SEEN_BY_OPERATOR)?;
    births.sort_unstable();
    let pods = births.len();
    println!("{:<58} {:>12}", format!("pods tried, {RATE} a second"), pods);
    for (name, before, after) in [
        ("the webhook, as the API server sees it", &before, &after),
        ("the webhook, as the operator sees it", &own_before, &own_after),
    ] {
        for percent in [50, 99] {
            let bound = percentile(before, after, percent)?;
            println!("{:<58} {:>12}", format!("{name}: p{percent} under"), format!("{} ms", bound * 1000.0));
        }
    }
    let at = |percent: usize| births.get(pods * percent / 100).copied().unwrap_or_default();
    println!("{:<58} {:>12}", "a whole dry-run create: p50", format!("{:.1?}", at(50)));
    println!("{:<58} {:>12}", "a whole dry-run create: p99", format!("{:.1?}", at(99)));
    Ok(())
}

/// Tries pods at the rate; gives what each took.
async fn load(client: &Client, seconds: u32) -> Result<Vec<Duration>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "try-", "labels": {"poolbudget.dev/budget": "main"}},
        "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]},
    }))?;
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tried = JoinSet::new();
    for _ in 0..RATE * seconds {
        ticks.tick().await;
        let (pods, pod) = (pods.clone(), pod.clone());
        tried.spawn(async move {
            let began = Instant::now();
            let born = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await?;
            let gated = born.spec.and_then(|spec| spec.scheduling_gates).is_some();
            ensure!(gated, "a pod was born without its gate");
            Ok(began.elapsed())
        });
    }
    tried.join_all().await.into_iter().collect()
}

async fn api_server_metrics(client: &Client) -> Result<String> {
    let request = http::Request::get("/metrics").body(Vec::new()).context("build a request")?;
    Ok(client.request_text(request).await?)
}

/// The bounds of a histogram with the counts up to each; of the API server's, those of the gate alone.
fn buckets(text: &str, name: &str) -> Result<Vec<(f64, u64)>> {
    let of_gate = |line: &&str| {
        line.starts_with(name) && (!line.contains("name=") || line.contains("name=\"gate.poolbudget.dev\""))
    };
    let found: Option<Vec<(f64, u64)>> = text.lines().filter(of_gate).map(bucket).collect();
    let found = found.with_context(|| format!("cannot read {name}"))?;
    ensure!(!found.is_empty(), "there is no {name}");
    Ok(found)
}

fn bucket(line: &str) -> Option<(f64, u64)> {
    let (_, bound) = line.split_once("le=\"")?;
    let (bound, _) = bound.split_once('"')?;
    let count: f64 = line.rsplit_once(' ')?.1.parse().ok()?;
    let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
    Some((bound, format!("{count:.0}").parse().ok()?))
}

/// The least bound under which so many of the requests between two readings lie.
fn percentile(before: &[(f64, u64)], after: &[(f64, u64)], percent: u64) -> Result<f64> {
    let grown: Vec<(f64, u64)> =
        before.iter().zip(after).map(|((bound, old), (_, new))| (*bound, new - old)).collect();
    let all = grown.last().context("no buckets")?.1;
    let found = grown.iter().find(|(_, count)| count * 100 >= all * percent);
    Ok(found.context("no bucket is large enough")?.0)
}
