//! Kubernetes' workload controllers as arithmetic, for every test that needs them without a cluster.
//!
//! In: what users want and what the controllers see. Out: what the controllers write. No clock, no order of its
//! own: who calls decides when each controller passes. A test target takes it in with
//! `#[path = "../model/mod.rs"] mod model;`. `tests/e2e/conformance` holds it against the real controllers.
#![allow(dead_code, reason = "every target that takes the model in uses another part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is test code in examples, too")]

pub(crate) mod cron_job;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod job;
pub(crate) mod random;
pub(crate) mod replica_set;
pub(crate) mod stateful_set;
