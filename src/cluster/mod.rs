//! The border: Kubernetes objects become plain records here, and nowhere else.
//!
//! In: watch events and list answers. Out: records with just what is used, an index to find them
//! ([`world::World`]), and the core's values for one budget ([`scene`]). It decides nothing.

pub mod autoscaler;
pub mod end;
pub mod env;
pub mod evidence;
pub mod gates;
pub mod guarded;
pub mod meta;
pub mod node;
mod overrides;
pub mod pod;
mod processes;
pub mod reading;
pub mod retire;
pub mod scene;
pub mod spec;
pub mod template;
mod unread;
pub mod workload;
pub mod world;
