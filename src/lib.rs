//! poolbudget keeps the database connection pools of Kubernetes pods inside a budget.
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`api`] | the `DbConnectionBudget` resource, its rules, the names on pods | nothing |
//! | [`budget`] | the pure core: limits, sizes, ledger, decisions; plain values in, decisions out | only itself |
//! | [`profile`] | which variables apps read their pools from, and what they mean to them | `api`, `budget` |
//! | [`exposition`] | the text format of Prometheus, read | nothing |
//! | [`evidence`] | what pods say of their pools: answers to plain values | `exposition` |
//! | [`network`] | networks of addresses, and which addresses may be asked | nothing |
//! | [`database`] | what a database or its vendor says of its limit and of open connections | `budget`, `exposition`, `network` |
//! | [`cluster`] | Kubernetes objects to plain values, decisions to patches | `api`, `budget`, `profile`, `evidence`, `database` |
//! | [`admission`] | the policies that give a pod its gate and its late-bound env | `api`, `profile` |
//! | [`controller`] | the leader: observe, plan, grant, report | `api`, `budget`, `cluster`, `evidence`, `network`, `database`, `telemetry` |
//! | [`webhook`] | the HTTPS server that asks `admission`, and its certificate | `api`, `admission`, `telemetry` |
//! | [`governor`] | the program beside an app that holds its connections within a number | `telemetry` |
//! | [`page`] | budgets and pods in a browser, read-only | `api`, `cluster`, `controller`, `telemetry` |
//! | [`telemetry`] | logs, metrics, health | `api`, `evidence`, `database` |
//! | [`commands`] | the command line | everything |
//!
//! One scale event goes from left to right through `controller::observe`, `cluster`, `budget`,
//! `controller::grant` and `controller::report`; `docs/architecture.md` follows one.

pub mod admission;
pub mod api;
pub mod budget;
pub mod cluster;
pub mod commands;
pub mod controller;
pub mod database;
pub mod evidence;
pub mod exposition;
pub mod governor;
pub mod network;
pub mod page;
pub mod profile;
pub mod telemetry;
pub mod webhook;
