//! How many connections may be open, and whose turn it is.
//!
//! In: who asks, who leaves, what is given back, how many are allowed. Out: who may go now. [`Cap`] is the rule alone,
//! without tasks and without a clock; [`SharedCap`] is the same for tasks. Forbidden here: sockets, and how long
//! anybody waits.

use std::collections::BTreeMap;

mod shared;

pub use shared::{Full, Permit, SharedCap, Standing};

/// The most that wait at a time. Each of them is an open socket; beyond that, one is refused at once.
pub const QUEUE: usize = 10_000;

/// A place in the queue. An earlier one is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What one who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may go, and counts as open from now on.
    Go,
    /// It has this place, and goes when it is named.
    Wait(Ticket),
    /// The queue is full: it is not in it.
    Full,
}

/// Connections that are open, those that may be, and who waits. `W` is what wakes one that waits.
///
/// One goes only while fewer are open than allowed, and only if nobody waits before it. So it holds that somebody
/// waits only while nothing is free, and that no more are open than were allowed when the last of them went.
#[derive(Debug)]
pub struct Cap<W> {
    /// None until the number is known: then nobody goes.
    allowed: Option<u32>,
    open: u32,
    peak: u32,
    next: u64,
    queue: BTreeMap<Ticket, W>,
}

impl<W> Default for Cap<W> {
    fn default() -> Self {
        Self { allowed: None, open: 0, peak: 0, next: 0, queue: BTreeMap::new() }
    }
}

impl<W> Cap<W> {
    /// Asks for a connection.
    pub fn ask(&mut self, waiter: W) -> Answer {
        // Nobody waits while one is free, so nobody is passed over.
        let answer = if self.is_free() {
            self.go();
            Answer::Go
        } else if self.queue.len() >= QUEUE {
            Answer::Full
        } else {
            let ticket = Ticket(self.next);
            self.next = self.next.saturating_add(1);
            self.queue.insert(ticket, waiter);
            Answer::Wait(ticket)
        };
        self.check();
        answer
    }

    /// Gives up a place in the queue. None if nobody has it: who had it was named before, or left before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<W> {
        self.queue.remove(&ticket)
    }

    /// Gives back a connection that is closed. Those that go now are named in their order.
    pub fn give_back(&mut self) -> Vec<W> {
        debug_assert!(self.open > 0, "nothing is open that could be given back");
        self.open = self.open.saturating_sub(1);
        self.admit()
    }

    /// Sets how many may be open. What is open above that stays open, but nobody goes until enough is given back.
    pub fn set_allowed(&mut self, allowed: u32) -> Vec<W> {
        self.allowed = Some(allowed);
        self.admit()
    }

    /// How many may be open; none until that is known.
    #[must_use]
    pub fn allowed(&self) -> Option<u32> {
        self.allowed
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open
    }

    /// The most that were open at a time.
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Who goes next.
    #[must_use]
    pub fn first(&self) -> Option<&W> {
        self.queue.first_key_value().map(|(_, waiter)| waiter)
    }

    fn is_free(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.open < allowed)
    }

    fn go(&mut self) {
        self.open = self.open.saturating_add(1);
        self.peak = self.peak.max(self.open);
        debug_assert!(self.allowed.is_some_and(|allowed| self.open <= allowed), "more open than allowed");
    }

    fn admit(&mut self) -> Vec<W> {
        let mut going = Vec::new();
        while self.is_free() {
            let Some((_, waiter)) = self.queue.pop_first() else { break };
            self.go();
            going.push(waiter);
        }
        self.check();
        going
    }

    fn check(&self) {
        debug_assert!(self.queue.is_empty() || !self.is_free(), "somebody waits although one is free");
        debug_assert!(self.queue.len() <= QUEUE, "the queue is longer than its bound");
    }
}

#[cfg(test)]
mod tests;
