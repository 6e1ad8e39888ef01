//! What a run tells: a line now and then, and a table in the end.
//!
//! In: what was done, and the recorder. Out: text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::actions::{Action, Outcome};
use super::faults::Fault;
use super::recorder::Recorder;

/// What was done.
#[derive(Debug, Default)]
pub struct Deeds {
    actions: BTreeMap<&'static str, Ends>,
    faults: BTreeMap<Fault, usize>,
}

/// How the actions of one kind ended.
#[derive(Debug, Default, Clone, Copy)]
struct Ends {
    done: usize,
    refused: usize,
    unanswered: usize,
}

impl Deeds {
    /// An action was done, or not.
    pub fn acted(&mut self, action: &Action, outcome: &Outcome) {
        let ends = self.actions.entry(action.kind()).or_default();
        match outcome {
            Outcome::Done => ends.done += 1,
            Outcome::Refused(_) => ends.refused += 1,
            Outcome::Unanswered => ends.unanswered += 1,
            Outcome::Nothing => {}
        }
    }

    /// A fault was made good.
    pub fn struck(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn sum(&self) -> Ends {
        self.actions.values().fold(Ends::default(), |sum, ends| Ends {
            done: sum.done + ends.done,
            refused: sum.refused + ends.refused,
            unanswered: sum.unanswered + ends.unanswered,
        })
    }

    /// One line of how it stands.
    pub fn progress(&self, elapsed: Duration, recorder: &Recorder) -> String {
        let judge = recorder.judge();
        let mut line = format!(
            "{:>4} s  {} actions, {} faults, {} writes seen; held of usable:",
            elapsed.as_secs(),
            self.sum().done,
            self.faults.values().sum::<usize>(),
            judge.tally().changes
        );
        let (mut waiting, mut escaped) = (0, 0);
        for (account, figures) in judge.figures(recorder.now()) {
            let _ = write!(line, " {account} {}/{}", figures.held, figures.usable);
            waiting += figures.waiting;
            escaped += figures.escaped;
        }
        let _ =
            write!(line, "; {waiting} wait, {escaped} escaped; peak Σ/U {}", quotient(judge.tally().peak()));
        line
    }

    /// The closing table.
    pub fn table(&self, recorder: &Recorder) -> String {
        let judge = recorder.judge();
        let tally = judge.tally();
        let sum = self.sum();
        let actions = self.actions.iter().map(|(kind, ends)| format!("{kind} {}", ends.done));
        let faults = self.faults.iter().map(|(fault, count)| format!("{} {count}", fault.name()));
        let of = |pairs: &BTreeMap<_, (u64, u64)>| {
            let words = pairs.iter().map(|(account, (held, usable))| format!("{account} {held} of {usable}"));
            list(words)
        };
        let wait = |percent| tally.wait(percent).map_or("-".to_owned(), seconds);
        let rows = [
            (
                "events",
                format!(
                    "{} writes of pods and budgets seen, {} rises judged, {} grants, {} take-overs of a budget",
                    tally.changes,
                    tally.rises,
                    tally.waits.len(),
                    tally.takeovers
                ),
            ),
            (
                "actions",
                format!(
                    "{} done ({}); {} refused, {} without an answer",
                    sum.done,
                    list(actions),
                    sum.refused,
                    sum.unanswered
                ),
            ),
            ("faults", format!("{} ({})", self.faults.values().sum::<usize>(), list(faults))),
            ("peak Σ/U", format!("{}: {}", quotient(judge.tally().peak()), of(&tally.peaks))),
            ("U lowered under Σ", format!("by an edit or an escaped pod; at most {}", of(&tally.lowered))),
            (
                "escaped, vanished",
                format!(
                    "{} pods passed the gate, {} rises before the leader could know of one; {} vanished while they ran",
                    tally.escaped, tally.unaware, tally.vanished
                ),
            ),
            ("waits for a grant", format!("p50 {}, p99 {}, longest {}", wait(50), wait(99), wait(100))),
        ];
        rows.iter().map(|(name, text)| format!("{name:<18} {text}\n")).collect()
    }
}

/// With two decimals, rounded down so that 1.00 is said of nothing less than all.
fn quotient((held, usable): (u64, u64)) -> String {
    let hundredths = (held * 100) / usable.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `9.2 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
