//! The operator's shipping code in a simulated cluster: the stories that other protocols fail on, random schedules, and
//! the protocol with one rule left out.
//!
//! Run it optimised: `cargo test --profile simulation --test simulation`. `make simulate` runs as many random schedules
//! as one likes.

#[cfg(test)]
#[path = "../simulator/mod.rs"]
mod simulator;

#[cfg(test)]
#[path = "../properties/situations.rs"]
#[allow(dead_code, reason = "the properties use the rest of it")]
mod situations;
#[cfg(test)]
#[path = "../properties/values.rs"]
#[allow(dead_code, reason = "the properties use the rest of it")]
mod values;

#[cfg(test)]
mod counterexamples;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod leaders;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod story;
