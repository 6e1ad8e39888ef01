//! What a report says of a recording.
//!
//! In: what the judge sees. Out: counts, peaks and waits. It judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::bill::{Account, Standing};

use super::book::Figures;
use super::judge::View;

/// Counts of a recording.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writes of pods and budgets.
    pub changes: u64,
    /// Rises of what is held: each was judged.
    pub rises: u64,
    /// Those of them that would not have fitted beside an escaped pod of which the leader could not know yet.
    pub unaware: u64,
    /// Take-overs of a budget by a new leader.
    pub takeovers: usize,
    /// Pods that passed the gate.
    pub escaped: usize,
    /// Pods that vanished while they ran, and counted on.
    pub vanished: usize,
    /// From its birth behind the gate to its grant, for each pod that was granted.
    pub waits: Vec<Duration>,
    /// For each budget the rise that came closest to what was usable: held, usable.
    pub peaks: BTreeMap<Account, (u64, u64)>,
    /// The same for moments in which what is usable had been lowered under what was held already.
    pub lowered: BTreeMap<Account, (u64, u64)>,
}

impl Tally {
    /// A pod became what it is now.
    pub fn follow(&mut self, at: Duration, view: &View, old: Option<&View>) {
        let was = old.map(|old| old.bill.standing);
        match view.bill.standing {
            Standing::Granted { .. } if was == Some(Standing::Gated) => {
                self.waits.push(at.saturating_sub(view.born));
            }
            Standing::Foreign if was != Some(Standing::Foreign) => self.escaped += 1,
            _ => {}
        }
    }

    /// What a budget holds changed, or stayed.
    pub fn weigh(&mut self, account: &Account, figures: &Figures, was: u64) {
        let Figures { held, usable, noticed, .. } = *figures;
        if held > was {
            self.rises += 1;
            self.unaware += u64::from(held > usable && held <= noticed);
            keep_larger(&mut self.peaks, account, (held, noticed));
        } else if held > usable {
            keep_larger(&mut self.lowered, account, (held, usable));
        }
    }

    /// The closest of all budgets' peaks: held, usable.
    pub fn peak(&self) -> (u64, u64) {
        let nothing = (0, 1);
        self.peaks
            .values()
            .fold(nothing, |closest, peak| if is_larger(*peak, closest) { *peak } else { closest })
    }

    /// The wait that so many of a hundred pods did not exceed; none when nobody waited.
    pub fn wait(&self, percent: usize) -> Option<Duration> {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let rank = (waits.len() * percent).div_ceil(100).max(1);
        waits.get(rank - 1).copied()
    }
}

/// Keeps the pair with the larger quotient.
fn keep_larger(pairs: &mut BTreeMap<Account, (u64, u64)>, account: &Account, new: (u64, u64)) {
    let kept = pairs.entry(account.clone()).or_insert((0, 1));
    if is_larger(new, *kept) {
        *kept = new;
    }
}

/// Whether the first quotient is larger. Something of nothing is more than all.
fn is_larger(one: (u64, u64), other: (u64, u64)) -> bool {
    u128::from(one.0) * u128::from(other.1) > u128::from(other.0) * u128::from(one.1)
}
