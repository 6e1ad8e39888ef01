//! What must be true after every step, judged by what pods really hold.
//!
//! The sum is judged when it can grow: when a grant reaches its pod, and before that when the grant is recorded. U may
//! fall below the sum, by an edit or by a pod that bypasses the gate; a grant that was decided before may still arrive.
//! So each grant is judged by the largest U since the moment that its leader's pod watch had reached when it was
//! decided. If an edit put U below the sum, lost pods may be replaced within what was held then: the status's mark is
//! compared with what was really held, and grants with the mark.

use std::collections::HashMap;

use poolbudget::api::{DbConnectionBudgetStatus, Mode};

use super::clock;
use super::cluster::{BUDGETS, Cluster};
use super::mutation::Mutation;
use super::process::Known;

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// More is held, or held and recorded, than allowed.
    Over,
    /// A pod got a grant that no status had recorded.
    Unrecorded,
    /// A status states less than what is held.
    Understated,
    /// Something waits for ever.
    Stuck,
    /// The operator panicked.
    Panic,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub fault: Fault,
    pub what: String,
}

struct Recorded {
    connections: i64,
    at: i64,
    /// What its leader knew.
    known: Known,
    /// The sum within which lost pods may be replaced while U is below the sum.
    mark: u64,
}

/// The sums of a budget from a certain moment on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sums {
    at: i64,
    /// limit − reserved.
    available: u64,
    escaped: u64,
    /// Whether the mode limits no pods.
    free: bool,
}

pub struct Judge {
    /// By uid; a pod can be recorded more than once if its budget is recreated.
    recorded: HashMap<String, Vec<Recorded>>,
    /// When U changed, and to what.
    usable: [Vec<Sums>; BUDGETS.len()],
    /// The mark of each budget's last status.
    marks: [u64; BUDGETS.len()],
    /// The most that was held and promised while the mode limited no pods.
    heights: [u64; BUDGETS.len()],
    pub violation: Option<Violation>,
    mutation: Mutation,
    /// The largest sum, in thousandths of what was usable.
    pub peak: u64,
}

impl Judge {
    pub fn new(mutation: Mutation) -> Self {
        Self {
            recorded: HashMap::new(),
            usable: Default::default(),
            marks: Default::default(),
            heights: Default::default(),
            violation: None,
            mutation,
            peak: 0,
        }
    }

    pub fn complain(&mut self, fault: Fault, what: String) {
        self.violation.get_or_insert(Violation { fault, what });
    }

    /// Records the history of U.
    pub fn watch(&mut self, cluster: &Cluster) {
        for (budget, history) in self.usable.iter_mut().enumerate() {
            let Some(available) = cluster.available(budget) else { continue };
            let escaped = cluster.escaped(budget);
            let at = history.last().map_or(i64::MIN, |last| last.at);
            let free = cluster.is_free(budget);
            if free {
                let height = cluster.held(budget) + cluster.promised(budget);
                self.heights[budget] = self.heights[budget].max(height);
            }
            let now = Sums { at, available, escaped, free };
            if history.last() != Some(&now) {
                history.push(Sums { at: clock::now(), ..now });
            }
        }
    }

    /// Everything that was true at some time since `since`.
    fn since(&self, budget: usize, since: i64) -> &[Sums] {
        let history = &self.usable[budget];
        &history[history.iter().rposition(|sums| sums.at <= since).unwrap_or(0)..]
    }

    /// The largest U that a leader may assume which has seen everything up to `since`: an edit and an escaped pod come
    /// by different watches. The leader `recorded` the grant in the object that states the mode.
    fn most(&self, budget: usize, since: i64, recorded: i64, mark: u64) -> u64 {
        if self.since(budget, recorded).iter().any(|sums| sums.free) {
            return u64::MAX;
        }
        let history = self.since(budget, since);
        let available = history.iter().map(|sums| sums.available).max().unwrap_or(0);
        let escaped = history.iter().map(|sums| sums.escaped).min().unwrap_or(0);
        available.max(mark).saturating_sub(escaped)
    }

    /// The mark of a status: never more than was once allowed, or held while the mode limited nothing, plus what has
    /// escaped.
    fn mark(&mut self, budget: usize, status: &DbConnectionBudgetStatus, horizon: i64) -> u64 {
        let mark = status.ledger.high_water.map_or(0, i64::unsigned_abs);
        if mark > self.marks[budget] {
            let ever = self.usable[budget].iter().map(|sums| sums.available).max();
            let escaped = self.since(budget, horizon).iter().map(|sums| sums.escaped).max();
            let most = ever.unwrap_or(0).max(self.heights[budget]) + escaped.unwrap_or(0);
            if mark > most {
                let what =
                    format!("{} comes down from {mark}, {most} may have been held at most", BUDGETS[budget]);
                self.complain(Fault::Over, what);
            }
        }
        self.marks[budget] = mark;
        mark
    }

    /// A leader with this knowledge wrote a status.
    pub(crate) fn status_written(
        &mut self,
        cluster: &Cluster,
        budget: usize,
        status: &DbConnectionBudgetStatus,
        known: Known,
    ) {
        let (Known { horizon, .. }, now) = (known, clock::now());
        let mut fresh = false;
        // A leader still counts pods whose end its watch has not shown.
        if status.ledger.mode == Mode::Observe {
            self.heights[budget] = self.heights[budget].max(status.committed.unsigned_abs());
        }
        let mark = self.mark(budget, status, horizon);
        for grant in &status.ledger.grants {
            let recorded = self.recorded.entry(grant.uid.clone()).or_default();
            if recorded.iter().all(|before| before.connections != grant.connections) {
                fresh = true;
                recorded.push(Recorded { at: now, connections: grant.connections, known, mark });
            }
        }
        let held = cluster.held_as_far_as(budget, |at, named| known.has_seen(at, named));
        if fresh {
            let promised = cluster.promised(budget);
            let most = self.most(budget, horizon, now, mark);
            if held + promised > most {
                self.complain(
                    Fault::Over,
                    format!("{held} held and {promised} on their way in {}, {most} at most", BUDGETS[budget]),
                );
            }
        }
        self.compare(cluster, budget, status);
    }

    /// Whether the status can be true. With mutations that make it false, only the sum is judged.
    fn is_honest(&self) -> bool {
        use Mutation::{
            GrantsNotPersisted, LingerForgotten, ListBeforeEpoch, NodesNotAsked, TerminatingForgotten,
        };
        !matches!(
            self.mutation,
            GrantsNotPersisted | LingerForgotten | ListBeforeEpoch | NodesNotAsked | TerminatingForgotten
        )
    }

    fn compare(&mut self, cluster: &Cluster, budget: usize, status: &DbConnectionBudgetStatus) {
        // A status that raises the epoch repeats the previous one: what was left behind since then is named a moment
        // later.
        let held = cluster.held_as_far_as(budget, |_, named| named.is_some());
        // Before its first full status a budget states nothing.
        if self.is_honest() && status.observed_generation.is_some() && status.committed.unsigned_abs() < held
        {
            let what =
                format!("the status of {} says {}, {held} are held", BUDGETS[budget], status.committed);
            self.complain(Fault::Understated, what);
        }
    }

    /// A pod's gate was opened.
    pub fn granted(&mut self, cluster: &Cluster, id: u32) {
        let pod = &cluster.pods[&id];
        let budget = pod.facts.budget.expect("only governed pods have a gate");
        let bill = pod.bill();
        let same = |recorded: &&Recorded| recorded.connections.unsigned_abs() == bill;
        let recorded = self.recorded.get(&pod.uid()).into_iter().flatten().rfind(same);
        let now = clock::now();
        let unknown = Known { since: now, unbroken: now, horizon: now };
        let (at, known, mark) =
            recorded.map_or((now, unknown, 0), |recorded| (recorded.at, recorded.known, recorded.mark));
        if recorded.is_none() && self.is_honest() {
            self.complain(Fault::Unrecorded, format!("{} got {bill} that no status had recorded", pod.name));
        }
        let held = cluster.held_as_far_as(budget, |at, named| known.has_seen(at, named));
        let most = self.most(budget, known.horizon, at, mark);
        self.peak = self.peak.max(held * 1000 / most.max(1));
        if held > most {
            self.complain(Fault::Over, format!("{held} held in {}, {most} at most", BUDGETS[budget]));
        }
        if let Some(object) = &cluster.budgets[budget]
            && let Some(status) = &object.status
        {
            self.compare(cluster, budget, status);
        }
    }
}
