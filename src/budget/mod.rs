//! The pure core: limits, peaks, fair sizes, ledger, queue, grant decisions.
//!
//! In: plain values. Out: plain values. Forbidden here: Kubernetes, tokio, a clock, the environment, logging.

pub mod adoption;
pub mod amount;
pub mod assessment;
pub mod baseline;
pub mod basis;
pub mod burst;
pub mod decide;
pub mod descent;
pub mod fair;
mod fill;
pub mod grant;
pub mod ledger;
pub mod limit;
pub mod plan;
pub mod queue;
pub mod reclaim;
pub mod rollout;
pub mod shortfall;
pub mod sound;
pub mod split;
pub mod supabase;
