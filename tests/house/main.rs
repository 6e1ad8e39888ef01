//! The house: what its documents say of the code is so.

#[cfg(test)]
mod layers;
#[cfg(test)]
mod links;
