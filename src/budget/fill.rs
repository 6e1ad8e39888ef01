//! Progressive filling: the room is given out one raise at a time, always to the lowest.
//!
//! In: climbers (where each is, how far it may go, what one raise costs) and the room to spend. Out: where each ends,
//! exactly as if raised one by one; to avoid counting to four billion, bisection finds all heights below the one at
//! which the room runs out.
//! Forbidden here: knowing what is shared. `fair` raises sizes with it, `plan` slots.

use std::cmp::Ordering;

/// What is raised. Its height is `at × step / weight`.
pub(super) struct Climber<'a> {
    /// Breaks the last tie, so that the order of inputs does not matter.
    pub(super) name: &'a str,
    /// Where it is, in raises.
    pub(super) at: u64,
    /// Where it stops.
    pub(super) end: u64,
    /// What one raise takes from the room.
    pub(super) price: u64,
    /// What one raise adds to its height, before weighing; at least 1.
    pub(super) step: u64,
    /// How many times as high as weight 1 it may be; at least 1.
    pub(super) weight: u32,
}

/// Heights are measured in fractions of the largest weight, so that between two neighbouring heights each climber is
/// raised at most once.
#[derive(Clone, Copy)]
struct Scale(u32);

/// Spends `room` on `climbers` and returns what is left. Each step raises the lowest climber whose raise still fits by
/// one; among equally low ones the cheapest, then the first by name. A climber that once does not fit never fits again.
pub(super) fn fill(climbers: &mut [Climber<'_>], mut room: u64) -> u64 {
    let scale = Scale(climbers.iter().map(|c| c.weight).max().unwrap_or(1).max(1));
    let mut open: Vec<&mut Climber<'_>> = climbers.iter_mut().collect();
    let mut height = 0;
    loop {
        open.retain(|c| c.at < c.end && c.price <= room);
        if open.is_empty() {
            return room;
        }
        height = highest_affordable(&open, scale, height, room);
        for climber in &mut open {
            room -= climber.rise(scale, height);
        }
        height = height.saturating_add(1);
        room = raise_in_order(&mut open, scale, height, room);
    }
}

/// The largest height to which the room can lift all of them; it can lift them to `from`.
fn highest_affordable(open: &[&mut Climber<'_>], scale: Scale, from: u128, room: u64) -> u128 {
    let top = open.iter().map(|c| c.top(scale)).max().unwrap_or(from);
    let (mut fits, mut beyond, mut stride) = (from, top.saturating_add(1), 1_u128);
    // Gallop first: the next stop is usually near, and the range is 2⁹⁶.
    while stride < beyond - fits {
        let probe = fits + stride;
        if affordable(open, scale, probe, room) {
            fits = probe;
            stride = stride.saturating_mul(2);
        } else {
            beyond = probe;
            break;
        }
    }
    while beyond - fits > 1 {
        let probe = fits.midpoint(beyond);
        if affordable(open, scale, probe, room) {
            fits = probe;
        } else {
            beyond = probe;
        }
    }
    fits
}

/// Whether the room can lift all of them to that height.
fn affordable(open: &[&mut Climber<'_>], scale: Scale, height: u128, room: u64) -> bool {
    let mut left = room;
    open.iter().all(|climber| {
        let raises = climber.reaching(scale, height) - climber.at;
        match raises.checked_mul(climber.price).and_then(|cost| left.checked_sub(cost)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        }
    })
}

/// Raises by one, lowest first, the climbers below `height`, and returns what is left. A climber whose raise does not
/// fit stops where it is.
fn raise_in_order(open: &mut [&mut Climber<'_>], scale: Scale, height: u128, mut room: u64) -> u64 {
    let mut lowest: Vec<&mut &mut Climber<'_>> =
        open.iter_mut().filter(|c| c.reaching(scale, height) > c.at).collect();
    lowest.sort_unstable_by(|a, b| a.before(b));
    for climber in lowest {
        match room.checked_sub(climber.price) {
            Some(rest) => {
                climber.at += 1;
                room = rest;
            }
            None => climber.end = climber.at,
        }
    }
    room
}

impl Climber<'_> {
    /// Its raises once it has reached `height`: all raises that begin below that height are done.
    fn reaching(&self, scale: Scale, height: u128) -> u64 {
        let lifted = height.saturating_mul(u128::from(self.weight));
        let raises = lifted.div_ceil(u128::from(scale.0) * u128::from(self.step));
        u64::try_from(raises).unwrap_or(u64::MAX).clamp(self.at, self.end)
    }

    /// The height at which all its raises are done.
    fn top(&self, scale: Scale) -> u128 {
        let scaled = u128::from(self.end).saturating_mul(u128::from(self.step) * u128::from(scale.0));
        scaled.div_ceil(u128::from(self.weight))
    }

    /// Rises to that height and returns what it cost.
    fn rise(&mut self, scale: Scale, height: u128) -> u64 {
        let target = self.reaching(scale, height);
        let cost = (target - self.at).saturating_mul(self.price);
        self.at = target;
        cost
    }

    /// Which of two is raised first.
    fn before(&self, other: &Self) -> Ordering {
        let own = u128::from(self.at).saturating_mul(u128::from(self.step) * u128::from(other.weight));
        let its = u128::from(other.at).saturating_mul(u128::from(other.step) * u128::from(self.weight));
        own.cmp(&its).then(self.price.cmp(&other.price)).then_with(|| self.name.cmp(other.name))
    }
}
