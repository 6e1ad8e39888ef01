//! The two ways to a database, what each allows, and the steps on it.
//!
//! In: nothing. Out: values. Forbidden here: I/O.

use serde_json::{Value, json};

use super::apps::App::{self, Api, Feed, Web};

/// How the applications reach their database, and what that allows.
#[derive(Debug)]
pub struct Way {
    /// Its name in messages.
    pub name: &'static str,
    /// `max_connections` of PostgreSQL, or the size of the session pool in front of it.
    pub limit: Limit,
    /// Connections that the budget reserves.
    pub reserved: u64,
    /// Replicas up to which no running pod has to be replaced; without it, older pods make room for more replicas.
    pub ceilings: &'static [(App, u32)],
    /// The steps, in order.
    pub steps: &'static [Step],
}

/// What is limited.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// `max_connections` of the server; three of them are for superusers.
    Server(u32),
    /// Clients of a pooler in session mode.
    Session(u32),
}

/// Commands, and the replicas that they ask for.
#[derive(Debug)]
pub struct Step {
    /// Its name, in two words.
    pub title: &'static str,
    /// The commands to type.
    pub commands: &'static [&'static str],
    /// What both sides should have after it.
    pub replicas: &'static [(App, i32)],
}

/// Directly to a PostgreSQL with 40 connections: 37 for applications.
pub const DIRECT: Way = Way {
    name: "PostgreSQL, max_connections = 40",
    limit: Limit::Server(40),
    // For a connection that is being closed while its successor opens.
    reserved: 1,
    ceilings: &[(Api, 4), (Feed, 3), (Web, 2)],
    steps: &[
        Step {
            title: "start",
            commands: &["kubectl scale deployment api feed --replicas=1"],
            replicas: &[(Api, 1), (Feed, 1), (Web, 0)],
        },
        Step {
            title: "scale up",
            commands: &[
                "kubectl scale deployment api --replicas=4",
                "kubectl scale deployment feed --replicas=3",
            ],
            replicas: &[(Api, 4), (Feed, 3), (Web, 0)],
        },
        Step {
            title: "add gunicorn",
            commands: &["kubectl scale deployment web --replicas=2"],
            replicas: &[(Api, 4), (Feed, 3), (Web, 2)],
        },
        Step {
            title: "roll out",
            commands: &["kubectl rollout restart deployment api feed web"],
            replicas: &[(Api, 4), (Feed, 3), (Web, 2)],
        },
        Step {
            title: "scale down",
            commands: &["kubectl scale deployment api feed web --replicas=1"],
            replicas: &[(Api, 1), (Feed, 1), (Web, 1)],
        },
    ],
};

/// Through a session pool of 15, without ceilings: sizes follow the replicas, and older pods make room.
pub const SESSION: Way = Way {
    name: "PgBouncer in session mode, pool of 15",
    limit: Limit::Session(15),
    // For a connection that is being closed while its successor opens.
    reserved: 1,
    ceilings: &[],
    steps: &[
        Step {
            title: "start",
            commands: &["kubectl scale deployment api --replicas=1"],
            replicas: &[(Api, 1), (Feed, 0), (Web, 0)],
        },
        Step {
            title: "scale up",
            commands: &[
                "kubectl scale deployment api --replicas=3",
                "kubectl scale deployment feed web --replicas=1",
            ],
            replicas: &[(Api, 3), (Feed, 1), (Web, 1)],
        },
        Step {
            title: "roll out",
            commands: &["kubectl rollout restart deployment api feed web"],
            replicas: &[(Api, 3), (Feed, 1), (Web, 1)],
        },
        Step {
            title: "scale down",
            commands: &["kubectl scale deployment api feed web --replicas=1"],
            replicas: &[(Api, 1), (Feed, 1), (Web, 1)],
        },
    ],
};

impl Way {
    /// The most that applications can have.
    pub fn allowed(&self) -> u64 {
        match self.limit {
            Limit::Server(connections) => u64::from(connections) - 3,
            Limit::Session(clients) => u64::from(clients),
        }
    }

    /// `max_connections` of the server, without the one for the counter.
    pub fn server_connections(&self) -> u32 {
        match self.limit {
            Limit::Server(connections) => connections,
            // The value of Supabase's smallest compute size.
            Limit::Session(_) => 60,
        }
    }

    /// The size of the session pool, if there is one, without the client for the counter.
    pub fn pool_size(&self) -> Option<u32> {
        match self.limit {
            Limit::Server(_) => None,
            Limit::Session(clients) => Some(clients),
        }
    }

    /// The same for the budget.
    pub fn limit_spec(&self) -> Value {
        match self.limit {
            Limit::Server(connections) => json!({"postgres": {"maxConnections": connections}}),
            Limit::Session(15) => json!({"supabase": {"compute": "Nano", "connection": "Session"}}),
            Limit::Session(clients) => json!({"connections": clients}),
        }
    }
}
