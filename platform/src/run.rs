//! From `main` to an exit code: signals, the grace at the end, and errors as one line.

use std::fmt;
use std::future::Future;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a service may take to end after the first signal.
pub const GRACE: Duration = Duration::from_secs(10);

/// How many threads run a service's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The main thread only.
    One,
    /// This many workers.
    Workers(usize),
}

/// Runs a service to its end and says how it went: 0 when `main` returned without an error, 1 with
/// `error: …` on standard error otherwise.
///
/// The first SIGTERM or SIGINT cancels the token that `main` is given; a second one, or 10 s, ends the
/// process with whatever is still under way.
pub fn run_service<M, F, E>(threads: Threads, main: M) -> ExitCode
where
    M: FnOnce(CancellationToken) -> F,
    F: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    with_runtime(threads, async {
        let shutdown = CancellationToken::new();
        let signals = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => Signals { terminate, interrupt },
            (Err(error), _) | (_, Err(error)) => {
                return report(&format!("can't listen for signals: {error}; raise the limit of open files"));
            }
        };
        tokio::select! {
            ended = main(shutdown.clone()) => exit_code(ended),
            why = end_of_grace(signals, shutdown) => {
                tracing::warn!("{why}; ending with work under way");
                ExitCode::FAILURE
            }
        }
    })
}

/// Runs a command to its end, as [`run_service`] does; signals end it at once.
pub fn run_command<F, E>(main: F) -> ExitCode
where
    F: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    with_runtime(Threads::One, async { exit_code(main.await) })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Resolves when there is nothing left to wait for, with the reason.
async fn end_of_grace(mut signals: Signals, shutdown: CancellationToken) -> &'static str {
    let signal = signals.next().await;
    tracing::info!(signal, grace = ?GRACE, "stopping");
    shutdown.cancel();
    tokio::select! {
        _ = signals.next() => "a second signal came",
        () = tokio::time::sleep(GRACE) => "the grace period is over",
    }
}

fn with_runtime(threads: Threads, main: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime(threads) {
        Ok(runtime) => {
            let code = runtime.block_on(main);
            // A blocking call that hangs must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            report(&format!("can't start the runtime: {error}; raise the limits of threads and open files"))
        }
    }
}

fn runtime(threads: Threads) -> io::Result<Runtime> {
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Workers(workers) => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers.max(1));
            builder
        }
    };
    // Name resolution and little else blocks.
    builder.enable_all().max_blocking_threads(8).build()
}

fn exit_code<E: fmt::Display>(ended: Result<(), E>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // The alternate form shows the causes of an anyhow::Error in one line.
        Err(error) => report(&format!("{error:#}")),
    }
}

fn report(error: &str) -> ExitCode {
    // Without standard error there is nowhere to say it.
    let _ = writeln!(io::stderr(), "error: {}", one_line(error));
    ExitCode::FAILURE
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
