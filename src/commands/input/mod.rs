//! Manifests from files, folders and standard input.
//!
//! In: paths. Out: the documents in them, each with the place where it stands, and the Kubernetes objects that the
//! documents hold. Forbidden here: knowing what the objects are for.

mod document;
mod loan;
mod object;
mod source;
mod strict;

pub use document::{Document, Place, documents};
pub use loan::{Lender, Loans};
pub use object::{Object, Workload, items_mut, objects};
pub use source::{Source, read};
