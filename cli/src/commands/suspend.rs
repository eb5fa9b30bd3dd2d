//! Agents without replicas and clusters that are left as they are, and the way back.

use serde_json::json;

use crate::error::CliError;
use crate::hub::Hub;
use crate::object::Object;
use crate::output::say;
use crate::what_if::Picture;

/// Suspends, or ends a suspension.
pub async fn run(hub: &Hub, object: &Object, suspend: bool, dry_run: bool) -> Result<(), CliError> {
    let done = if suspend { "suspended" } else { "resumed" };
    if dry_run {
        let picture = Picture::of(hub).await?;
        let changed = match object {
            Object::Agent(name) => {
                let mut agent = hub.agent(name).await?;
                agent.spec.suspend = suspend;
                picture.with_agent(agent)
            }
            Object::Cluster(name) => {
                let mut cluster = hub.cluster(name).await?;
                cluster.spec.suspended = suspend;
                picture.with_cluster(cluster)
            }
        };
        say(&picture.difference(&changed));
        say(&format!("{object} {done} (dry run: nothing was changed)"));
        return Ok(());
    }
    let already = match object {
        Object::Agent(name) => hub.agent(name).await?.spec.suspend == suspend,
        Object::Cluster(name) => hub.cluster(name).await?.spec.suspended == suspend,
    };
    if already {
        say(&format!("{object} already {done}"));
        return Ok(());
    }
    match object {
        Object::Agent(name) => hub.patch_agent(name, &json!({"spec": {"suspend": suspend}})).await?,
        Object::Cluster(name) => hub.patch_cluster(name, &json!({"spec": {"suspended": suspend}})).await?,
    }
    say(&format!("{object} {done}"));
    Ok(())
}
