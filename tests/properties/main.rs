//! Rules that hold for every input of the arithmetic core, tried on random ones.

#[cfg(test)]
#[path = "../model/mod.rs"]
mod model;

#[cfg(test)]
mod controllers;
#[cfg(test)]
mod decide;
#[cfg(test)]
mod fair;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod rollout_model;
#[cfg(test)]
mod situations;
#[cfg(test)]
mod values;
