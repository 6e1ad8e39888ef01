//! A deterministic simulation of a cluster around the operator's shipping code.
//!
//! In: a seed. Out: whether every promise was kept, the figures, and a trace on request. The leader, its world, its
//! decisions and its transaction are the shipped code, behind its own `Gateway`. Simulated around it: the API server
//! ([`api`]), the controllers ([`controllers`], [`jobs`]), nodes and kubelets ([`kubelet`]), a database ([`server`]),
//! two processes of the operator ([`process`]), users and faults ([`act`]). The simulation knows what pods really hold,
//! and judges it after every step ([`judge`]). Nothing reads a real clock or draws a random number that is not from the
//! seed.
#![expect(missing_docs, reason = "it is read as the cluster that it plays")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "it is test code: it fails the test")]

mod act;
mod api;
mod clock;
pub mod cluster;
mod contested;
mod controllers;
mod door;
mod jobs;
pub mod judge;
mod kubelet;
pub mod mutation;
mod needs;
mod network;
mod objects;
mod plain;
pub mod plan;
mod pods;
mod process;
pub mod report;
mod rest;
mod server;
mod setting;
pub mod shrink;
mod sim;
pub mod tally;
pub mod weather;
pub mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cluster::Cluster;
use judge::{Fault, Violation};
use mutation::Mutation;
use plan::Plan;
use sim::Sim;
use tally::Tally;

/// The result of a schedule.
pub struct Outcome {
    pub tally: Tally,
    pub violation: Option<Violation>,
    pub trace: Vec<String>,
    /// The final state, with every change on the way.
    pub cluster: Cluster,
}

/// Runs a schedule to its end. A panic of the operator is a violation like any other.
pub fn run(plan: &Plan, mutation: Mutation, traced: bool) -> Outcome {
    let mut sim = Sim::new(plan.clone(), mutation, traced);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| sim.run())) {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        sim.judge.complain(Fault::Panic, words.unwrap_or_default());
    }
    let Sim { tally, judge, trace, cluster, .. } = sim;
    Outcome { tally, violation: judge.violation, trace: trace.unwrap_or_default(), cluster }
}
