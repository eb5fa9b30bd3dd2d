//! Waiting for a condition, never for a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::time::{Instant, timeout};

use crate::Fleet;
use crate::layout::Component;
use crate::process::Process;
use crate::testing::dump;

pub mod blocking;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one look may take beyond the limit of the whole wait.
const LOOK: Duration = Duration::from_secs(60);

/// What a wait tells that came to nothing, beside what it waited for.
pub enum OnTimeout<'a> {
    /// Nothing more.
    Plain,
    /// The ends of the logs of the processes that the condition depends on. The wait ends early when one of them does.
    Logs(Vec<(Component, &'a Arc<Process>)>),
    /// The state of the whole fleet.
    Dump(&'a Fleet),
}

impl OnTimeout<'_> {
    /// The process that has ended, with the end of its log.
    fn ended(&self) -> Option<(Component, String)> {
        let Self::Logs(processes) = self else { return None };
        let (component, process) = processes.iter().find(|(_, process)| !process.is_running())?;
        Some((*component, process.log_tail(15)))
    }

    async fn story(&self) -> String {
        match self {
            Self::Plain => String::new(),
            Self::Logs(processes) => processes
                .iter()
                .map(|(component, process)| {
                    format!("\n--- the end of {component}'s log\n{}", process.log_tail(5))
                })
                .collect(),
            Self::Dump(fleet) => format!("\n{}", dump(fleet).await),
        }
    }
}

/// Looks again and again until the condition gives a value, and returns it. `Ok(None)` and errors mean "not yet".
///
/// # Errors
/// The limit is over, or one look takes a minute longer than that: the error tells what was waited for, the condition's
/// last error, and what `on_timeout` says.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    on_timeout: OnTimeout<'_>,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        let last = match timeout(limit.saturating_sub(begun.elapsed()) + LOOK, condition()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => String::new(),
            Ok(Err(error)) => format!("\nthe last error: {error:#}"),
            Err(_) => "\nthe last look at it never came to an end".to_owned(),
        };
        if let Some((component, log)) = on_timeout.ended() {
            bail!("{component} ended while waiting for this: {what}{last}\nthe end of its log:\n{log}");
        }
        if begun.elapsed() > limit {
            bail!("waited {} s, in vain: {what}{last}{}", limit.as_secs(), on_timeout.story().await);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks again and again whether the condition holds, for the whole of `time`.
///
/// # Errors
/// It once did not, or couldn't be looked at in time: the error tells what should have held, and what `on_break` says.
pub async fn holds(
    what: &str,
    time: Duration,
    on_break: OnTimeout<'_>,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        let broken = match timeout(time + LOOK, condition()).await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some(String::new()),
            Ok(Err(error)) => Some(format!("\nthe error: {error:#}")),
            Err(_) => Some("\na look at it never came to an end".to_owned()),
        };
        if let Some(broken) = broken {
            bail!("did not hold for {} s: {what}{broken}{}", time.as_secs(), on_break.story().await);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use anyhow::anyhow;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_wait_ends_with_the_value() {
        let mut looks = 0;
        let value = until("three looks", LIMIT, OnTimeout::Plain, async || {
            looks += 1;
            if looks == 1 { Err(anyhow!("not there")) } else { Ok((looks == 3).then_some(looks)) }
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_wait_in_vain_tells_what_for_and_the_last_error() {
        let no = async || Err(anyhow!("no way"));
        let never = until::<()>("the impossible", Duration::ZERO, OnTimeout::Plain, no).await;
        let error = never.unwrap_err().to_string();
        assert_eq!(error, "waited 0 s, in vain: the impossible\nthe last error: no way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_never_ends_ends_the_wait() {
        let stuck = || std::future::pending::<anyhow::Result<Option<()>>>();
        let error = until("an answer", LIMIT, OnTimeout::Plain, stuck).await.unwrap_err().to_string();
        assert_eq!(error, "waited 60 s, in vain: an answer\nthe last look at it never came to an end");
        let stuck = || std::future::pending::<anyhow::Result<bool>>();
        let error = holds("an answer", LIMIT, OnTimeout::Plain, stuck).await.unwrap_err().to_string();
        assert_eq!(error, "did not hold for 60 s: an answer\na look at it never came to an end");
    }

    #[tokio::test]
    async fn what_is_to_hold_is_looked_at_again_and_again() {
        let mut looks = 0;
        let twice = async || {
            looks += 1;
            Ok(looks < 3)
        };
        let error = holds("it holds twice", LIMIT, OnTimeout::Plain, twice).await.unwrap_err().to_string();
        assert_eq!(error, "did not hold for 60 s: it holds twice");
        let fails = async || Err(anyhow!("gone"));
        let error = holds("it is there", LIMIT, OnTimeout::Plain, fails).await.unwrap_err().to_string();
        assert_eq!(error, "did not hold for 60 s: it is there\nthe error: gone");
        let mut looks = 0;
        let always = async || {
            looks += 1;
            Ok(true)
        };
        holds("it holds", PAUSE, OnTimeout::Plain, always).await.unwrap();
        assert!(looks >= 1);
    }
}
