//! The watch of PodMonitors, which is there while the cluster has that kind.

use std::sync::Arc;

use kube::Client;
use kube::runtime::watcher::Config;
use parallax_member_core::ChildKind;
use parallax_platform::Watch;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::watch::children;
use crate::agents::Agents;
use crate::definition::{Definition, POD_MONITORS};

/// Watches as long as the task isn't aborted; the receiver hears when it is known whether the cluster has PodMonitors,
/// and which.
pub(super) fn follow(
    client: &Client,
    agents: &Arc<Agents>,
    config: &Config,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<()> {
    let (filled, receiver) = oneshot::channel();
    let (client, agents, config) = (client.clone(), Arc::clone(agents), config.clone());
    tasks.spawn(async move {
        let mut filled = Some(filled);
        let definition = Definition::watch(&client, POD_MONITORS);
        let mut changes = definition.changes();
        loop {
            changes.mark_unchanged();
            let mut watch = JoinSet::new();
            match definition.known().await {
                Ok(Some(kind)) if kind.version == "v1" => {
                    // The process is ready without them: the cluster may have none at any time.
                    let monitors = Watch::new(&client, "PodMonitors").config(config.clone());
                    let listed = children(ChildKind::PodMonitor, monitors, &agents, &mut watch);
                    tokio::select! {
                        Ok(()) = listed => agents.pod_monitors_served(true),
                        _ = changes.changed() => continue,
                        _ = watch.join_next() => return,
                    }
                }
                Ok(_) => agents.pod_monitors_served(false),
                // Its watch has said what can't be known, and goes on; till then, what was known is.
                Err(_) => {}
            }
            if let Some(filled) = filled.take()
                && filled.send(()).is_err()
            {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // A watch that ended would leave a member that looks well and sees nothing.
                Some(_) = watch.join_next() => return,
            }
        }
    });
    receiver
}
