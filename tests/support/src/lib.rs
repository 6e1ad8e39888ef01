//! The parts of tests, benches and the programs of `tools/`. First of all a real control plane: etcd, API server,
//! controller manager, scheduler and kwok's fake kubelets on loopback, each cluster with its own ports, certificates
//! and folder.
//!
//! In:   the programs that `make cluster-tools` builds. Out: [`Cluster`] to work on, [`Operator`] to run
//!       against it, [`Recorder`] to judge by.
//! Forbidden here: anything of the crate `poolbudget`, which this one does not depend on. The code that judges the
//! operator shares no code with it.
//!
//! | module | what it is |
//! |---|---|
//! | [`cluster`] | start, stop and restart of a whole control plane; clients and kubeconfigs |
//! | [`shared`] | one cluster for several tests |
//! | [`components`] | the command line of each program |
//! | [`process`], [`folder`], [`ports`], [`pki`], [`place`], [`tools`] | what a cluster consists of |
//! | [`commands`] | kubectl and helm, with readable failures |
//! | [`install`] | the chart in a cluster, and the program that stands in for its pods |
//! | [`account`] | kubeconfigs with a ServiceAccount's token |
//! | [`operator`], [`launch`] | the program under test as a process, from the chart's Deployment |
//! | [`relay`] | stands in for the Service before its replicas |
//! | [`recorder`], [`ledger`], [`bill`], [`may_hold`] | the independent count of connections |
//! | [`store`] | every write to the store, in order, whatever is killed in the meantime |
//! | [`audit`] | who wrote what, from the API server's audit log |
//! | [`objects`] | budgets, workloads and pods, to apply or as an API server shows them |
//! | [`admission`] | the cases of admission, and one run of them for whoever answers |
//! | [`answer`] | patches and refusals, for those who play an API server |
//! | [`large`] | tables of cases with texts that are too large to be written out |
//! | [`model`] | Kubernetes' workload controllers as computation |
//! | [`random`] | pseudo-random numbers that can be repeated |
//! | [`postgres`] | pods as real processes on a real PostgreSQL |
//! | [`mod@eventually`] | wait for a condition, with a deadline |
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it is test code: it fails the test"
)]

pub mod account;
pub mod admission;
pub mod answer;
pub mod audit;
pub mod bill;
pub mod cluster;
pub mod commands;
pub mod components;
pub mod dns;
pub mod eventually;
pub mod folder;
pub mod in_force;
pub mod install;
pub mod large;
pub mod launch;
pub mod ledger;
pub mod may_hold;
pub mod model;
pub mod objects;
pub mod operator;
pub mod pki;
pub mod place;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod random;
pub mod recorder;
pub mod relay;
pub mod rights;
pub mod shared;
pub mod store;
pub mod tools;
pub mod vendor;

pub use bill::Account;
pub use cluster::{Cluster, Options};
pub use eventually::eventually;
pub use launch::Launch;
pub use operator::Operator;
pub use recorder::Recorder;
pub use shared::Shared;
pub use tools::Version;
