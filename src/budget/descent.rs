//! The way down: pods hold more than is usable because the user changed the spec to a lower limit or to mode Gate.
//!
//! In: what was recorded when it began, what pods hold now. Out: the sum within which a lost pod may come back until
//! everything is under the limit again. Without it, a lost pod would wait until the last oversize pod is gone, and a
//! workload that fits could be without any ready pod. The open connections never exceed those from when the way down
//! began. An escape does not start one, and neither does a mere belief of a leader: there was no new spec.

use super::amount::Connections;
use super::ledger::{Ledger, Pod};

/// The previous state and what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The mark of the last status.
    pub high_water: Option<Connections>,
    /// What the last status says was committed, where the spec has changed since that status.
    pub committed: Option<Connections>,
}

/// The mark in force: the carried one; a new one where a new spec makes less available than was committed before it and
/// is still held; or none once everything is under the limit.
#[must_use]
pub fn high_water(past: Past, available: Connections, ledger: &Ledger, pods: &[Pod]) -> Option<Connections> {
    let granted: Connections = pods.iter().filter(|pod| pod.hold.is_grant()).map(|pod| pod.hold.bill()).sum();
    // A pod may be gone without our knowing it, and a quarantined one most likely is: only what was committed under the
    // old spec is room that was really allowed.
    let begins = past.committed.map(|before| before.min(granted)).filter(|held| *held > available);
    let lasts = ledger.committed.plus(ledger.ungranted()) > available;
    past.high_water.or(begins.map(|held| held.plus(ledger.ungranted()))).filter(|_| lasts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ledger::Hold;

    fn pod(hold: Hold) -> Pod {
        Pod::sample(0, hold)
    }

    /// The mark with 13 available, two pods that were granted `bill`, one that escaped with 2, and 3 in quarantine.
    fn mark(carried: Option<u64>, before: Option<u64>, bill: u64) -> Option<u64> {
        let granted = pod(Hold::Granted(Connections::new(bill)));
        let pods = [granted.clone(), granted, pod(Hold::Escaped(Connections::new(2)))];
        let ledger = Ledger::of(&pods, &[Connections::new(3)]);
        let past =
            Past { high_water: carried.map(Connections::new), committed: before.map(Connections::new) };
        high_water(past, Connections::new(13), &ledger, &pods).map(Connections::get)
    }

    #[test]
    fn it_is_what_pods_held_when_a_new_spec_made_less_available() {
        assert_eq!(mark(None, Some(33), 15), Some(32));
        assert_eq!(mark(None, Some(10), 5), None, "it fits");
    }

    #[test]
    fn it_is_never_more_than_was_committed_before() {
        assert_eq!(mark(None, Some(20), 15), Some(22));
        assert_eq!(mark(None, Some(13), 15), None, "what is above that is only believed");
    }

    #[test]
    fn it_does_not_begin_without_a_new_spec_and_does_not_rise() {
        assert_eq!(mark(None, None, 15), None);
        assert_eq!(mark(Some(20), Some(33), 15), Some(20));
    }

    #[test]
    fn it_lasts_until_everything_is_under_the_limit() {
        assert_eq!(mark(Some(32), None, 6), Some(32));
        assert_eq!(mark(Some(32), None, 4), None);
    }
}
