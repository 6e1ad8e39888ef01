//! A deterministic simulation of a cluster around the operator's shipping code.
//!
//! In: a seed. Out: whether every promise was kept, what it came to in numbers, and a trace on request. The leader, its
//! world, its decisions and its transaction are the code that ships, behind its own `Gateway`; around it are simulated
//! the API server ([`api`]), the controllers ([`controllers`], [`jobs`]), nodes and kubelets ([`kubelet`]), a database ([`server`]), two processes of the
//! operator ([`process`]), users and faults ([`act`]). What pods really hold is known here and judged after every step
//! ([`judge`]). Nothing reads a real clock or draws a random number that is not from the seed.
#![allow(dead_code, reason = "every target that takes the simulation in uses another part of it")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "it is test code in examples, too")]

pub(crate) mod act;
pub(crate) mod api;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod contested;
pub(crate) mod controllers;
pub(crate) mod door;
pub(crate) mod jobs;
pub(crate) mod judge;
pub(crate) mod kubelet;
pub(crate) mod mutation;
pub(crate) mod needs;
pub(crate) mod network;
pub(crate) mod objects;
pub(crate) mod plain;
pub(crate) mod plan;
pub(crate) mod pods;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod rest;
pub(crate) mod server;
pub(crate) mod setting;
pub(crate) mod shrink;
pub(crate) mod sim;
pub(crate) mod tally;
pub(crate) mod weather;
pub(crate) mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cluster::Cluster;
use judge::{Fault, Violation};
use mutation::Mutation;
use plan::Plan;
use sim::Sim;
use tally::Tally;

/// What came of a schedule.
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Vec<String>,
    /// What was left in the end, with every change on the way.
    pub(crate) cluster: Cluster,
}

/// Runs a schedule to its end. A panic of the operator is a violation like others.
pub(crate) fn run(plan: &Plan, mutation: Mutation, traced: bool) -> Outcome {
    let mut sim = Sim::new(plan.clone(), mutation, traced);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| sim.run())) {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        sim.judge.complain(Fault::Panic, words.unwrap_or_default());
    }
    let Sim { tally, judge, trace, cluster, .. } = sim;
    Outcome { tally, violation: judge.violation, trace: trace.unwrap_or_default(), cluster }
}
