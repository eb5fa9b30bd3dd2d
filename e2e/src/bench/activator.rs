//! `fleet bench activator`: what a request costs more through the activator than on a direct connection, and how many
//! go through, both measured in turns in the same run.

mod report;
mod stage;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

pub use report::Report;

use self::report::{Latency, Throughput};
use self::stage::Stage;
use super::percentile::Percentiles;
use crate::Progress;

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct ActivatorArgs {
    /// How many requests are sent one after another, on each way
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub samples: u32,
    /// How many connections send as fast as they can
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: u16,
    /// For how many seconds, on each way
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=600))]
    pub seconds: u16,
}

/// So many turns, so that what else the machine does falls on both ways alike.
const TURNS: u32 = 10;

/// Starts a control plane, an activator and a pod that answers, and measures.
///
/// # Errors
/// Something doesn't start, or a request is not answered.
pub async fn run(launcher: &Path, args: &ActivatorArgs, progress: Progress) -> Result<Report> {
    let stage = Stage::set(launcher, progress).await?;
    let ways = [stage.pod, stage.activator];

    let step = progress.step(format!("{} requests one after another, on each way", args.samples));
    let mut latencies = [vec![], vec![]];
    let mut connections = [wire::Connection::open(ways[0]).await?, wire::Connection::open(ways[1]).await?];
    for _ in 0..TURNS {
        for (connection, latencies) in connections.iter_mut().zip(&mut latencies) {
            for _ in 0..args.samples.div_ceil(TURNS) {
                let begin = Instant::now();
                connection.request().await?;
                latencies.push(begin.elapsed());
            }
        }
    }
    step.done();
    let [direct, through] = latencies.map(|sample| Percentiles::of(&sample).context("nothing was measured"));
    let latency = Latency { direct: direct?, through: through? };

    let step = progress.step(format!("{} connections at once, on each way", args.connections));
    let mut counts = [0_u64; 2];
    let turn = Duration::from_secs(args.seconds.into()) / TURNS;
    for _ in 0..TURNS {
        for (way, count) in ways.into_iter().zip(&mut counts) {
            *count += flood(way, args.connections, turn).await?;
        }
    }
    step.done();
    let rate = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(args.seconds);
    let throughput =
        Throughput { connections: args.connections, direct: rate(counts[0]), through: rate(counts[1]) };
    stage.clear().await;
    Ok(Report { latency, throughput })
}

/// How many requests are answered on that way within a time.
async fn flood(way: SocketAddr, connections: u16, time: Duration) -> Result<u64> {
    let mut all = tokio::task::JoinSet::new();
    let mut open = vec![];
    for _ in 0..connections {
        open.push(wire::Connection::open(way).await?);
    }
    let until = Instant::now() + time;
    for mut connection in open {
        all.spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < until {
                connection.request().await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(ended) = all.join_next().await {
        count += ended??;
    }
    Ok(count)
}
