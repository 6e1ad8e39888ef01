//! All budgets as rows, with the last hour of each, and what changed since a version.
//!
//! In: budgets as they come, and a beat every [`STEP`]. Out: everything, or what is new. Forbidden here: clocks,
//! requests.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::row::Row;
use crate::api::BudgetKey;

/// Seconds between two samples.
pub const STEP: u64 = 30;
/// Samples of an hour.
pub const SAMPLES: usize = 120;
/// The most budgets that are kept.
pub const BUDGETS: usize = 2_000;
/// The most budgets that are gone of which a viewer is told one by one.
const GONE: usize = 256;

/// All budgets.
#[derive(Debug, Default)]
pub struct Board {
    version: u64,
    rows: BTreeMap<BudgetKey, Entry>,
    gone: VecDeque<(u64, BudgetKey)>,
    /// Up to this version it is not known any more what went.
    forgotten: u64,
    /// Budgets beyond those that are kept, as of the last list.
    more: u64,
    listing: bool,
    complete: bool,
    trouble: Option<String>,
}

#[derive(Debug)]
struct Entry {
    row: Row,
    version: u64,
    line: VecDeque<i64>,
    /// Seen since the list began.
    listed: bool,
}

/// A row for a viewer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The row.
    #[serde(flatten)]
    pub row: Row,
    /// What was committed in the last hour, a sample each [`STEP`] seconds, the newest last; only in a full answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Vec<i64>>,
}

/// What a viewer is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct News {
    /// Whether `rows` are all there are. Otherwise only those that changed.
    pub full: bool,
    /// Seconds between two samples of a line.
    pub step: u64,
    /// The rows.
    pub rows: Vec<Shown>,
    /// Budgets that are gone: namespace and name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<[String; 2]>,
    /// Budgets that are not shown, because there are too many.
    pub more: u64,
    /// Why what is shown may be old.
    pub trouble: Option<String>,
}

impl Board {
    /// A list of all budgets begins.
    pub fn begin(&mut self) {
        self.rows.values_mut().for_each(|entry| entry.listed = false);
        (self.more, self.listing) = (0, true);
    }

    /// The list is complete: what it did not name is gone.
    pub fn end(&mut self) {
        let gone: Vec<BudgetKey> =
            self.rows.iter().filter(|(_, entry)| !entry.listed).map(|(key, _)| key.clone()).collect();
        gone.iter().for_each(|key| self.remove(key));
        (self.complete, self.listing) = (true, false);
        self.set_trouble(None);
    }

    /// A budget, new or changed.
    pub fn put(&mut self, key: BudgetKey, row: Row) {
        let full = self.rows.len() >= BUDGETS;
        if let Some(entry) = self.rows.get_mut(&key) {
            entry.listed = true;
            if entry.row != row {
                self.version += 1;
                (entry.row, entry.version) = (row, self.version);
            }
        } else if full {
            self.more = self.more.saturating_add(u64::from(self.listing));
        } else {
            self.version += 1;
            let line = VecDeque::from([row.committed]);
            self.rows.insert(key, Entry { row, version: self.version, line, listed: true });
        }
    }

    /// A budget is gone.
    pub fn remove(&mut self, key: &BudgetKey) {
        if self.rows.remove(key).is_none() {
            return;
        }
        self.version += 1;
        self.gone.push_back((self.version, key.clone()));
        if self.gone.len() > GONE
            && let Some((version, _)) = self.gone.pop_front()
        {
            self.forgotten = version;
        }
    }

    /// Takes a sample of each budget.
    pub fn beat(&mut self) {
        for entry in self.rows.values_mut() {
            if entry.line.len() >= SAMPLES {
                entry.line.pop_front();
            }
            entry.line.push_back(entry.row.committed);
        }
    }

    /// Why what is on the board may be old; none once that is over.
    pub fn set_trouble(&mut self, why: Option<String>) {
        if self.trouble != why {
            self.version += 1;
            self.trouble = why;
        }
    }

    /// Whether there is something to show: all budgets, or why there are none.
    #[must_use]
    pub fn is_worth_a_look(&self) -> bool {
        self.complete || self.trouble.is_some()
    }

    /// The version of the newest change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The namespaces of all budgets.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        let mut all: Vec<String> = self.rows.keys().map(|key| key.namespace.clone()).collect();
        all.dedup();
        all
    }

    /// Everything in these namespaces, the worst first, each with its line.
    #[must_use]
    pub fn all(&self, may: impl Fn(&str) -> bool) -> News {
        let mut rows: Vec<&Entry> = self.rows.values().filter(|entry| may(&entry.row.namespace)).collect();
        rows.sort_by_key(|entry| entry.row.state);
        let rows = rows
            .into_iter()
            .map(|entry| Shown { row: entry.row.clone(), line: Some(entry.line.iter().copied().collect()) });
        News { rows: rows.collect(), ..self.news(true) }
    }

    /// What changed in these namespaces since a version; everything if that is not known.
    #[must_use]
    pub fn since(&self, version: u64, may: impl Fn(&str) -> bool) -> News {
        if version < self.forgotten {
            return self.all(may);
        }
        let rows = self.rows.values().filter(|entry| entry.version > version && may(&entry.row.namespace));
        let rows = rows.map(|entry| Shown { row: entry.row.clone(), line: None }).collect();
        let gone = self.gone.iter().filter(|(at, key)| *at > version && may(&key.namespace));
        let gone = gone.filter(|(_, key)| !self.rows.contains_key(key));
        let gone = gone.map(|(_, key)| [key.namespace.clone(), key.name.clone()]).collect();
        News { rows, gone, ..self.news(false) }
    }

    fn news(&self, full: bool) -> News {
        let trouble = self.trouble.clone();
        News { full, step: STEP, rows: Vec::new(), gone: Vec::new(), more: self.more, trouble }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::guarded::Guarded;
    use crate::page::seen::Seen;

    fn put(board: &mut Board, namespace: &str, name: &str, committed: i64) {
        let budget = json!({"metadata": {"name": name, "namespace": namespace},
            "status": {"observedGeneration": 1, "committed": committed}});
        let seen: Guarded<Seen> = serde_json::from_value(budget).expect("a budget");
        let (key, row) = Row::of(&seen).expect("a row");
        board.put(key, row);
    }

    fn names(news: &News) -> Vec<&str> {
        news.rows.iter().map(|shown| shown.row.name.as_str()).collect()
    }

    #[test]
    fn a_viewer_is_told_what_changed_and_what_went_since() {
        let mut board = Board::default();
        put(&mut board, "shop", "a", 1);
        put(&mut board, "shop", "b", 1);
        let before = board.version();
        assert!(names(&board.since(before, |_| true)).is_empty());
        put(&mut board, "shop", "a", 1);
        assert_eq!(board.version(), before, "nothing changed");
        put(&mut board, "shop", "b", 2);
        board.remove(&BudgetKey::new("shop", "a"));
        let news = board.since(before, |_| true);
        assert_eq!((names(&news), news.gone.len(), news.full), (vec!["b"], 1, false));
        assert!(board.since(before, |namespace| namespace != "shop").gone.is_empty());
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone() {
        let mut board = Board::default();
        board.begin();
        put(&mut board, "shop", "a", 1);
        put(&mut board, "shop", "b", 1);
        assert!(!board.is_worth_a_look());
        board.end();
        board.begin();
        put(&mut board, "shop", "b", 1);
        board.end();
        assert_eq!(names(&board.all(|_| true)), ["b"]);
    }

    #[test]
    fn a_line_is_an_hour_long_at_most() {
        let mut board = Board::default();
        put(&mut board, "shop", "a", 0);
        for committed in 0..500 {
            put(&mut board, "shop", "a", committed);
            board.beat();
        }
        let line = board.all(|_| true).rows[0].line.clone().expect("a line");
        assert_eq!((line.len(), line.first(), line.last()), (SAMPLES, Some(&380), Some(&499)));
    }

    #[test]
    fn of_more_budgets_than_are_kept_the_number_is_told() {
        let mut board = Board::default();
        board.begin();
        (0..BUDGETS + 3).for_each(|n| put(&mut board, "shop", &format!("b{n}"), 0));
        let news = board.all(|_| true);
        assert_eq!((news.rows.len(), news.more), (BUDGETS, 3));
    }

    #[test]
    fn who_missed_too_much_is_told_everything() {
        let mut board = Board::default();
        (0..GONE + 9).for_each(|n| put(&mut board, "shop", &format!("b{n}"), 0));
        put(&mut board, "shop", "left", 0);
        let before = board.version();
        (0..GONE + 9).for_each(|n| board.remove(&BudgetKey::new("shop", &format!("b{n}"))));
        let news = board.since(before, |_| true);
        assert_eq!((names(&news), news.full), (vec!["left"], true));
    }

    #[test]
    fn trouble_is_news_and_so_is_its_end() {
        let mut board = Board::default();
        put(&mut board, "shop", "a", 1);
        let before = board.version();
        board.set_trouble(Some("forbidden".to_owned()));
        assert!(board.version() > before && board.is_worth_a_look());
        assert_eq!(board.since(before, |_| true).trouble.as_deref(), Some("forbidden"));
        board.end();
        assert_eq!(board.all(|_| true).trouble, None);
    }
}
