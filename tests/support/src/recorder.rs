//! The judge: watches all pods of a cluster from the start and computes independently.
//!
//! In: the API server's watch, which delivers every change in order, so the sum after an event is the true sum at that
//! revision. Out: sums, peaks, the timeline, and the verdict. It has its own thread, so that a busy test does not delay
//! it, and survives restarts of the API server by listing again.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use kube_runtime::watcher::{self, Event, watcher};
use tokio_util::sync::CancellationToken;

use super::bill::Account;
use super::cluster::{Cluster, client_of};
use super::eventually::eventually;
use super::ledger::{Ledger, Moment, Over, PodView, Totals};

/// Between two attempts to reach an API server that is down.
const PAUSE: Duration = Duration::from_millis(200);

/// How long it may take until it has seen what the API server shows.
const CATCH_UP: Duration = Duration::from_secs(60);

/// A recording that runs until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    kubeconfig: std::path::PathBuf,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    ledger: Mutex<Ledger>,
    progress: Mutex<Progress>,
}

/// Whether the first list has arrived, and what fails at present.
#[derive(Debug, Default)]
struct Progress {
    listed: bool,
    trouble: Option<String>,
}

impl Recorder {
    /// Starts to record, and returns when the existing pods are counted.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let shared =
            Arc::new(Shared { began: Instant::now(), ledger: Mutex::default(), progress: Mutex::default() });
        let stop = CancellationToken::new();
        let kubeconfig = cluster.kubeconfig().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (watched, until, of) = (Arc::clone(&shared), stop.clone(), kubeconfig.clone());
        let work = move || {
            runtime.block_on(async {
                let outcome = until.run_until_cancelled(watched.record(&of)).await;
                if let Some(Err(error)) = outcome {
                    lock(&watched.progress).trouble = Some(format!("{error:#}"));
                }
            });
        };
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(work)?;
        let recorder = Self { shared, stop, thread: Some(thread), kubeconfig };
        recorder.first_list().await?;
        Ok(recorder)
    }

    async fn first_list(&self) -> Result<()> {
        let end = Instant::now() + CATCH_UP;
        while !lock(&self.shared.progress).listed {
            if Instant::now() >= end {
                bail!("the recorder sees no pods: {:?}", lock(&self.shared.progress).trouble);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Sets the limit of a budget's sum from now on: its usable connections. If the sum is above it already, only a
    /// rise above that sum breaks it.
    pub fn limit(&self, namespace: &str, budget: &str, usable: u64) {
        let at = self.shared.began.elapsed();
        self.ledger().limit(at, &Account::of(namespace, budget), usable);
    }

    /// The present totals of a budget.
    pub fn totals(&self, namespace: &str, budget: &str) -> Totals {
        self.ledger().totals(&Account::of(namespace, budget))
    }

    /// The present totals of a namespace's pods that state a size and have no budget.
    pub fn ungoverned(&self, namespace: &str) -> Totals {
        self.ledger().totals(&Account::ungoverned(namespace))
    }

    /// The highest sum that a budget ever had.
    pub fn peak(&self, namespace: &str, budget: &str) -> u64 {
        self.ledger().peak(&Account::of(namespace, budget))
    }

    /// The present pods of a budget.
    pub fn pods(&self, namespace: &str, budget: &str) -> Vec<PodView> {
        self.ledger().pods(&Account::of(namespace, budget)).cloned().collect()
    }

    /// The present pods of a namespace that state a size and have no budget.
    pub fn ungoverned_pods(&self, namespace: &str) -> Vec<PodView> {
        self.ledger().pods(&Account::ungoverned(namespace)).cloned().collect()
    }

    /// The history of a budget's totals.
    pub fn timeline(&self, namespace: &str, budget: &str) -> Vec<Moment> {
        let account = Account::of(namespace, budget);
        self.ledger().moments().iter().filter(|moment| moment.account == account).cloned().collect()
    }

    /// The first moment when any sum exceeded its limit.
    pub fn first_over(&self) -> Option<Over> {
        self.ledger().overs().first().cloned()
    }

    /// Everything wrong that was seen on a pod: a size that the container does not read, a connection count that does
    /// not add up, a changed grant.
    pub fn faults(&self) -> Vec<String> {
        self.ledger().faults().iter().cloned().collect()
    }

    /// Waits until everything that the API server shows at this moment has been counted.
    ///
    /// # Panics
    ///
    /// If that does not happen: a judge that does not see must not judge.
    pub async fn caught_up(&self) {
        eventually(CATCH_UP, "the recorder sees what the API server shows", async || {
            match self.compare().await {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("it is behind; trouble: {:?}", lock(&self.shared.progress).trouble)),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .await;
    }

    /// Fails the test if any sum ever exceeded its limit, or if anything was wrong on a pod.
    ///
    /// # Panics
    ///
    /// In these cases, and if no limit was set: then nothing was judged.
    pub async fn assert_never_over(&self) {
        self.caught_up().await;
        let ledger = self.ledger();
        assert!(ledger.judges(), "the recorder was given no limit");
        let overs = ledger.overs();
        assert!(overs.is_empty(), "over its limit, {} times; the first:\n{:#?}", overs.len(), overs.first());
        assert!(ledger.faults().is_empty(), "wrong on pods: {:#?}", ledger.faults());
    }

    async fn compare(&self) -> Result<bool> {
        let pods: Api<Pod> = Api::all(client_of(&self.kubeconfig).await?);
        let listed = pods.list(&ListParams::default()).await.context("list the pods")?;
        let version = listed.metadata.resource_version.as_deref().context("a list without a version")?;
        Ok(self.ledger().has_all_of(&listed.items, version.parse()?))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }
}

impl Drop for Recorder {
    #[expect(clippy::print_stderr, reason = "a failed test has to show what was recorded")]
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if thread::panicking() {
            let ledger = self.ledger();
            for (account, peak) in ledger.peaks() {
                eprintln!("recorder: {account}: peak {peak}, now {:?}", ledger.totals(account));
            }
        }
    }
}

impl Shared {
    async fn record(&self, kubeconfig: &std::path::Path) -> Result<()> {
        let client: Client = client_of(kubeconfig).await?;
        let mut events = pin!(watcher(Api::<Pod>::all(client), watcher::Config::default()));
        let mut listing = Vec::new();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.take_in(event, &mut listing),
                Ok(None) => bail!("the watch has ended for good"),
                Err(error) => {
                    lock(&self.progress).trouble = Some(format!("{error:#}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take_in(&self, event: Event<Pod>, listing: &mut Vec<Pod>) {
        let at = self.began.elapsed();
        match event {
            Event::Apply(pod) => lock(&self.ledger).seen(at, &pod),
            Event::Delete(pod) => lock(&self.ledger).gone(at, &pod),
            Event::Init => listing.clear(),
            Event::InitApply(pod) => listing.push(pod),
            Event::InitDone => {
                lock(&self.ledger).listed(at, listing);
                listing.clear();
                *lock(&self.progress) = Progress { listed: true, trouble: None };
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
