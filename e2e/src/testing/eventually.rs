//! Waiting for a condition, never for a time.

use std::time::Duration;

use super::dump;
use crate::Fleet;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until the condition gives a value, and returns it.
///
/// `Ok(None)` and errors mean "not yet"; the last error is told when the time is up.
///
/// # Panics
/// When the limit is over: the message tells what was waited for, and the state of the whole fleet.
pub async fn eventually<T>(
    fleet: &Fleet,
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        let last = match condition().await {
            Ok(Some(value)) => return value,
            Ok(None) => String::new(),
            Err(error) => format!("\nthe last error: {error:#}"),
        };
        if begun.elapsed() > limit {
            let state = dump(fleet).await;
            panic!("waited {} s, in vain: {what}{last}\n{state}", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Watches that the condition holds for the whole of a time.
///
/// # Panics
/// When it once does not, or can't be looked at: the message tells what should hold, and the state of the whole fleet.
pub async fn holds_for(
    fleet: &Fleet,
    what: &str,
    time: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < time {
        let broken = match condition().await {
            Ok(true) => None,
            Ok(false) => Some(String::new()),
            Err(error) => Some(format!("\nthe error: {error:#}")),
        };
        if let Some(broken) = broken {
            let state = dump(fleet).await;
            panic!("did not hold for {} s: {what}{broken}\n{state}", time.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
