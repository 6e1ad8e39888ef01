//! The Helm chart: it lints, it renders what its values say, and its generated templates are current.
//!
//! In: the chart and helm from `make cluster-tools`. Out: judgement on the rendered objects. Whether a
//! cluster accepts them is tried in `tests/e2e`.

// Every integration test is built with cfg(test); saying so tells clippy that these modules may unwrap.
#[cfg(test)]
#[path = "chart/generated.rs"]
mod generated;
#[cfg(test)]
#[path = "chart/monitoring.rs"]
mod monitoring;
#[cfg(test)]
#[path = "chart/page.rs"]
mod page;
#[cfg(test)]
#[path = "chart/permissions.rs"]
mod permissions;
#[cfg(test)]
#[path = "chart/render.rs"]
mod render;
#[cfg(test)]
#[path = "chart/used.rs"]
mod used;
#[cfg(test)]
#[path = "chart/values.rs"]
mod values;
#[cfg(test)]
#[path = "chart/webhook.rs"]
mod webhook;
