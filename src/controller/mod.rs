//! The leader: observe, plan, grant, make room, report.

pub mod gateway;
pub mod lease;
