//! The tests' own instruments, tried without a cluster.

#[cfg(test)]
mod judge;
#[cfg(test)]
mod launch;
#[cfg(test)]
mod may_hold;
#[cfg(test)]
mod process;
#[cfg(test)]
mod random;
