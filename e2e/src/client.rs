//! Clients of the fleet's API servers.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// Longer than the API server's own pauses between a watch's bookmarks, so that only a dead connection hits it.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// A client as a kubeconfig says. It belongs to the runtime it is made on: a test makes its own.
///
/// # Errors
/// The file is missing or wrong.
pub async fn from_kubeconfig(path: &Path) -> anyhow::Result<kube::Client> {
    let file = Kubeconfig::read_from(path).with_context(|| format!("reading {}", path.display()))?;
    let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("using {}", path.display()))?;
    // Retried calls would hide what a test wants to see, and make its time-outs meaningless.
    config.default_retry = false;
    config.read_timeout = Some(READ_TIMEOUT);
    kube::Client::try_from(config).context("making a client")
}
