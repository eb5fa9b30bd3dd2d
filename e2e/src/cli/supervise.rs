//! The process that keeps a fleet: whose end is the fleet's.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::print;
use crate::fleet::control::Control;
use crate::fleet::{Fleet, FleetOptions};

/// What the supervisor of a detached fleet says once the fleet works.
pub(super) const READY: &str = "ready";
/// How often the supervisor looks for processes that have crashed, to say so.
const LOOK: Duration = Duration::from_secs(1);

/// The signals that ask a fleet to end.
pub(super) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

pub(super) fn end_signals() -> anyhow::Result<EndSignals> {
    let listen = |kind| signal(kind).context("listening for signals");
    Ok(EndSignals {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
        hang_up: listen(SignalKind::hangup())?,
    })
}

impl EndSignals {
    /// Returns when one has come.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            _ = self.hang_up.recv() => (),
        }
    }
}

/// The supervisor of a detached fleet. It gives up when whoever started it goes away before the fleet works.
pub(super) async fn supervise(options: FleetOptions) -> anyhow::Result<ExitCode> {
    let mut end = end_signals()?;
    let abandoned = async {
        tokio::io::stdin().read_to_end(&mut Vec::new()).await.ok();
    };
    let fleet = tokio::select! {
        started = Fleet::start(options) => started?,
        () = end.wait() => return Ok(ExitCode::FAILURE),
        () = abandoned => return Ok(ExitCode::FAILURE),
    };
    let control = fleet.control()?;
    print(READY);
    let log = fleet.directory().join("supervisor.log");
    watch_over(&fleet, &control, &mut end, |line| {
        let file = OpenOptions::new().create(true).append(true).open(&log);
        file.and_then(|mut file| writeln!(file, "{line}")).ok();
    })
    .await;
    fleet.shut_down().await;
    // A blocked read of standard input would keep the runtime from ending.
    std::process::exit(0);
}

/// Returns when the fleet is asked to end; until then lets users stop and start components, and tells, once each,
/// which have ended by themselves.
pub(super) async fn watch_over(fleet: &Fleet, control: &Control, end: &mut EndSignals, tell: impl Fn(&str)) {
    let mut told = Vec::new();
    let mut look = tokio::time::interval(LOOK);
    let mut serving = std::pin::pin!(control.serve(fleet));
    loop {
        tokio::select! {
            () = end.wait() => return,
            never = &mut serving => match never {},
            _ = look.tick() => {
                let crashed = fleet.crashed();
                told.retain(|which| crashed.iter().any(|(cluster, component, _)| *which == (cluster.clone(), *component)));
                for (cluster, component, tail) in crashed {
                    let which = (cluster, component);
                    if !told.contains(&which) {
                        tell(&format!(
                            "{1} of {0} has ended: `cargo fleet start {0} {1}` starts it again; the end of its log:\n{tail}",
                            which.0, which.1
                        ));
                        told.push(which);
                    }
                }
            }
        }
    }
}
