//! What the operator costs on a real control plane: grant latency, a burst against bare patches, idle memory.
//!
//! `cargo bench --bench cluster`. The machine is noisy: latencies are those of this run, and the burst is a ratio
//! to bare parallel patches of as many pods in the same run.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use testkit::install::{chart, operator_binary};
use testkit::objects::{budget, deployment};
use testkit::{Cluster, Options};

const SHOP: &str = "shop";
const BARE: &str = "bare";
const GATE: &str = "poolbudget.dev/connections";
const LABEL: &str = "poolbudget.dev/budget";
/// Single pods whose latency is taken.
const SINGLES: u32 = 100;
/// Workloads and pods of the burst.
const WORKLOADS: u32 = 50;
const PODS_EACH: u32 = 10;
/// Patches at the same time, as the operator sends them.
const PARALLEL: usize = 16;
const PATIENCE: Duration = Duration::from_secs(300);

/// When a pod was seen gated, and when without its gate.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    gated: Option<Instant>,
    open: Option<Instant>,
}

/// A watch of its own on all pods.
#[derive(Clone, Default)]
struct Stopwatch(Arc<Mutex<HashMap<String, (String, Seen)>>>);

impl Stopwatch {
    fn start(client: &Client) -> Self {
        let stopwatch = Self::default();
        let (shared, pods) = (stopwatch.clone(), Api::<Pod>::all(client.clone()));
        tokio::spawn(async move {
            let mut events =
                watcher(pods, watcher::Config::default()).default_backoff().applied_objects().boxed();
            while let Ok(Some(pod)) = events.try_next().await {
                shared.note(&pod);
            }
        });
        stopwatch
    }

    fn note(&self, pod: &Pod) {
        let now = Instant::now();
        let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
        let gated = gates.is_some_and(|gates| gates.iter().any(|gate| gate.name == GATE));
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let mut pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, seen) = pods.entry(uid).or_insert((namespace, Seen::default()));
        if gated {
            seen.gated.get_or_insert(now);
        } else if seen.gated.is_some() {
            seen.open.get_or_insert(now);
        }
    }

    /// Gated and opened pods of a namespace, and when the last one was opened.
    fn count(&self, namespace: &str) -> (usize, usize, Option<Instant>) {
        let pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = || pods.values().filter(|(of, _)| of == namespace).map(|(_, seen)| seen);
        (
            mine().filter(|seen| seen.gated.is_some()).count(),
            mine().filter(|seen| seen.open.is_some()).count(),
            mine().filter_map(|seen| seen.open).max(),
        )
    }

    fn latencies(&self, namespace: &str) -> Vec<Duration> {
        let pods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = pods.values().filter(|(of, _)| of == namespace);
        let mut found: Vec<Duration> = mine.filter_map(|(_, seen)| Some(seen.open? - seen.gated?)).collect();
        found.sort_unstable();
        found
    }

    async fn until(&self, what: &str, met: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !met(self) {
            if Instant::now() > end {
                bail!(
                    "not within {PATIENCE:?}: {what}; shop {:?}, bare {:?}",
                    self.count(SHOP),
                    self.count(BARE)
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo test --benches` asks whether it runs at all; a cluster is not for that.
    if std::env::args().any(|arg| arg == "--test") {
        return Ok(());
    }
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client().await?;
    cluster.install_chart(&chart()).await?;
    let stopwatch = Stopwatch::start(&client);
    let operator = cluster.start_replica("poolbudget-0").await?;
    for namespace in [SHOP, BARE] {
        cluster.create_namespace(namespace).await?;
    }
    single_grants(&cluster, &stopwatch).await?;
    println!("{:<58} {:>12}", "resident memory, idle, 100 pods", memory(operator.pid())?);
    let bare = bare_patches(&cluster, &client, &stopwatch).await?;
    let granted = burst(&cluster, &stopwatch).await?;
    let pods = WORKLOADS * PODS_EACH;
    println!(
        "{:<58} {:>12}",
        format!("{pods} pods, bare patches, {PARALLEL} at a time"),
        format!("{bare:.2?}")
    );
    println!(
        "{:<58} {:>12}",
        format!("{pods} pods of {WORKLOADS} workloads granted"),
        format!("{granted:.2?}")
    );
    println!("{:<58} {:>12}", "ratio", format!("{:.2}", granted.as_secs_f64() / bare.as_secs_f64()));
    println!("{:<58} {:>12}", "resident memory after the burst", memory(operator.pid())?);
    let size = std::fs::metadata(operator_binary()?)?.len();
    println!("{:<58} {:>12}", "binary", format!("{} KiB", size / 1024));
    Ok(())
}

/// One pod at a time on an otherwise idle cluster.
async fn single_grants(cluster: &Cluster, stopwatch: &Stopwatch) -> Result<()> {
    let spec = json!({"limit": {"connections": 100_000}, "workloads": [{"name": "single", "connectionsPerProcess": {"max": 5}}]});
    cluster.apply(&budget(SHOP, "main", &spec)).await?;
    cluster.apply(&deployment(SHOP, "single").replicas(0).label(LABEL, "main").to_string()).await?;
    for n in 1..=SINGLES {
        let replicas = format!("--replicas={n}");
        cluster.kubectl(&["scale", "deployment", "single", "-n", SHOP, &replicas]).await?;
        let wanted = usize::try_from(n)?;
        stopwatch.until("the pod is granted", |s| s.count(SHOP).1 == wanted).await?;
    }
    let latencies = stopwatch.latencies(SHOP);
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "{:<58} {:>12}",
        format!("grant latency p50 of {SINGLES}, gate seen to gate gone"),
        format!("{:.1?}", at(50))
    );
    println!("{:<58} {:>12}", "grant latency p99", format!("{:.1?}", at(99)));
    Ok(())
}

/// As many gated pods as the burst has, opened by nothing but parallel patches.
async fn bare_patches(cluster: &Cluster, client: &Client, stopwatch: &Stopwatch) -> Result<Duration> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), BARE);
    let wanted = usize::try_from(WORKLOADS * PODS_EACH)?;
    // The guard lets only the operator write grants: these bear a gate of the same name and no label.
    for n in 0..WORKLOADS {
        let name = format!("bare-{n}");
        cluster.apply(&deployment(BARE, &name).replicas(PODS_EACH).gate(GATE).to_string()).await?;
    }
    stopwatch.until("all bare pods are gated", |s| s.count(BARE).0 == wanted).await?;
    let names: Vec<String> =
        pods.list(&Default::default()).await?.into_iter().filter_map(|pod| pod.metadata.name).collect();
    let began = Instant::now();
    let patch = json!([
        {"op": "test", "path": "/spec/schedulingGates/0/name", "value": GATE},
        {"op": "remove", "path": "/spec/schedulingGates/0"},
        {"op": "add", "path": "/metadata/annotations", "value": {"poolbudget.dev/pool-size": "2"}},
    ]);
    let patch = &Patch::<()>::Json(serde_json::from_value(patch)?);
    let (pods, params) = (&pods, &PatchParams::default());
    stream::iter(names)
        .map(Ok)
        .try_for_each_concurrent(PARALLEL, |name| async move {
            pods.patch(&name, params, patch).await.map(|_| ())
        })
        .await?;
    stopwatch.until("all bare pods are open", |s| s.count(BARE).1 == wanted).await?;
    let last = stopwatch.count(BARE).2.context("no bare pod was opened")?;
    for n in 0..WORKLOADS {
        cluster.kubectl(&["delete", "deployment", &format!("bare-{n}"), "-n", BARE, "--wait=false"]).await?;
    }
    Ok(last - began)
}

/// Pods that wait because nothing is free, and then the limit is raised: from that apply to the last gate.
async fn burst(cluster: &Cluster, stopwatch: &Stopwatch) -> Result<Duration> {
    let before = stopwatch.count(SHOP);
    let of = |connections: u32| {
        budget(SHOP, "burst", &json!({"limit": {"connections": connections}, "reserved": 0}))
    };
    cluster.apply(&of(1)).await?;
    for n in 0..WORKLOADS {
        let name = format!("burst-{n}");
        cluster.apply(&deployment(SHOP, &name).replicas(PODS_EACH).label(LABEL, "burst").to_string()).await?;
    }
    let wanted = usize::try_from(WORKLOADS * PODS_EACH)?;
    stopwatch.until("all pods are gated", |s| s.count(SHOP).0 == before.0 + wanted).await?;
    let began = Instant::now();
    cluster.apply(&of(100_000)).await?;
    stopwatch.until("all pods are granted", |s| s.count(SHOP).1 == before.1 + wanted).await?;
    Ok(stopwatch.count(SHOP).2.context("no pod was granted")? - began)
}

/// VmRSS of a process.
fn memory(pid: u32) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{:.1} MiB", kib / 1024.0))
}
