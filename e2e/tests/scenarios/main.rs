//! What a user and an administrator see, against real API servers: one warm fleet of a hub and two members
//! for all of them, a namespace for each.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod away;
mod bad_input;
mod deletion;
mod lifecycle;
mod one_cluster;
mod placement;
mod prune_guard;
mod restarts;
mod surfaces;
mod world;
