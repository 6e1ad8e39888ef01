//! The commands that need no cluster, run as a user runs them: arguments and manifests in; text, complaints and an exit
//! code out.

#[cfg(test)]
mod autoscalers;
#[cfg(test)]
mod borrowed;
#[cfg(test)]
mod defaults;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod inject;
#[cfg(test)]
mod limit_from;
#[cfg(test)]
mod line;
#[cfg(test)]
mod nested;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod ran;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod workers;
