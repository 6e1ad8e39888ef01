//! Kubernetes' workload controllers as pure computation, for every test that needs them without a cluster.
//!
//! In: what users want and what the controllers see. Out: what the controllers write. No clock and no order of its own:
//! the caller decides when each controller makes a pass. `tests/e2e/conformance` checks it against the real
//! controllers.
#![expect(missing_docs, reason = "what Kubernetes calls so needs no other words")]

pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod int_or_percent;
pub mod job;
pub mod replica_set;
pub mod stateful_set;

pub use int_or_percent::IntOrPercent;
