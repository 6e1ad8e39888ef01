//! The ledger: what the pods of one budget may hold, derived afresh from the pods each time.
//!
//! In: one [`Pod`] per labelled pod that is not gone, quarantined bills. Out: sums per budget and per workload. A pod
//! counts from its grant until it is really gone; a terminating pod still holds its sockets and counts in full.

use super::amount::{Connections, Instances, Pods};

/// What a pod may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Gated, no grant: it cannot open a connection.
    Waiting,
    /// Observed as gated, but its grant is recorded and may already be on its way to the API server.
    InFlight(Connections),
    /// Ungated with a grant.
    Granted(Connections),
    /// Ungated, labelled, without a grant: it escaped the gate and holds what its own env says.
    Escaped(Connections),
}

impl Hold {
    /// The connections that count, granted or not.
    #[must_use]
    pub const fn bill(self) -> Connections {
        match self {
            Self::Waiting => Connections::ZERO,
            Self::InFlight(bill) | Self::Granted(bill) | Self::Escaped(bill) => bill,
        }
    }

    /// Whether a grant gave the pod its bill.
    #[must_use]
    pub const fn is_grant(self) -> bool {
        matches!(self, Self::InFlight(_) | Self::Granted(_))
    }
}

/// One labelled pod that is not gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// The object's uid; unique for ever.
    pub uid: String,
    /// The object's name, the second key of the queue.
    pub name: String,
    /// Index of its workload among those of the budget; none when its owner is not (yet) known.
    pub workload: Option<usize>,
    /// Creation time in seconds, the first key of the queue.
    pub created: i64,
    /// Seconds since its creation.
    pub age: u64,
    /// What it may hold.
    pub hold: Hold,
    /// What it was seen to open, or to be able to open, beyond that.
    pub excess: Connections,
    /// Seconds since its containers could start; its age where that is not known.
    pub started: u64,
    /// Whether its Ready condition is true.
    pub ready: bool,
    /// Whether its deletion has begun.
    pub terminating: bool,
    /// Whether it is terminating and its grace period is over: its end is no longer counted on.
    pub overdue: bool,
    /// Whether its controller will end it, because its ordinal is beyond the replicas. Until then its connections
    /// count, but it is not one of the workload's pods.
    pub leaving: bool,
    /// Whether it belongs to the newest revision of its workload.
    pub current: bool,
    /// Instances (pools) in this pod, by its own annotations.
    pub instances: Instances,
    /// The smallest size that one of its instances obeys.
    pub least: Connections,
    /// What it would hold without a budget.
    pub own: Own,
}

/// What a pod would hold by its own env.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Of one pool.
    pub size: Connections,
    /// Of all its pools.
    pub bill: Connections,
}

impl Pod {
    /// Granted, not terminating, not leaving: what the protocol calls admitted.
    #[must_use]
    pub const fn admitted(&self) -> bool {
        self.hold.is_grant() && !self.terminating && !self.leaving
    }

    /// Granted, of the newest revision, and still not ready so many seconds after its containers could start.
    #[must_use]
    pub const fn starts_in_vain(&self, seconds: u64) -> bool {
        let stays = matches!(self.hold, Hold::Granted(_)) && self.current && !self.terminating;
        stays && !self.ready && self.started >= seconds
    }

    /// In the queue: gated, without a grant, not terminating, not leaving.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.hold, Hold::Waiting) && !self.terminating && !self.leaving
    }
}

/// Pods of a workload from before its label: not in the sum, but part of the workload (protocol: adoption).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unadopted {
    /// How many there are.
    pub pods: Pods,
    /// How many of them are ready.
    pub ready: Pods,
    /// What they may hold on top of the budget.
    pub connections: Connections,
    /// Whether one can be ended without another like it taking its place.
    pub yields: bool,
}

impl Unadopted {
    /// The sum of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            pods: self.pods.plus(other.pods),
            ready: self.ready.plus(other.ready),
            connections: self.connections.plus(other.connections),
            yields: self.yields || other.yields,
        }
    }
}

/// The sums of one workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// All pods of the workload: admitted, escaped, or from before adoption. The workload's own controller counts them
    /// all, so the classes of the queue do too.
    pub admitted: Pods,
    /// How many of them are ready.
    pub ready: Pods,
    /// Pods with a grant that are not terminating.
    pub granted: Pods,
    /// Terminating pods that still hold connections.
    pub draining: Pods,
    /// What those will give back that are still within their grace period.
    pub returning: Connections,
    /// Pods that wait at the gate.
    pub waiting: Pods,
    /// Bills of all its pods with a grant, draining ones included.
    pub committed: Connections,
    /// Bills of its admitted pods only.
    pub admitted_bills: Connections,
    /// Pods that escaped the gate.
    pub escaped: Pods,
    /// What the escaped pods may hold.
    pub escaped_bills: Connections,
    /// Whether every one of these pods is of the newest revision and ready, and none waits.
    pub whole: bool,
}

/// The sums of one budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Bills of all granted pods that are not gone, including grants in flight, draining and quarantined pods.
    pub committed: Connections,
    /// What comes back by itself: bills of draining and quarantined pods.
    pub draining: Connections,
    /// How many pods are draining or quarantined.
    pub draining_pods: Pods,
    /// What pods that escaped the gate may hold; subtracted from the limit.
    pub escaped: Connections,
    /// What pods were seen to hold beyond what they may; subtracted from the limit too.
    pub excess: Connections,
}

impl Ledger {
    /// Adds up `pods`. `quarantine` has the bills that are kept for pods that vanished without showing that their containers
    /// ended.
    #[must_use]
    pub fn of(pods: &[Pod], quarantine: &[Connections]) -> Self {
        let mut ledger = Self {
            committed: quarantine.iter().copied().sum(),
            draining: quarantine.iter().copied().sum(),
            draining_pods: Pods::new(u32::try_from(quarantine.len()).unwrap_or(u32::MAX)),
            escaped: Connections::ZERO,
            excess: Connections::ZERO,
        };
        for pod in pods {
            ledger.add(pod);
        }
        ledger
    }

    /// What pods hold that no grant gave them.
    #[must_use]
    pub const fn ungranted(&self) -> Connections {
        self.escaped.plus(self.excess)
    }

    fn add(&mut self, pod: &Pod) {
        let bill = pod.hold.bill();
        if pod.hold.is_grant() {
            self.committed = self.committed.plus(bill);
        } else {
            self.escaped = self.escaped.plus(bill);
        }
        self.excess = self.excess.plus(pod.excess);
        if pod.terminating && pod.hold != Hold::Waiting {
            self.draining = self.draining.plus(bill).plus(pod.excess);
            self.draining_pods = self.draining_pods.plus(Pods::ONE);
        }
    }
}

impl Standing {
    /// The sums of each workload. `unadopted` has one entry per workload.
    #[must_use]
    pub fn of_each(pods: &[Pod], unadopted: impl Iterator<Item = Unadopted>) -> Vec<Self> {
        let mut standings: Vec<Self> = unadopted.map(Self::before_adoption).collect();
        for pod in pods {
            if let Some(standing) = pod.workload.and_then(|w| standings.get_mut(w)) {
                standing.add(pod);
            }
        }
        standings
    }

    fn before_adoption(unadopted: Unadopted) -> Self {
        Self {
            admitted: unadopted.pods,
            ready: unadopted.ready,
            whole: unadopted.pods == Pods::ZERO,
            ..Self::default()
        }
    }

    fn add(&mut self, pod: &Pod) {
        let bill = pod.hold.bill();
        if pod.terminating || pod.leaving {
            if pod.hold.is_grant() {
                self.committed = self.committed.plus(bill);
            }
            self.whole &= pod.terminating;
            if pod.terminating && pod.hold != Hold::Waiting {
                self.draining = self.draining.plus(Pods::ONE);
                if !pod.overdue {
                    self.returning = self.returning.plus(bill);
                }
            }
            return;
        }
        match pod.hold {
            Hold::Waiting => self.waiting = self.waiting.plus(Pods::ONE),
            Hold::InFlight(_) | Hold::Granted(_) => {
                self.granted = self.granted.plus(Pods::ONE);
                self.admitted = self.admitted.plus(Pods::ONE);
                self.committed = self.committed.plus(bill);
                self.admitted_bills = self.admitted_bills.plus(bill);
            }
            Hold::Escaped(_) => {
                self.admitted = self.admitted.plus(Pods::ONE);
                self.escaped = self.escaped.plus(Pods::ONE);
                self.escaped_bills = self.escaped_bills.plus(bill);
            }
        }
        if pod.ready && pod.hold != Hold::Waiting {
            self.ready = self.ready.plus(Pods::ONE);
        }
        self.whole &= pod.current && pod.ready && pod.hold.is_grant();
    }
}

#[cfg(test)]
impl Pod {
    /// A pod that has been Ready for a while.
    pub(super) fn sample(workload: usize, hold: Hold) -> Self {
        Self {
            uid: String::new(),
            name: String::new(),
            workload: Some(workload),
            created: 0,
            age: 100,
            hold,
            excess: Connections::ZERO,
            started: 100,
            ready: true,
            terminating: false,
            overdue: false,
            leaving: false,
            current: true,
            instances: Instances::ONE,
            least: Connections::ONE,
            own: Own::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(hold: Hold) -> Pod {
        Pod::sample(0, hold)
    }

    fn granted(bill: u64) -> Pod {
        pod(Hold::Granted(Connections::new(bill)))
    }

    fn ledger(pods: &[Pod]) -> Ledger {
        Ledger::of(pods, &[])
    }

    fn standing(pods: &[Pod], unadopted: Unadopted) -> Standing {
        let [standing] = Standing::of_each(pods, [unadopted].into_iter())[..] else { panic!("one workload") };
        standing
    }

    #[test]
    fn a_pod_is_on_the_bill_from_its_recorded_grant_until_it_is_gone() {
        let in_flight = Pod { ready: false, ..pod(Hold::InFlight(Connections::new(2))) };
        let draining = Pod { terminating: true, ..granted(5) };
        let waiting = Pod { ready: false, ..pod(Hold::Waiting) };
        let pods = [waiting, in_flight, granted(3), draining];
        let ledger = ledger(&pods);
        let expected = Standing {
            admitted: Pods::new(2),
            ready: Pods::ONE,
            granted: Pods::new(2),
            draining: Pods::ONE,
            returning: Connections::new(5),
            waiting: Pods::ONE,
            committed: Connections::new(10),
            admitted_bills: Connections::new(5),
            ..Standing::default()
        };
        assert_eq!(standing(&pods, Unadopted::default()), expected);
        assert_eq!((ledger.committed, ledger.draining), (Connections::new(10), Connections::new(5)));
    }

    #[test]
    fn a_pod_beyond_the_replicas_is_on_the_bill_and_does_not_stand() {
        let pods = [granted(3), Pod { leaving: true, ..granted(4) }];
        let (ledger, standing) = (ledger(&pods), standing(&pods, Unadopted::default()));
        assert_eq!((standing.admitted.get(), standing.draining.get(), standing.whole), (1, 0, false));
        assert_eq!((ledger.committed, ledger.draining), (Connections::new(7), Connections::ZERO));
    }

    #[test]
    fn what_is_quarantined_counts_as_draining() {
        let ledger = Ledger::of(&[granted(3)], &[Connections::new(4)]);
        assert_eq!((ledger.committed, ledger.draining), (Connections::new(7), Connections::new(4)));
        assert_eq!(ledger.draining_pods, Pods::ONE);
    }

    #[test]
    fn an_escaped_pod_stands_but_its_bill_is_taken_off_the_limit() {
        let escaped = pod(Hold::Escaped(Connections::new(15)));
        let leaving = Pod { terminating: true, ..escaped.clone() };
        let pods = [granted(3), escaped, leaving];
        let (ledger, standing) = (ledger(&pods), standing(&pods, Unadopted::default()));
        assert_eq!((ledger.committed, ledger.escaped), (Connections::new(3), Connections::new(30)));
        assert_eq!((standing.admitted.get(), standing.granted.get(), standing.escaped.get()), (2, 1, 1));
    }

    #[test]
    fn what_a_pod_opens_beyond_its_grant_is_taken_off_the_limit_until_it_is_gone() {
        let more = Pod { excess: Connections::new(4), ..granted(3) };
        let draining = Pod { terminating: true, ..more.clone() };
        let ledger = ledger(&[more, draining]);
        assert_eq!((ledger.committed.get(), ledger.excess.get(), ledger.ungranted().get()), (6, 8, 8));
        assert_eq!(ledger.draining.get(), 7);
    }

    #[test]
    fn pods_from_before_the_label_stand_without_a_bill() {
        let unadopted = Unadopted {
            pods: Pods::new(3),
            ready: Pods::new(2),
            connections: Connections::new(45),
            yields: true,
        };
        let standing = standing(&[granted(3)], unadopted);
        assert_eq!((standing.admitted.get(), standing.ready.get()), (4, 3));
        assert_eq!(
            (standing.committed, ledger(&[granted(3)]).committed),
            (Connections::new(3), Connections::new(3))
        );
    }

    #[test]
    fn a_pod_of_an_unknown_workload_is_on_the_bill_of_the_budget() {
        let pods = [Pod { workload: None, ..granted(3) }, Pod { workload: Some(9), ..granted(4) }];
        assert_eq!(ledger(&pods).committed, Connections::new(7));
        let none = Standing { whole: true, ..Standing::default() };
        assert_eq!(standing(&pods, Unadopted::default()), none);
    }

    #[test]
    fn a_workload_is_whole_only_when_all_that_stands_is_new_ready_and_granted() {
        let whole = |pods: &[Pod]| standing(pods, Unadopted::default()).whole;
        assert!(whole(&[granted(3), granted(2)]));
        assert!(whole(&[granted(3), Pod { terminating: true, current: false, ..granted(3) }]));
        assert!(!whole(&[granted(3), Pod { current: false, ..granted(3) }]));
        assert!(!whole(&[granted(3), Pod { ready: false, ..granted(3) }]));
        assert!(!whole(&[granted(3), Pod { ready: false, ..pod(Hold::Waiting) }]));
        assert!(!whole(&[granted(3), pod(Hold::Escaped(Connections::ONE))]));
        let unadopted = Unadopted { pods: Pods::ONE, ..Unadopted::default() };
        assert!(!standing(&[], unadopted).whole);
    }
}
