//! The operator's shipping code in a simulated cluster: the stories that other protocols fail on, random schedules, and
//! the protocol with one rule left out.
//!
//! Run it optimised: `cargo test --profile simulation -p poolbudget-simulation`. `make simulate` runs as many random
//! schedules as one likes.

// Not by a crate: poolbudget's unit tests would then wait for it.

#[cfg(test)]
#[path = "../../../properties/situations.rs"]
mod situations;
#[cfg(test)]
#[path = "../../../properties/values.rs"]
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
