//! What needs real connections: pods as Python processes on a real PostgreSQL, without and with poolbudget.
//!
//! `make postgres` provides the programs. With `POOLBUDGET_KEEP=1` the folders stay, with everybody's logs.

#[cfg(test)]
mod adoption;
#[cfg(test)]
mod example;
#[cfg(test)]
mod governor;
#[cfg(test)]
mod limit;
#[cfg(test)]
mod linger;
#[cfg(test)]
mod names;
#[cfg(test)]
mod outliving;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod readings;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tutorial;
#[cfg(test)]
mod versions;
