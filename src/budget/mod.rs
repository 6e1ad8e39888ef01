//! The pure core: limits, peaks, fair sizes, ledger, queue, grant decisions.
//!
//! In: plain values. Out: plain values. Forbidden here: Kubernetes, tokio, a clock, the environment, logging.

pub mod amount;
pub mod basis;
pub mod fair;
mod fill;
pub mod limit;
pub mod plan;
pub mod rollout;
pub mod shortfall;
pub mod split;
pub mod supabase;
