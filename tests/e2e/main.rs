//! What needs a real control plane.
//!
//! Every test starts the clusters that it needs, or shares one with its module. A cluster takes half a gigabyte
//! and, while it starts, a core and a half: `RUST_TEST_THREADS=2` is right for two cores, and `make e2e` sets
//! it. The programs come from `make cluster-tools`.

#[path = "../support/mod.rs"]
mod support;

// Every integration test is built with cfg(test); saying so tells clippy that these modules may unwrap.
#[cfg(test)]
mod control_plane;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod installed;
#[cfg(test)]
mod main_job;
