//! Which connections are idle, and which of them are to be closed.
//!
//! In: what each connection knows of itself, and how many are too many. Out: the longest idle ones are asked to close.
//! Each connection has a [`Seat`]; whether it is busy, idle or asked to close is one atomic number, so that a message
//! costs no lock and a connection is never asked twice. Forbidden here: sockets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::time::Instant;

/// A connection is idle only after this long. An app that uses one all the time pauses between two questions too, and
/// pools use a connection for a while without asking whether it lives: pgx for a second after it was given back,
/// HikariCP for half of one. What lies between its last answer and that moment comes on top.
const LEAST_IDLE: Duration = Duration::from_millis(1_500);

/// Not known to be idle.
const BUSY: u64 = 0;
/// Asked to close.
const ASKED: u64 = 1;
/// The first moment of being idle; later ones are milliseconds from here.
const FIRST: u64 = 2;

/// The seats of all connections.
#[derive(Debug)]
pub struct Seats {
    start: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Arc<Place>>,
}

/// What one connection is.
#[derive(Debug)]
struct Place {
    /// [`BUSY`], [`ASKED`], or since when it is idle.
    state: AtomicU64,
    waker: AtomicWaker,
}

/// The seat of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    number: u64,
    place: Arc<Place>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { start: Instant::now(), taken: Mutex::default() }
    }
}

impl Seats {
    /// A seat for a connection, which is busy.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Seat {
        let place = Arc::new(Place { state: AtomicU64::new(BUSY), waker: AtomicWaker::new() });
        let mut taken = self.taken();
        let number = taken.next;
        taken.next = taken.next.saturating_add(1);
        taken.seats.insert(number, Arc::clone(&place));
        drop(taken);
        Seat { seats: Arc::clone(self), number, place }
    }

    /// Asks idle connections to close until so many are on their way, the longest idle first. Gives back how many are.
    pub fn close(&self, excess: usize) -> usize {
        let oldest = self.now().saturating_sub(millis(LEAST_IDLE));
        let (mut closing, mut idle) = (0_usize, Vec::new());
        for place in self.taken().seats.values() {
            match place.state.load(Ordering::SeqCst) {
                BUSY => {}
                ASKED => closing = closing.saturating_add(1),
                since if since <= oldest => idle.push((since, Arc::clone(place))),
                _ => {}
            }
        }
        idle.sort_by_key(|(since, _)| *since);
        for (since, place) in idle {
            if closing >= excess {
                break;
            }
            // It may have become busy a moment ago: then it is left alone.
            if place.state.compare_exchange(since, ASKED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                place.waker.wake();
                closing = closing.saturating_add(1);
            }
        }
        closing
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed()).saturating_add(FIRST)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// It is idle from now on.
    pub fn idle(&self) {
        let now = self.seats.now();
        // One that was asked to close stays so.
        let _ = self.place.state.compare_exchange(BUSY, now, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// It is busy, and not to be closed even if it was asked to.
    pub fn busy(&self) {
        self.place.state.store(BUSY, Ordering::SeqCst);
    }

    /// Whether it was asked to close. `waker` is woken when it is.
    #[must_use]
    pub fn is_asked(&self, waker: &Waker) -> bool {
        self.place.waker.register(waker);
        self.place.state.load(Ordering::SeqCst) == ASKED
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().seats.remove(&self.number);
    }
}

/// In whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_asked(seat: &Seat) -> bool {
        seat.is_asked(Waker::noop())
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_as_are_too_many_are_asked_the_longest_idle_first() {
        let seats = Arc::new(Seats::default());
        let all: Vec<Seat> = (0..4).map(|_| seats.take()).collect();
        for number in [2, 0, 3] {
            all[number].idle();
            tokio::time::advance(LEAST_IDLE).await;
        }
        assert_eq!(seats.close(0), 0);
        assert_eq!(seats.close(2), 2);
        assert_eq!(all.iter().map(is_asked).collect::<Vec<_>>(), [true, false, true, false]);
        // Those on their way count, and the busy one is left alone.
        assert_eq!(seats.close(2), 2);
        assert_eq!(seats.close(4), 3);
        assert_eq!(all.iter().map(is_asked).collect::<Vec<_>>(), [true, false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_just_became_idle_or_is_busy_again_is_left_alone() {
        let seats = Arc::new(Seats::default());
        let seat = seats.take();
        seat.idle();
        assert_eq!(seats.close(1), 0);
        tokio::time::advance(LEAST_IDLE).await;
        seat.busy();
        assert_eq!(seats.close(1), 0);
        seat.idle();
        tokio::time::advance(LEAST_IDLE).await;
        assert_eq!(seats.close(1), 1);
        // Its client has sent something at the same moment.
        seat.busy();
        assert!(!is_asked(&seat));
        assert_eq!(seats.close(1), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_a_pool_uses_without_asking_whether_it_lives_is_left_alone() {
        let seats = Arc::new(Seats::default());
        let seat = seats.take();
        seat.idle();
        // pgx asks after a second.
        tokio::time::advance(Duration::from_millis(1_400)).await;
        assert_eq!(seats.close(1), 0);
        assert!(!is_asked(&seat));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(seats.close(1), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_was_left_counts_no_more() {
        let seats = Arc::new(Seats::default());
        let seat = seats.take();
        seat.idle();
        tokio::time::advance(LEAST_IDLE).await;
        assert_eq!(seats.close(1), 1);
        // Idle once more, it stays asked.
        seat.idle();
        assert!(is_asked(&seat));
        drop(seat);
        assert_eq!(seats.close(1), 0);
    }
}
