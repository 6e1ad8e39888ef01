//! The tests' own instruments, tried without a cluster.

#[cfg(test)]
mod random;
