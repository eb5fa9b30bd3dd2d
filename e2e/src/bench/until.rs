//! Waiting between measurements, never inside one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(100);

/// Looks again and again until the condition holds.
pub(super) async fn until(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    while !condition().await? {
        if begun.elapsed() > limit {
            bail!("waited {} s, in vain: {what}", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
