//! An agent that does what agents do to a cluster, and nothing else: it answers, keeps connections open, uses
//! processor time when told to, and finishes what it has begun when it is asked to end.

mod busy;
mod identity;
mod metrics;
mod routes;

use std::net::Ipv6Addr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::busy::Busy;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::routes::Agent;

/// An agent to try things with.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where it answers
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// Where it serves /metrics, beside the port that it answers on
    #[arg(long, env = "METRICS_PORT", default_value_t = 9090)]
    metrics_port: u16,
    /// Share of one core that it uses from the start, in percent
    #[arg(long, env = "BUSY_PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    busy_percent: u8,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let busy = Busy::start(args.busy_percent).context("starting the thread that keeps a core busy")?;
    let (end, ending) = watch::channel(false);
    let agent = Arc::new(Agent::new(Identity::of_environment(), busy, Metrics::default(), ending.clone()));

    let answering = listen(args.port).await?;
    say(&serde_json::json!({ "message": "answering", "port": args.port, "identity": agent.identity() }));
    if args.metrics_port != args.port {
        let listener = listen(args.metrics_port).await?;
        let routes = routes::metrics_only(agent.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }
    let serving = axum::serve(answering, routes::all(agent)).with_graceful_shutdown(routes::ended(ending));
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        say(&serde_json::json!({ "message": "ending: finishing what has begun" }));
        end.send_replace(true);
    });
    serving.await.context("serving")?;
    say(&serde_json::json!({ "message": "ended" }));
    Ok(ExitCode::SUCCESS)
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .await
        .with_context(|| format!("listening on port {port}"))
}

/// One JSON line on standard output, as log collectors like it.
fn say(line: &serde_json::Value) {
    use std::io::Write as _;
    // A closed log must not end the agent.
    writeln!(std::io::stdout(), "{line}").ok();
}
