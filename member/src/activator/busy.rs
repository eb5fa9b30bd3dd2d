//! Asks pods whether they work: the gauge `parallax_agent_busy` among their metrics.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parallax_crds::AgentKey;
use parallax_member_core::usage::Exposed;

use crate::scrape::{Untold, scrape};

/// How long a pod may take to answer.
pub const ANSWER: Duration = Duration::from_secs(5);

/// Whether one of these pods works. One that takes the question and leaves it unanswered has its hands full; one that
/// can't be asked, or doesn't have the gauge, says nothing. `patience` bounds the whole, usually [`ANSWER`].
pub async fn any(agent: &AgentKey, pods: &[SocketAddr], patience: Duration) -> bool {
    let asked = |pod: SocketAddr| async move {
        match tokio::time::timeout(patience, ask(pod)).await {
            Ok(Ok(busy)) => busy,
            Ok(Err(untold)) => {
                tracing::warn!(%agent, %pod, "its metrics can't be read, so that it counts as idle: {untold}");
                false
            }
            Err(_) => {
                tracing::info!(%agent, %pod, "its metrics take longer than {patience:?}, so that it counts as busy");
                true
            }
        }
    };
    let mut answers: FuturesUnordered<_> = pods.iter().copied().map(asked).collect();
    while let Some(busy) = answers.next().await {
        if busy {
            return true;
        }
    }
    false
}

async fn ask(pod: SocketAddr) -> Result<bool, Untold> {
    let mut exposed = Exposed::default();
    scrape(pod, |sample| exposed.take(sample)).await?;
    Ok(exposed.busy.unwrap_or(false))
}
