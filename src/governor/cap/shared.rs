//! The cap for tasks: a task awaits a [`Permit`], and dropping the permit gives it back.
//!
//! In: tasks. Out: permits. No lock is held while anything is awaited, woken or dropped. Forbidden here: a rule of its
//! own; all of them are in [`Cap`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Answer, Cap, Ticket};

/// A cap that tasks share.
#[derive(Clone, Debug, Default)]
pub struct SharedCap(Arc<Mutex<Cap<Waiter>>>);

/// One that waits.
#[derive(Debug)]
struct Waiter {
    since: Instant,
    /// Brings the permit. If nobody takes it, it comes back.
    way: oneshot::Sender<Permit>,
}

/// One connection that may be open. It is given back when this is dropped, wherever that is.
#[derive(Debug)]
pub struct Permit {
    /// None once it was given back.
    cap: Option<SharedCap>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// How the cap stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many may be open; none until that is known.
    pub allowed: Option<u32>,
    /// How many are open.
    pub open: u32,
    /// How many wait.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
    /// The most that were open at a time.
    pub peak: u32,
}

impl SharedCap {
    /// Waits for a permit, in the order in which tasks ask. A task that stops waiting is out of the queue.
    ///
    /// # Errors
    /// At once, when too many wait.
    pub async fn permit(&self) -> Result<Permit, Full> {
        let (way, arrival) = oneshot::channel();
        let answer = self.lock().ask(Waiter { since: Instant::now(), way });
        let ticket = match answer {
            Answer::Go => return Ok(Permit::of(self)),
            Answer::Full => return Err(Full),
            Answer::Wait(ticket) => ticket,
        };
        let _place = Place { cap: self, ticket };
        // The other end is in the queue until it brings the permit, so it cannot be gone.
        arrival.await.map_err(|_| Full)
    }

    /// Sets how many may be open.
    pub fn set_allowed(&self, allowed: u32) {
        let going = self.lock().set_allowed(allowed);
        self.bring(going);
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let cap = self.lock();
        Standing {
            allowed: cap.allowed(),
            open: cap.open(),
            waiting: cap.waiting(),
            longest_wait: cap.first().map_or(Duration::ZERO, |first| first.since.elapsed()),
            peak: cap.peak(),
        }
    }

    /// Brings those that go their permits. One that has stopped waiting a moment ago cannot take it: then the next goes.
    fn bring(&self, going: Vec<Waiter>) {
        let mut going = VecDeque::from(going);
        while let Some(waiter) = going.pop_front() {
            if let Err(permit) = waiter.way.send(Permit::of(self)) {
                going.extend(permit.back());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cap<Waiter>> {
        #[cfg(test)]
        tests::before_the_lock();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    fn of(cap: &SharedCap) -> Self {
        Self { cap: Some(cap.clone()) }
    }

    /// Gives it back, and leaves it to the caller to bring those their permits that go now.
    fn back(mut self) -> Vec<Waiter> {
        self.cap.take().map(|cap| cap.lock().give_back()).unwrap_or_default()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(cap) = self.cap.take() {
            let going = cap.lock().give_back();
            cap.bring(going);
        }
    }
}

/// A place in the queue, which is left when it is dropped.
struct Place<'a> {
    cap: &'a SharedCap,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = self.cap.lock().leave(self.ticket);
        // Only now: what is dropped here may wake somebody.
        drop(left);
    }
}

#[cfg(test)]
mod tests;
