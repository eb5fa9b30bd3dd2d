//! What a user and an administrator see, against real API servers: one warm fleet of a hub and two members
//! for all of them, a namespace for each.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod activation;
mod autoscaling;
mod away;
mod bad_input;
mod capacity;
mod children;
mod companions;
mod credentials;
mod credentials_from_hub;
mod deletion;
mod endpoints;
mod epochs;
mod failing;
mod failover;
mod five;
mod identity;
mod lifecycle;
mod log;
mod lost_status;
mod membership;
mod metrics;
mod missing_objects;
mod moves;
mod namespaces;
mod one_cluster;
mod phases;
mod placement;
mod plugin;
mod pretender;
mod prune_guard;
mod restarts;
mod revisions;
mod rollouts;
mod second_hub;
mod stand_in;
mod start_page;
mod surfaces;
mod versions;
mod workspace;
mod world;
