//! A kubelet for processes: every container of a pod that asks for it is a real process of this machine.
//!
//! In: pods of the test cluster with the annotation [`ASKED`]; kwok ignores these. Out: processes, the pods' status,
//! and the [`Tally`] of what the processes report.
//! It guarantees what a kubelet guarantees: nothing runs before the scheduler has bound the pod, Ready is what the
//! containers report, and the object of a deleted pod goes after its last process has ended, never before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use kube_runtime::watcher::{self, Event, watcher};
use tokio::task::LocalSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::place;
use super::pod::{Host, Runner};
use super::tally::Tally;
use crate::Cluster;
use crate::cluster::client_of;

/// A pod with this annotation is run here.
pub const ASKED: &str = "test.poolbudget.dev/kubelet";

/// Between two attempts to reach an API server that is down.
const PAUSE: Duration = Duration::from_millis(200);

/// A kubelet for every node. Dropping it ends every process that it runs.
#[derive(Debug)]
pub struct Kubelet {
    tally: Arc<Mutex<Tally>>,
    crashes: Arc<Mutex<BTreeSet<String>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Starts to run pods.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let tally = Arc::<Mutex<Tally>>::default();
        let crashes = Arc::<Mutex<BTreeSet<String>>>::default();
        let stop = CancellationToken::new();
        let host = Host {
            path: place::python()?,
            logs: cluster.folder().path().to_owned(),
            network: network(&cluster.server())?,
            tally: Arc::clone(&tally),
            crashes: Arc::clone(&crashes),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (kubeconfig, until) = (cluster.kubeconfig().to_owned(), stop.clone());
        // A thread of its own, so that a busy test delays no pod.
        let work = move || {
            let tasks = LocalSet::new();
            let watch = watch_pods(kubeconfig, host.clone());
            if let Some(Err(error)) = tasks.block_on(&runtime, until.run_until_cancelled(watch)) {
                host.fault(format!("the kubelet has ended: {error:#}"));
            }
        };
        let thread = thread::Builder::new().name("kubelet".to_owned()).spawn(work)?;
        Ok(Self { tally, crashes, stop, thread: Some(thread) })
    }

    /// The results of the pods so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the containers of a pod and restarts them in it, as a kubelet does after a crash.
    pub fn crash(&self, uid: &str) {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned());
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A part of the loopback network that no other cluster of this machine uses: the two bytes of the API server's port.
fn network(server: &str) -> Result<[u8; 2]> {
    let port = server.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    Ok(port.with_context(|| format!("{server} names no port"))?.to_be_bytes())
}

/// Follows all pods and starts a task for each one with the annotation.
async fn watch_pods(kubeconfig: PathBuf, host: Host) -> Result<()> {
    let client: Client = client_of(&kubeconfig).await?;
    let mut events = pin!(watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()));
    // The pods that were seen bound to a node, each with the token that tells it to end.
    let mut known = BTreeMap::<String, CancellationToken>::new();
    loop {
        let (pod, gone) = match events.try_next().await {
            Ok(Some(Event::Apply(pod) | Event::InitApply(pod))) => (pod, false),
            Ok(Some(Event::Delete(pod))) => (pod, true),
            Ok(Some(Event::Init | Event::InitDone)) => continue,
            Ok(None) => bail!("the watch has ended for good"),
            // The watch starts again; pods keep running in the meantime.
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(uid) = pod.metadata.uid.clone().filter(|_| is_ours(&pod)) else { continue };
        let leaves = gone || pod.metadata.deletion_timestamp.is_some();
        let number = known.len() % 254 + 1;
        let end = known.entry(uid).or_insert_with(|| {
            let end = CancellationToken::new();
            let runner = Runner::new(client.clone(), host.clone(), number, pod, end.clone());
            tokio::task::spawn_local(runner.run());
            end
        });
        if leaves {
            end.cancel();
        }
    }
}

/// Bound to a node, and meant for this kubelet.
fn is_ours(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    bound && annotations.is_some_and(|annotations| annotations.contains_key(ASKED))
}
