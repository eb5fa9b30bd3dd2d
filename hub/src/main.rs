//! `parallax-hub`: watches ParallaxAgents, places them, serves the members' sessions, and writes one
//! honest status back.

mod args;
mod brain;
mod copies;
mod enrollment;
mod error;
mod events;
mod fence;
mod keys;
mod listener;
mod metrics;
mod preflight;
mod run;
mod serving;
mod sessions;
mod store;
mod tls;
mod token_command;
mod watch;
mod writers;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    args::Args::parse().execute()
}
