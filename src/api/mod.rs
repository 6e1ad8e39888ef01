//! The `DbConnectionBudget` resource and the names that poolbudget writes on objects.
//!
//! In: nothing. Out: types, CEL rules, reasons. It decides nothing.

pub mod names;
