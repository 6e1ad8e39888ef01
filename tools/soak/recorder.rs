//! The recorder: follows the store on a thread of its own and lets the judge see every write.
//!
//! In: a cluster whose API server stores JSON. Out: the first violation, at the instant it is seen, what led there,
//! and the tally. It talks to etcd alone, so nothing that is killed blinds it: see [`store`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::Cluster;
use testkit::store::{self, Change};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::judge::{Judge, RANGE, Violation};

/// How many lines of what happened are kept.
const LINES: usize = 60;

/// How long it may take to see what is in the store.
const CATCH_UP: Duration = Duration::from_secs(30);

/// A recording that runs until it is dropped.
pub struct Recorder {
    shared: Arc<Shared>,
    store: String,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    began: Instant,
    judge: Mutex<Judge>,
    lines: Mutex<VecDeque<String>>,
    verdict: watch::Sender<Option<Verdict>>,
    rises: watch::Sender<u64>,
}

/// Why a recording is over before its time.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The rule was broken; with what led there.
    Broken(Violation, Vec<String>),
    /// It does not see any more.
    Blind(String),
}

impl Recorder {
    /// Begins to record.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            judge: Mutex::default(),
            lines: Mutex::default(),
            verdict: watch::Sender::new(None),
            rises: watch::Sender::new(0),
        });
        let (stop, store) = (CancellationToken::new(), cluster.store_address());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (seen, until, address) = (Arc::clone(&shared), stop.clone(), store.clone());
        let work = move || {
            let following = store::follow(&address, RANGE, |change| seen.take_in(&change));
            let ended = runtime.block_on(until.run_until_cancelled(following));
            if let Some(Err(error)) = ended {
                seen.verdict.send_replace(Some(Verdict::Blind(format!("{error:#}"))));
            }
        };
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(work)?;
        Ok(Self { shared, store, stop, thread: Some(thread) })
    }

    /// Since the recording began.
    pub fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Writes down what was done, among what came of it.
    pub fn note(&self, line: &str) {
        self.shared.write(self.now(), line);
    }

    /// What was judged.
    pub fn judge(&self) -> MutexGuard<'_, Judge> {
        lock(&self.shared.judge)
    }

    /// Why it is over, if it is.
    pub fn verdict(&self) -> Option<Verdict> {
        self.shared.verdict.borrow().clone()
    }

    /// Waits until it is over before its time.
    pub async fn broken(&self) -> Verdict {
        // The sender lives as long as this handle, so there is no error.
        let _ = self.shared.verdict.subscribe().wait_for(Option::is_some).await;
        self.verdict().unwrap_or(Verdict::Blind("it has ended".to_owned()))
    }

    /// Waits for the next grant to be recorded: its pod still has its gate then.
    pub async fn next_grant(&self) {
        // The sender lives as long as this handle, so there is no error.
        let _ = self.shared.rises.subscribe().changed().await;
    }

    /// Waits until everything that is in the store at this moment was judged.
    pub async fn caught_up(&self) -> Result<()> {
        let end = Instant::now() + CATCH_UP;
        loop {
            let stored = store::revisions(&self.store, RANGE).await.context("ask the store")?;
            if *self.judge().revisions() == stored {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("the recorder did not see within {CATCH_UP:?} what is in the store");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn take_in(&self, change: &Change) {
        let at = self.began.elapsed();
        let mut judge = lock(&self.judge);
        if let Some(said) = judge.see(at, change) {
            self.write(at, &format!("[{}] {said}", change.revision));
        }
        let rises = judge.tally().rises;
        self.rises.send_if_modified(|known| std::mem::replace(known, rises) != rises);
        if let Some(violation) = judge.violation() {
            let lines = || lock(&self.lines).iter().cloned().collect();
            self.verdict.send_if_modified(|verdict| {
                let first = verdict.is_none();
                verdict.get_or_insert_with(|| Verdict::Broken(violation.clone(), lines()));
                first
            });
        }
    }

    fn write(&self, at: Duration, line: &str) {
        let mut lines = lock(&self.lines);
        lines.push_back(format!("{:>9.3} s  {line}", at.as_secs_f64()));
        if lines.len() > LINES {
            lines.pop_front();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
