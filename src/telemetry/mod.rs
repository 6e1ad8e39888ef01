//! Logs, metrics, health.
//!
//! In: what the controller reports. Out: text for people and for scrapers. It decides nothing.

pub mod drops;
pub mod http;
pub mod listen;
pub mod log;
pub mod metrics;
pub mod requests;
pub mod series;
