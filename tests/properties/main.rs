//! Rules that hold for every input of the arithmetic core, tried on random ones.

#[cfg(test)]
mod controllers;
#[cfg(test)]
mod daemon_sets;
#[cfg(test)]
mod decide;
#[cfg(test)]
mod fair;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod plan;
#[cfg(test)]
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod situations;
#[cfg(test)]
mod stateful_sets;
#[cfg(test)]
mod values;
