//! The watch of agents' objects of a kind that others define, which is there while the cluster has that kind.

use std::sync::Arc;

use kube::Client;
use kube::runtime::watcher::Config;
use parallax_member_core::ChildKind;
use parallax_platform::Watch;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::watch::{children, plural};
use crate::agents::Agents;
use crate::definition::{Definition, Foreign};

/// Watches as long as the task isn't aborted; the receiver hears when it is known whether the cluster has the kind, and
/// which objects of it.
pub(super) fn follow(
    (kind, foreign): (ChildKind, Foreign),
    client: &Client,
    agents: &Arc<Agents>,
    config: &Config,
    tasks: &mut JoinSet<()>,
) -> oneshot::Receiver<()> {
    let (filled, receiver) = oneshot::channel();
    let (client, agents, config) = (client.clone(), Arc::clone(agents), config.clone());
    tasks.spawn(async move {
        let mut filled = Some(filled);
        let definition = Definition::watch(&client, foreign);
        let mut changes = definition.changes();
        loop {
            changes.mark_unchanged();
            let mut watch = JoinSet::new();
            match definition.known().await {
                Ok(Some(_)) => {
                    // The process is ready without them: the cluster may have none at any time.
                    let objects = Watch::new(&client, plural(kind)).config(config.clone());
                    let listed = children(kind, objects, &agents, &mut watch);
                    tokio::select! {
                        Ok(()) = listed => agents.kind_served(kind, true),
                        _ = changes.changed() => continue,
                        _ = watch.join_next() => return,
                    }
                }
                Ok(None) => agents.kind_served(kind, false),
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
