//! A budget in the list: its bar, its state in a word, and what is wrong with it.
//!
//! In: a budget. Out: a row, as JSON for the page. Forbidden here: clocks, requests, HTML.

use serde::Serialize;

use super::seen::{Seen, SeenCondition, SeenStatus};
use crate::api::{BudgetKey, Mode};
use crate::cluster::guarded::{Guarded, Unreadable};

/// The most characters of a sentence.
const SENTENCE: usize = 600;
/// The most sentences of a row.
const SENTENCES: usize = 6;

/// The state of a budget in a word, the worst first: this is the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Only a human can end what is wrong.
    Stalled,
    /// Something is wrong.
    Problem,
    /// Pods wait at the gate.
    Waiting,
    /// No operator has processed it.
    Unknown,
    /// Pods come, go or drain.
    Changing,
    /// All is well.
    Ready,
}

/// A condition that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The type of the condition.
    pub about: String,
    /// Its reason.
    pub reason: String,
    /// Its sentence.
    pub text: String,
}

/// A budget in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Gate or Observe.
    pub mode: Mode,
    /// Connections that the plan allows, where that is known.
    pub limit: Option<i64>,
    /// Connections that no pod gets.
    pub reserved: i64,
    /// What may be committed.
    pub usable: i64,
    /// What is.
    pub committed: i64,
    /// Connections that work at this moment, where pods are asked.
    pub in_use: Option<i64>,
    /// Connections that are open on the database server, where it is asked.
    pub open: Option<i64>,
    /// Those of them that must be of clients outside of the budget.
    pub outside: Option<i64>,
    /// Pods that want to run.
    pub desired: i32,
    /// Pods with a grant.
    pub granted: i32,
    /// Pods that wait at the gate.
    pub waiting: i32,
    /// Terminating pods.
    pub draining: i32,
    /// Pods without a grant.
    pub foreign: i32,
    /// Pods that do not follow the size that they were given.
    pub ignoring: i64,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
}

impl Row {
    /// The row of a budget; none of an object without a name.
    #[must_use]
    pub fn of(budget: &Guarded<Seen>) -> Option<(BudgetKey, Self)> {
        let row = match budget {
            Guarded::Read(budget) => Self::read(budget)?,
            Guarded::Unreadable(budget) => Self::unreadable(budget)?,
        };
        Some((BudgetKey::new(&row.namespace, &row.name), row))
    }

    fn read(budget: &Seen) -> Option<Self> {
        let none = SeenStatus::default();
        let status = budget.status.as_ref().unwrap_or(&none);
        let evidence = || status.workloads.iter().filter_map(|workload| workload.evidence.as_ref());
        let used: Vec<i64> = evidence().filter_map(|said| said.in_use).collect();
        Some(Self {
            namespace: budget.metadata.namespace.clone()?,
            name: budget.metadata.name.clone()?,
            state: state(status),
            mode: budget.spec.mode,
            limit: status.limit.as_ref().map(|limit| limit.connections),
            reserved: budget.spec.reserved,
            usable: status.usable,
            committed: status.committed,
            in_use: (!used.is_empty()).then(|| used.into_iter().fold(0, i64::saturating_add)),
            open: status.database.as_ref().map(|database| database.open),
            outside: status.database.as_ref().map(|database| database.outside),
            desired: status.pods.desired,
            granted: status.pods.granted,
            waiting: status.pods.waiting,
            draining: status.pods.draining,
            foreign: status.pods.foreign,
            ignoring: evidence().map(|said| said.ignored).fold(0, i64::saturating_add),
            problems: problems(&status.conditions),
        })
    }

    fn unreadable(budget: &Unreadable) -> Option<Self> {
        let text = shortened(&format!("poolbudget cannot read this budget: {}", budget.why));
        let problem = Problem { about: "Accepted".to_owned(), reason: "BudgetUnreadable".to_owned(), text };
        Some(Self {
            namespace: budget.metadata.namespace.clone()?,
            name: budget.metadata.name.clone()?,
            state: State::Stalled,
            mode: Mode::default(),
            limit: None,
            reserved: 0,
            usable: 0,
            committed: 0,
            in_use: None,
            open: None,
            outside: None,
            desired: 0,
            granted: 0,
            waiting: 0,
            draining: 0,
            foreign: 0,
            ignoring: 0,
            problems: vec![problem],
        })
    }
}

fn state(status: &SeenStatus) -> State {
    let is = |kind: &str, value: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == value);
    if is("Stalled", "True") {
        State::Stalled
    } else if status.conditions.iter().any(is_bad) {
        State::Problem
    } else if status.pods.waiting > 0 {
        State::Waiting
    } else if status.observed_generation.is_none() {
        State::Unknown
    } else if is("Settled", "False") || is("Reconciling", "True") {
        State::Changing
    } else {
        State::Ready
    }
}

/// The conditions that tell of something wrong, and what they are then.
const BAD: [(&str, &str); 7] = [
    ("Stalled", "True"),
    ("Accepted", "False"),
    ("Feasible", "False"),
    ("WithinLimit", "False"),
    ("Blocked", "True"),
    ("ForeignPods", "True"),
    ("EnvIgnored", "True"),
];

/// Those that are worth a sentence although nothing is wrong.
const TELLING: [(&str, &str); 2] = [("Reconciling", "True"), ("Settled", "False")];

fn is_bad(condition: &SeenCondition) -> bool {
    BAD.contains(&(condition.type_.as_str(), condition.status.as_str()))
}

fn problems(conditions: &[SeenCondition]) -> Vec<Problem> {
    let told = BAD.iter().chain(&TELLING).filter_map(|(kind, value)| {
        let found = conditions.iter().find(|c| c.type_ == *kind && c.status == *value)?;
        let (about, reason) = (shortened(&found.type_), shortened(&found.reason));
        Some(Problem { about, reason, text: shortened(&found.message) })
    });
    let mut all: Vec<Problem> = Vec::new();
    // Stalled repeats the sentence of the condition that it sums up.
    for problem in told {
        if all.iter().all(|other| other.text != problem.text) {
            all.push(problem);
        }
    }
    all.truncate(SENTENCES);
    all
}

/// A text of bounded length.
#[must_use]
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(SENTENCE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(status: &Value) -> Row {
        let budget = json!({"metadata": {"name": "main", "namespace": "shop"},
            "spec": {"limit": {"connections": 15}, "reserved": 2}, "status": status});
        let seen: Guarded<Seen> = serde_json::from_value(budget).expect("a budget");
        Row::of(&seen).expect("a row").1
    }

    fn conditions(all: &[(&str, &str, &str)]) -> Value {
        let all = all.iter();
        all.map(
            |(kind, status, text)| json!({"type": kind, "status": status, "reason": "R", "message": text}),
        )
        .collect()
    }

    #[test]
    fn a_row_has_the_numbers_of_the_status() {
        let row = row(&json!({"observedGeneration": 1, "usable": 13, "committed": 12,
            "limit": {"connections": 15, "source": "s"}, "pods": {"granted": 6, "waiting": 1}}));
        assert_eq!((row.limit, row.reserved, row.usable, row.committed), (Some(15), 2, 13, 12));
        assert_eq!((row.granted, row.waiting, row.state), (6, 1, State::Waiting));
        assert_eq!(row.in_use, None);
    }

    #[test]
    fn what_is_in_use_is_the_sum_of_what_is_known() {
        let workloads = json!([{"name": "a", "evidence": {"inUse": 3, "ignored": 1}}, {"name": "b"},
            {"name": "c", "evidence": {"inUse": 4, "ignored": 2}}, {"name": "d", "evidence": {"pods": 1}}]);
        let row = row(&json!({"workloads": workloads}));
        assert_eq!((row.in_use, row.ignoring), (Some(7), 3));
    }

    #[test]
    fn a_budget_is_in_the_worst_of_its_states() {
        type Said<'a> = &'a [(&'a str, &'a str, &'a str)];
        let cases: [(Said<'_>, State); 6] = [
            (&[("Ready", "True", "fine"), ("Settled", "True", "x")], State::Ready),
            (&[("Settled", "False", "x"), ("Feasible", "True", "y")], State::Changing),
            (&[("Settled", "False", "x"), ("ForeignPods", "True", "y")], State::Problem),
            (&[("Feasible", "False", "x")], State::Problem),
            (&[("EnvIgnored", "True", "x")], State::Problem),
            (&[("Stalled", "True", "x"), ("Feasible", "False", "x")], State::Stalled),
        ];
        for (all, state) in cases {
            let row = row(&json!({"observedGeneration": 1, "conditions": conditions(all)}));
            assert_eq!(row.state, state, "{all:?}");
        }
        assert_eq!(row(&Value::Null).state, State::Unknown);
        assert!(State::Stalled < State::Problem && State::Problem < State::Waiting);
    }

    #[test]
    fn a_sentence_is_told_once_and_what_is_fine_is_not_told() {
        let all =
            [("Stalled", "True", "too much"), ("Feasible", "False", "too much"), ("Blocked", "False", "no")];
        let row = row(&json!({"conditions": conditions(&all)}));
        let told: Vec<_> = row.problems.iter().map(|p| (p.about.as_str(), p.text.as_str())).collect();
        assert_eq!(told, [("Stalled", "too much")]);
    }

    #[test]
    fn a_sentence_has_a_bounded_length() {
        let row = row(&json!({"conditions": conditions(&[("Blocked", "True", &"é".repeat(10_000))])}));
        assert_eq!(row.problems[0].text.chars().count(), SENTENCE + 1);
    }

    #[test]
    fn a_budget_that_cannot_be_read_is_shown_with_what_is_wrong() {
        let budget = json!({"metadata": {"name": "main", "namespace": "shop"}, "spec": 5});
        let seen: Guarded<Seen> = serde_json::from_value(budget).expect("anything");
        let (_, row) = Row::of(&seen).expect("a row");
        assert_eq!(row.state, State::Stalled);
        assert!(row.problems[0].text.starts_with("poolbudget cannot read this budget: spec: invalid type"));
    }
}
