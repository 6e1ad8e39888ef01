//! What the webhook adds to the birth of a pod, at 200 of them in a second, on a real control plane.
//!
//! `cargo bench --bench webhook`. First the server alone: reviews over TLS on kept connections, timed by the client. Then
//! pods on a real control plane, tried as dry runs. The rate is fixed, whatever the answers take. What the webhook took
//! there is told by the API server, from its request to the answer, and by the operator, from head to answer; both count
//! into buckets, so a percentile is given as the bound that it lies under. On a busy machine the API server, which does
//! far more for a pod than the webhook, falls behind the rate, and only the first figures say anything.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use poolbudget::telemetry::http::Readiness;
use poolbudget::telemetry::metrics::Metrics;
use poolbudget::webhook::certificate::{Lives, renewed};
use poolbudget::webhook::server;
use poolbudget::webhook::shown::Shown;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use testkit::install::chart;
use testkit::{Cluster, Options, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

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
    alone().await?;
    let cluster = Cluster::start(Options { version: Version::Older, ..Options::default() }).await?;
    cluster.install_chart(&chart()).await?;
    let operator = cluster.start_replica("poolbudget-0").await?;
    let client = cluster.client().await?;
    // Connections and caches first.
    load(&client, 2).await?;
    let before = buckets(&api_server_metrics(&client).await?, SEEN_BY_API_SERVER)?;
    let own_before = buckets(&operator.get("/metrics").await?.1, SEEN_BY_OPERATOR)?;
    let Load { mut births, failed, last } = load(&client, SECONDS).await?;
    let after = buckets(&api_server_metrics(&client).await?, SEEN_BY_API_SERVER)?;
    let own_after = buckets(&operator.get("/metrics").await?.1, SEEN_BY_OPERATOR)?;
    births.sort_unstable();
    let pods = births.len();
    println!("{:<58} {:>12}", format!("pods tried, {RATE} a second"), pods);
    println!("{:<58} {:>12}", "pods that were not answered in time", failed);
    if let Some(error) = last {
        println!("the last of them: {error:#}");
    }
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

/// The server in this process, asked by as many clients as an API server keeps connections under this load.
async fn alone() -> Result<()> {
    const CLIENTS: u32 = 8;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let held = renewed(None, "127.0.0.1", Lives::default(), Timestamp::now())?.context("nothing was made")?;
    let (metrics, stop) = (Metrics::default(), CancellationToken::new());
    let shown = Shown::new(metrics.clone(), Readiness::default());
    ensure!(shown.show(&held), "the certificate cannot be shown");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { server::serve(listener, &shown, metrics, stop).await }
    });
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(held.authorities.as_bytes()).flatten());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream = connector.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let start = Instant::now() + Duration::from_secs(1) / RATE * number;
        clients.spawn(ask(stream, start, Duration::from_secs(1) / RATE * CLIENTS, RATE * SECONDS / CLIENTS));
    }
    let mut answers: Vec<Duration> = Vec::new();
    for client in clients.join_all().await {
        answers.extend(client?);
    }
    stop.cancel();
    serving.await?;
    answers.sort_unstable();
    for percent in [50, 99] {
        let took = answers.get(answers.len() * percent / 100).copied().unwrap_or_default();
        println!(
            "{:<58} {:>12}",
            format!("the webhook alone, {RATE} reviews a second: p{percent}"),
            format!("{took:.2?}")
        );
    }
    Ok(())
}

/// Asks `count` times, once in each period; an answer that is late delays no later question by more than itself.
async fn ask(
    mut stream: TlsStream<TcpStream>,
    start: Instant,
    period: Duration,
    count: u32,
) -> Result<Vec<Duration>> {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "one", "operation": "CREATE",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {
                "metadata": {"labels": {"poolbudget.dev/budget": "main"}},
                "spec": {"containers": [{"name": "app", "image": "shop/app:1", "env": [{"name": "A", "value": "b"}]}]},
            },
        },
    })
    .to_string();
    let request = format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut ticks = interval_at(start, period);
    let mut answers = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..count {
        let due = ticks.tick().await;
        stream.write_all(request.as_bytes()).await?;
        // An answer of this size comes in one record.
        let read = stream.read(&mut buffer).await?;
        ensure!(buffer.get(..read).is_some_and(|read| read.starts_with(b"HTTP/1.1 200 ")), "no answer");
        answers.push(due.elapsed());
    }
    Ok(answers)
}

/// What pods took, and how many were refused.
#[derive(Default)]
struct Load {
    births: Vec<Duration>,
    failed: usize,
    last: Option<kube::Error>,
}

/// Tries pods at the rate.
async fn load(client: &Client, seconds: u32) -> Result<Load> {
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
            let born = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await;
            (born, began.elapsed())
        });
    }
    let mut load = Load::default();
    for (born, took) in tried.join_all().await {
        match born {
            Ok(pod) => {
                let gated = pod.spec.and_then(|spec| spec.scheduling_gates).is_some();
                ensure!(gated, "a pod was born without its gate");
                load.births.push(took);
            }
            Err(error) => {
                load.failed += 1;
                load.last = Some(error);
            }
        }
    }
    Ok(load)
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
