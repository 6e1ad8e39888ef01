//! A real control plane for tests and the demo: etcd, API server, controller manager, scheduler and
//! kwok's fake kubelets on loopback, each cluster with its own ports, certificates and folder.
//!
//! In:   the programs that `make cluster-tools` builds. Out: [`Cluster`] to work on, [`Operator`] to run
//!       against it, [`Recorder`] to judge by. A test target takes all of it in with
//!       `#[path = "../support/mod.rs"] mod support;`, an example with `../tests/support/mod.rs`.
//! Forbidden here: anything of the crate `poolbudget`. What judges the operator shares no code with it.
//!
//! | module | what it is |
//! |---|---|
//! | [`cluster`] | start, stop and restart of a whole control plane; clients and kubeconfigs |
//! | [`shared`] | one cluster for several tests |
//! | [`components`] | the command line of each program |
//! | [`process`], [`folder`], [`ports`], [`pki`], [`tools`] | what a cluster is made of |
//! | [`commands`] | kubectl and helm, with failures that can be read |
//! | [`install`] | the chart in a cluster, and the program that stands for its pods |
//! | [`account`] | kubeconfigs with a ServiceAccount's token |
//! | [`operator`], [`launch`] | the program under test as a process, from the chart's Deployment |
//! | [`relay`] | stands for the Service before its replicas |
//! | [`recorder`], [`ledger`], [`bill`] | the independent count of connections |
//! | [`store`] | every write to the store, in order, whatever is killed meanwhile |
//! | [`audit`] | who wrote what, from the API server's audit log |
//! | [`objects`] | budgets and workloads as text to apply |
//! | [`mod@eventually`] | await a condition with a deadline |
#![allow(
    dead_code,
    unused_imports,
    reason = "every target that takes the harness in uses another part of it"
)]
#![allow(unreachable_pub, reason = "the items are public to the target that takes the harness in")]

pub mod account;
pub mod audit;
pub mod bill;
pub mod cluster;
pub mod commands;
pub mod components;
pub mod eventually;
pub mod folder;
pub mod in_force;
pub mod install;
pub mod launch;
pub mod ledger;
pub mod objects;
pub mod operator;
pub mod pki;
pub mod ports;
pub mod process;
pub mod recorder;
pub mod relay;
pub mod rights;
pub mod shared;
pub mod store;
pub mod tools;

pub use bill::Account;
pub use cluster::{Cluster, Options};
pub use eventually::eventually;
pub use launch::Launch;
pub use operator::Operator;
pub use recorder::Recorder;
pub use shared::Shared;
pub use tools::Version;
