//! The controller's protocol on an API server in memory: take-over, grants, making room and reports, with faults
//! injected at every request.
//!
//! [`server`] stores objects and checks after every write whether the pods hold more than the budget allows;
//! [`cluster`] plays the controllers and kubelets around it; [`door`] is a leader's connection to it, where answers get
//! lost and requests arrive late; [`term`] is one leader with a watch that may lag behind. The watches and the election
//! speak HTTP themselves and meet their faults on a mocked connection ([`wire`]).

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod door;
#[cfg(test)]
mod server;
#[cfg(test)]
mod term;
#[cfg(test)]
mod wire;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod delays;
#[cfg(test)]
mod descent;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod modes;
#[cfg(test)]
mod process;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod readings;
#[cfg(test)]
mod reclaim;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod rivals;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod spoiled;
#[cfg(test)]
mod status;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod whereabouts;
#[cfg(test)]
mod words;
