//! Kubernetes' workload controllers as arithmetic, for every test that needs them without a cluster.
//!
//! In: what users want and what the controllers see. Out: what the controllers write. No clock, no order of its
//! own: who calls decides when each controller passes. `tests/e2e/conformance` holds it against the real controllers.
#![expect(missing_docs, reason = "what Kubernetes calls so needs no other words")]

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod int_or_percent;
pub mod job;
pub mod replica_set;
pub mod stateful_set;

pub use int_or_percent::IntOrPercent;
