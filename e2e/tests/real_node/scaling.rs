//! Load chooses the number of replicas, measured in real containers.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_agent_gets_a_second_replica_and_loses_it_when_it_is_idle() -> Result<()> {
    let Some(world) = World::new("scaling").await? else { return Ok(()) };
    // Of the 20 thousandths of a core that it requests, which it gets on a busy machine too.
    let scaling = json!({ "minReplicas": 1, "maxReplicas": 2, "targetCPUUtilization": 100 });
    world.apply("elastic", json!({ "scaling": scaling })).await?;
    world.runs("elastic", 1).await?;
    world.shell().await?;
    be_busy(&world, 50).await?;
    world.runs("elastic", 2).await?;
    be_busy(&world, 0).await?;
    world.runs("elastic", 1).await?;
    world.namespace.delete().await
}

/// Tells every pod of the agent how busy to be.
async fn be_busy(world: &World, percent: u8) -> Result<()> {
    for pod in world.pods_of("elastic").await? {
        let address = pod.status.and_then(|status| status.pod_ip).context("the pod has no address")?;
        let url = format!("http://{address}:8080/busy?percent={percent}");
        world
            .until(&format!("an answer from {url}"), async || {
                world.curl(&["--request", "POST", &url]).await.map(|_| Some(()))
            })
            .await?;
    }
    Ok(())
}
