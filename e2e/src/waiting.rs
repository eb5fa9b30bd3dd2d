//! Waiting for something that processes do, and giving up when they can't any more.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use crate::layout::Component;
use crate::process::Process;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for a condition, and gives up early when one of the processes that it depends on has ended.
///
/// # Errors
/// A process ended, or the limit is over; the ends of the logs and the condition's last error are in the error.
pub async fn wait_for<'a, F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    limit: Duration,
    processes: impl IntoIterator<Item = (Component, &'a Arc<Process>)>,
    condition: impl Fn() -> F,
) -> anyhow::Result<()> {
    let processes: Vec<_> = processes.into_iter().collect();
    let begun = tokio::time::Instant::now();
    let mut rest;
    loop {
        match condition().await {
            Ok(true) => return Ok(()),
            Ok(false) => rest = String::new(),
            Err(error) => rest = format!(" ({error:#})"),
        }
        for (component, process) in &processes {
            if !process.is_running() {
                bail!(
                    "{component} ended while waiting for {what}; the end of its log:\n{}",
                    process.log_tail(15)
                );
            }
        }
        if begun.elapsed() > limit {
            let logs: String = processes
                .iter()
                .map(|(component, process)| format!("\n--- {component}\n{}", process.log_tail(5)))
                .collect();
            bail!("waited {} s for {what}{rest}; the ends of the logs:{logs}", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
