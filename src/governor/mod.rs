//! The governor: a program beside the app, in its pod, through which the app's connections to the database go.
//!
//! In: connections of the app, and how many of them may be open. Out: the same bytes at the database, on no more
//! connections than that; the others wait in order. It has no password, ends no TLS, and changes no byte.
//! Forbidden here: Kubernetes. The number comes from a file, and what is known is told on a port.

pub mod allowed;
pub mod cap;
pub mod client;
pub mod database;
pub mod first_bytes;
pub mod framing;
pub mod http;
pub mod idle;
pub mod refusal;
pub mod relay;
pub mod state;
pub mod upstream;
pub mod witness;
