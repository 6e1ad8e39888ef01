//! Objects that nobody should write, on the way that every object takes: parse, world, scene, decision, status,
//! patches and words. Nothing panics, one odd object stops no other, and no pod counts for less than it may hold.
//!
//! [`arbitrary`] makes the objects, [`testkit::may_hold`] says what a pod may hold without a line of the operator's code,
//! [`checks`] are the rules. The fuzz targets in `fuzz/` use the same checks.

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod objects;

#[cfg(test)]
mod budgets;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod workloads;
