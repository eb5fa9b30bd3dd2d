//! The member of a Parallax fleet: keeps what the hub assigned to its cluster, makes it so, keeps it so with the
//! hub away, and tells the truth about it.

mod activator;
mod agents;
mod args;
mod copies;
mod credentials;
mod definition;
mod enroll;
mod error;
mod failure;
mod hub_address;
mod identity;
mod link;
mod metrics;
mod needs;
mod queue;
mod run;
mod scrape;
mod state;
mod store;
mod usage;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    args::Args::parse().execute()
}
