//! What the hub decides, as pure code: no I/O, no clock, no client, no runtime.
//!
//! [`fleet::Fleet`] is the one state machine over all agents, clusters and sessions. It is fed
//! [`fleet::Input`]s and asked for [`fleet::Effect`]s; the hub's process around it only carries them out. The
//! decisions that it strings together are modules of their own.

mod aggregate;
pub mod fleet;
mod lending;
mod moving;
mod overrides;
mod phase;
pub mod placement;
mod prune;
mod requests;
mod reservations;
mod resolve;
pub mod revisions;
mod rollout;
mod scaling;
mod tombstones;
mod writes;

pub use resolve::FleetDefaults;
pub use tombstones::Tombstone;
