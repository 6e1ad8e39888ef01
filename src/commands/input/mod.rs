//! Manifests from files, folders and standard input.
//!
//! In: paths. Out: the documents in them, each with its place, and the Kubernetes objects in the documents.
//! Forbidden here: knowing what the objects are for.

mod document;
mod fields;
mod kinds;
mod list;
mod loan;
mod object;
mod sense;
mod source;
mod strict;

pub use document::{Document, Place, documents};
pub use list::each_item;
pub use loan::{Lender, Loans};
pub use object::{Object, Workload, objects};
pub use source::{Source, read};

/// KEDA's ceiling if a ScaledObject states none.
pub const KEDA_MOST: i64 = 100;

/// The most things of a kind that one sentence names.
const NAMED: usize = 10;
