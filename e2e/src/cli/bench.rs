//! `fleet bench`.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde::Serialize;

use super::{DirectoryArgs, Format, print};
use crate::bench;
use crate::bench::activator::ActivatorArgs;
use crate::bench::propagation::PropagationArgs;
use crate::progress::Progress;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// How long a change takes to a member, and its truth back to the hub
    Propagation {
        #[command(flatten)]
        args: PropagationArgs,
        #[command(flatten)]
        directory: DirectoryArgs,
        /// How to print
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
    /// What a request costs more through the activator than straight to its pod
    Activator {
        #[command(flatten)]
        args: ActivatorArgs,
        /// How to print
        #[arg(short, long, value_enum, default_value_t = Format::Text)]
        output: Format,
    },
}

/// Measures, and prints the report.
pub(super) async fn bench(which: Bench) -> anyhow::Result<ExitCode> {
    let launcher = std::env::current_exe().context("finding the fleet binary")?;
    match which {
        Bench::Propagation { args, directory, output } => {
            let layout = directory.layout()?;
            let record = layout.read()?;
            let record = record.with_context(|| {
                format!("no fleet in {}: `cargo fleet up --detach` starts one", layout.root().display())
            })?;
            show(&bench::propagation(&record, &launcher, &args, Progress::Told).await?, output)
        }
        Bench::Activator { args, output } => {
            show(&bench::activator::run(&launcher, &args, Progress::Told).await?, output)
        }
    }
}

fn show(report: &(impl Serialize + Display), output: Format) -> anyhow::Result<ExitCode> {
    match output {
        Format::Json => print(&serde_json::to_string_pretty(report)?),
        Format::Text => print(&report.to_string()),
    }
    Ok(ExitCode::SUCCESS)
}
