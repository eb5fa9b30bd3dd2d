//! Agents on a real node: their containers run, answer by name, are checked, measured, fail as real ones do, and end
//! gracefully; the node comes back after it was killed, and nothing of it is left when its tool is. Where the machine
//! can't run one, every test here is skipped, and says why.
#![allow(clippy::unwrap_used)]

mod containers;
mod credentials;
mod node;
mod page;
mod scaling;
mod trouble;
mod usage;
mod world;
