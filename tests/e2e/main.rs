//! What needs a real control plane.
//!
//! Every test starts the clusters that it needs, or shares one with its module. A cluster takes half a gigabyte
//! and, while it starts, a core and a half: no more tests at once than cores, which is what `make e2e` sees to
//! (`RUST_TEST_THREADS=1` for the calmest run). The programs come from `make cluster-tools`. With
//! `POOLBUDGET_KEEP=1` the folders of the clusters, with the logs of all programs, stay for reading.

// Every integration test is built with cfg(test); saying so tells clippy that these modules may unwrap.
#[cfg(test)]
mod admission;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod control_plane;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod denial;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod grant_secret;
#[cfg(test)]
mod installed;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod page;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod resource;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod supabase;
#[cfg(test)]
mod switching;
#[cfg(test)]
mod webhook;
#[cfg(test)]
mod world;
