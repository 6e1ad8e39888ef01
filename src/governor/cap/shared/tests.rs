//! Tasks that wait, are cancelled, hold and give back, in every order: by hand, one poll at a time, and as threads
//! whose steps are put into random orders.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use shuttle::scheduler::RandomScheduler;

use super::*;

thread_local! {
    /// Where threads may take turns while their orders are tried; elsewhere nothing happens here.
    static BEFORE_THE_LOCK: Cell<fn()> = const { Cell::new(|| {}) };
}

pub(super) fn before_the_lock() {
    BEFORE_THE_LOCK.with(Cell::get)();
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A future that is polled by hand.
struct Asking {
    future: Pin<Box<dyn Future<Output = Result<Permit, Full>>>>,
    woken: Arc<Woken>,
    polled: bool,
}

impl Asking {
    fn of(cap: &SharedCap) -> Self {
        let cap = cap.clone();
        Self { future: Box::pin(async move { cap.permit().await }), woken: Arc::default(), polled: false }
    }

    fn poll(&mut self) -> Option<Permit> {
        self.polled = true;
        let waker = Waker::from(Arc::clone(&self.woken));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(permit)) => Some(permit),
            Poll::Ready(Err(Full)) => panic!("the queue is short"),
            Poll::Pending => None,
        }
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(SeqCst) > 0
    }
}

/// What happens. A number says to whom, among those to whom it can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody asks.
    Ask,
    /// One that waits is polled.
    Poll(usize),
    /// One that waits is dropped, whether or not its permit is on its way.
    Cancel(usize),
    /// One that holds a permit drops it.
    GiveBack(usize),
    Allow(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        3 => (0..20usize).prop_map(Step::Poll),
        2 => (0..20usize).prop_map(Step::Cancel),
        3 => (0..20usize).prop_map(Step::GiveBack),
        2 => (0..6u32).prop_map(Step::Allow),
    ]
}

/// Carries out one step.
fn take(step: Step, cap: &SharedCap, waiting: &mut Vec<Asking>, held: &mut Vec<Permit>) {
    match step {
        Step::Ask => {
            let mut asking = Asking::of(cap);
            match asking.poll() {
                Some(permit) => held.push(permit),
                None => waiting.push(asking),
            }
        }
        Step::Poll(n) if !waiting.is_empty() => {
            let place = n % waiting.len();
            if let Some(permit) = waiting[place].poll() {
                held.push(permit);
                drop(waiting.remove(place));
            }
        }
        Step::Cancel(n) if !waiting.is_empty() => drop(waiting.remove(n % waiting.len())),
        Step::GiveBack(n) if !held.is_empty() => drop(held.swap_remove(n % held.len())),
        Step::Allow(allowed) => cap.set_allowed(allowed),
        Step::Poll(_) | Step::Cancel(_) | Step::GiveBack(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_permit_and_no_wake_up_is_lost_and_there_are_never_too_many(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let cap = SharedCap::default();
        let (mut waiting, mut held) = (Vec::new(), Vec::new());
        let mut before = cap.standing();
        for step in steps {
            take(step, &cap, &mut waiting, &mut held);
            let now = cap.standing();
            // Those that were named are woken, and are the first of those that wait.
            let woken = waiting.iter().filter(|asking| asking.is_woken()).count();
            prop_assert!(waiting.iter().take(woken).all(Asking::is_woken), "out of turn");
            prop_assert_eq!(usize::try_from(now.open).unwrap(), held.len() + woken);
            prop_assert_eq!(now.waiting, waiting.len() - woken);
            let allowed = now.allowed.unwrap_or(0);
            prop_assert!(now.open <= allowed || now.open <= before.open, "more than allowed went");
            prop_assert!(now.waiting == 0 || now.open >= allowed, "one is free, and one waits");
            before = now;
        }
        // With room for all, each that waits has been woken and gets its permit.
        cap.set_allowed(1_000);
        for mut asking in waiting {
            prop_assert!(asking.is_woken() && asking.polled);
            held.push(asking.poll().expect("a permit"));
        }
        drop(held);
        prop_assert_eq!((cap.standing().open, cap.standing().waiting), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_that_waits_says_how_long() {
    let cap = SharedCap::default();
    let first = Asking::of(&cap).polled_once();
    tokio::time::advance(Duration::from_secs(2)).await;
    let second = Asking::of(&cap).polled_once();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(cap.standing().longest_wait, Duration::from_secs(3));
    drop(first);
    assert_eq!(cap.standing().longest_wait, Duration::from_secs(1));
    drop(second);
    assert_eq!(cap.standing().longest_wait, Duration::ZERO);
}

impl Asking {
    fn polled_once(mut self) -> Self {
        assert!(self.poll().is_none());
        self
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let cap = SharedCap::default();
    let waiting: Vec<Asking> = (0..super::super::QUEUE).map(|_| Asking::of(&cap).polled_once()).collect();
    assert!(cap.permit().await.is_err());
    drop(waiting);
    cap.set_allowed(1);
    assert!(cap.permit().await.is_ok());
}

/// The number of orders that are tried.
const ORDERS: usize = 2_000;

/// Runs this in many orders of its threads' steps.
fn in_many_orders(test: impl Fn() + Send + Sync + 'static) {
    let runner = shuttle::Runner::new(RandomScheduler::new(ORDERS), shuttle::Config::new());
    runner.run(move || {
        BEFORE_THE_LOCK.with(|hook| hook.set(shuttle::thread::yield_now));
        test();
        BEFORE_THE_LOCK.with(|hook| hook.set(|| {}));
    });
}

#[test]
fn threads_that_come_and_go_are_never_too_many_and_all_get_their_turn() {
    in_many_orders(|| {
        let (cap, open) = (SharedCap::default(), Arc::new(AtomicU32::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (cap, open) = (cap.clone(), Arc::clone(&open));
                shuttle::thread::spawn(move || {
                    let permit = shuttle::future::block_on(cap.permit()).expect("a permit");
                    assert!(open.fetch_add(1, SeqCst) < 2, "more than the largest number are open");
                    shuttle::thread::yield_now();
                    open.fetch_sub(1, SeqCst);
                    drop(permit);
                })
            })
            .collect();
        for allowed in [2, 0, 1] {
            cap.set_allowed(allowed);
            shuttle::thread::yield_now();
        }
        // A lost wake-up or a lost permit would leave somebody waiting for ever, which is found as a deadlock.
        threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
        assert_eq!((cap.standing().open, cap.standing().waiting), (0, 0));
    });
}

#[test]
fn a_permit_on_its_way_to_one_that_leaves_goes_to_the_next() {
    in_many_orders(|| {
        let cap = SharedCap::default();
        cap.set_allowed(1);
        let held = shuttle::future::block_on(cap.permit()).expect("a permit");
        let leaver = {
            let cap = cap.clone();
            shuttle::thread::spawn(move || {
                let mut asking = Asking::of(&cap);
                let permit = asking.poll();
                shuttle::thread::yield_now();
                drop(asking);
                drop(permit);
            })
        };
        let stayer = {
            let cap = cap.clone();
            shuttle::thread::spawn(move || drop(shuttle::future::block_on(cap.permit()).expect("a permit")))
        };
        drop(held);
        leaver.join().expect("a thread");
        stayer.join().expect("a thread");
        assert_eq!((cap.standing().open, cap.standing().waiting), (0, 0));
    });
}
