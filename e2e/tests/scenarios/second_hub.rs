//! Of two hubs on one cluster the one that began last goes on.

use anyhow::Result;
use parallax_e2e::Component;
use serde_json::json;

use crate::stand_in::StandIn;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_ends_when_another_has_begun() -> Result<()> {
    let world = World::alone("second-hub").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 2})).await?;
    world.running("calm", "2/2").await?;
    let before = world.fingerprint().await?;

    let first = world.log("hub", Component::ParallaxHub)?;
    let second = StandIn::second_hub(&world)?;
    first.says(&world, &["another hub has begun epoch", "run one hub for a fleet"]).await?;
    // Whoever restarts the first, as a Deployment of two would, has the second end.
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    second.log.says(&world, &["another hub has begun epoch"]).await?;
    world.connected("member-1").await?;
    world.connected("member-2").await?;
    world.apply("after", json!({"type": "claude", "replicas": 2})).await?;
    world.running("after", "2/2").await?;
    world.running("calm", "2/2").await?;

    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" after"));
    assert_eq!(before, after);
    second.kill().await;
    world.finish().await
}
