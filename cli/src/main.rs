//! `kubectl parallax`: asks and steers a fleet through its hub's API server.

mod args;
mod commands;
mod error;
mod hub;
mod object;
mod output;
mod revisions;
mod what_if;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    args::Args::parse().execute()
}
