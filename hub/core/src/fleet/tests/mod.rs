//! Scenarios of a whole fleet, and random ones.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod copies;
mod facts;
mod failover;
mod guarded;
mod keys;
mod lending;
mod life;
mod membership;
mod moves;
mod overrides;
mod random;
mod recovery;
mod refused;
mod reservations;
mod revisions;
mod rollouts;
mod usage;
mod world;
