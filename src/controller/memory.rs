//! What the leader remembers of one budget between two looks at it. All of it can be lost: what must outlive the
//! process is in the status.

use std::collections::HashMap;

use k8s_openapi::jiff::Timestamp;

use crate::api::{DbConnectionBudget, DbConnectionBudgetStatus};

/// What the leader remembers of one budget.
#[derive(Debug, Default)]
pub struct Memory {
    /// The budget as this process last wrote or read it, once its epoch was taken over.
    pub held: Option<DbConnectionBudget>,
    /// When its status was last written.
    pub written: Option<Timestamp>,
    /// What was said about each waiting pod, by uid.
    pub told: HashMap<String, &'static str>,
    /// The eviction that was refused last: by what, and until when none is tried.
    pub refused: Option<Refused>,
}

/// An eviction that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What refused it.
    pub by: String,
    /// No eviction is tried before.
    pub until: Timestamp,
}

impl Memory {
    /// The status that is in force; empty before it was taken over.
    #[must_use]
    pub fn status(&self) -> DbConnectionBudgetStatus {
        self.held.as_ref().and_then(|budget| budget.status.clone()).unwrap_or_default()
    }

    /// Whether the epoch of this very object was taken over.
    #[must_use]
    pub fn holds(&self, budget: &DbConnectionBudget) -> bool {
        self.held.as_ref().is_some_and(|held| held.metadata.uid == budget.metadata.uid)
    }

    /// Gives up what is known of the budget.
    pub fn let_go(&mut self) {
        self.held = None;
        self.written = None;
        self.refused = None;
    }
}
