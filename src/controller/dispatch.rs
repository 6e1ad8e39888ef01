//! Which budget is reconciled when: never the same one twice at once, failures with backoff, nothing dropped.
//!
//! In: keys, from any task and as often as it likes. Out: calls of one function per key. It knows nothing about what
//! the function does.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::BudgetKey;

/// Delay after a first failure.
const LEAST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay between two tries.
const MOST_DELAY: Duration = Duration::from_secs(15);

/// When a key is to be worked on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When it is requested.
    OnRequest,
    /// After this time at the latest.
    After(Duration),
    /// Soon, and later each time it fails again.
    Backoff,
}

/// Requests work; clones feed the same queue.
#[derive(Clone, Debug)]
pub struct Requests(mpsc::UnboundedSender<BudgetKey>);

impl Requests {
    /// A queue and its feeding end.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<BudgetKey>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Requests work on a key, now.
    pub fn request(&self, key: BudgetKey) {
        // A closed queue means that this process stops leading; the next leader looks at everything.
        let _ = self.0.send(key);
    }
}

/// Keys by the time at which they are due, each at most once.
#[derive(Default)]
struct Agenda {
    by_time: BTreeSet<(Instant, BudgetKey)>,
    by_key: HashMap<BudgetKey, Instant>,
}

impl Agenda {
    /// The earlier of two appointments stays.
    fn put(&mut self, key: BudgetKey, due: Instant) {
        if let Some(earlier) = self.by_key.get(&key).copied() {
            if earlier <= due {
                return;
            }
            self.by_time.remove(&(earlier, key.clone()));
        }
        self.by_key.insert(key.clone(), due);
        self.by_time.insert((due, key));
    }

    fn take_due(&mut self, now: Instant) -> Option<BudgetKey> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(due, _)| *due)
    }
}

/// Doubling delays with jitter, without end.
#[must_use]
pub fn backoff(least: Duration, most: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(least)
        .with_max_delay(most)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Works until `stop`, then lets running work finish. `concurrency` bounds how many keys are worked on at once.
pub async fn dispatch<F, Fut>(
    mut requests: mpsc::UnboundedReceiver<BudgetKey>,
    concurrency: usize,
    stop: CancellationToken,
    work: F,
) where
    F: Fn(BudgetKey) -> Fut,
    Fut: Future<Output = Next> + Send + 'static,
{
    let mut agenda = Agenda::default();
    let mut running: HashSet<BudgetKey> = HashSet::new();
    // Keys requested while they were running: the run may not have seen what the request announced.
    let mut again: HashSet<BudgetKey> = HashSet::new();
    let mut failures: HashMap<BudgetKey, ExponentialBackoff> = HashMap::new();
    let mut tasks: JoinSet<(BudgetKey, Next)> = JoinSet::new();
    loop {
        while running.len() < concurrency
            && let Some(key) = agenda.take_due(Instant::now())
        {
            running.insert(key.clone());
            let call = work(key.clone());
            tasks.spawn(async move { (key, call.await) });
        }
        // With no place free, due keys wait for a task to end.
        let due = agenda.next().filter(|_| running.len() < concurrency);
        tokio::select! {
            () = stop.cancelled() => break,
            Some(key) = requests.recv() => {
                if running.contains(&key) {
                    again.insert(key);
                } else {
                    agenda.put(key, Instant::now());
                }
            }
            Some(ended) = tasks.join_next() => {
                // A panic ends the process (panic = abort); a task is never cancelled.
                let Ok((key, next)) = ended else { continue };
                running.remove(&key);
                if next != Next::Backoff {
                    failures.remove(&key);
                }
                let delay = match next {
                    _ if again.remove(&key) && next != Next::Backoff => Some(Duration::ZERO),
                    Next::OnRequest => None,
                    Next::After(delay) => Some(delay),
                    Next::Backoff => failures.entry(key.clone()).or_insert_with(|| backoff(LEAST_DELAY, MOST_DELAY)).next(),
                };
                if let Some(delay) = delay {
                    agenda.put(key, Instant::now() + delay);
                }
            }
            () = sleep_until(due) => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key(name: &str) -> BudgetKey {
        BudgetKey::new("n", name)
    }

    #[test]
    fn the_earlier_of_two_appointments_stays() {
        let now = Instant::now();
        let mut agenda = Agenda::default();
        agenda.put(key("a"), now + Duration::from_secs(5));
        agenda.put(key("a"), now);
        agenda.put(key("a"), now + Duration::from_secs(9));
        assert_eq!(agenda.take_due(now), Some(key("a")));
        assert_eq!(agenda.take_due(now + Duration::from_secs(60)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_during_work_leads_to_another_run_and_never_to_two_at_once() {
        let (requests, receiver) = Requests::channel();
        let (runs, at_once, most) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stop = CancellationToken::new();
        let work = {
            let (runs, at_once, most) = (Arc::clone(&runs), Arc::clone(&at_once), Arc::clone(&most));
            move |_| {
                let (runs, at_once, most) = (Arc::clone(&runs), Arc::clone(&at_once), Arc::clone(&most));
                async move {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    runs.fetch_add(1, Ordering::SeqCst);
                    Next::OnRequest
                }
            }
        };
        let task = tokio::spawn(dispatch(receiver, 4, stop.clone(), work));
        requests.request(key("a"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        requests.request(key("a"));
        requests.request(key("a"));
        tokio::time::sleep(Duration::from_secs(10)).await;
        stop.cancel();
        task.await.expect("dispatch");
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_and_again() {
        let (requests, receiver) = Requests::channel();
        let runs = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let counted = Arc::clone(&runs);
        let task = tokio::spawn(dispatch(receiver, 1, stop.clone(), move |_| {
            let runs = Arc::clone(&counted);
            async move { if runs.fetch_add(1, Ordering::SeqCst) < 5 { Next::Backoff } else { Next::OnRequest } }
        }));
        requests.request(key("a"));
        tokio::time::sleep(Duration::from_secs(120)).await;
        stop.cancel();
        task.await.expect("dispatch");
        assert_eq!(runs.load(Ordering::SeqCst), 6);
    }
}
