//! A decision that is lost is made again from what runs, and nothing that runs is touched for it.

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use parallax_crds::ParallaxAgent;
use parallax_e2e::Component;
use serde_json::json;

use crate::world::World;

fn incomplete(agent: &ParallaxAgent) -> Option<bool> {
    Some(agent.status.as_ref()?.placement.as_ref()?.incomplete)
}

/// Loses the hub, and with it what it has written about the agent.
async fn lose(world: &World) -> Result<()> {
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    let wiped = Patch::Merge(json!({"status": null}));
    world.agents().patch_status("calm", &PatchParams::default(), &wiped).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_was_wiped_is_made_again_from_what_the_clusters_hold() -> Result<()> {
    let world = World::alone("status-wiped").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 5})).await?;
    world.running("calm", "5/5").await?;
    let (mut before, shares) = (world.fingerprint().await?, world.shares("calm").await?);

    lose(&world).await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    world.agent_until("calm", "the decision is whole", |agent| incomplete(agent) == Some(false)).await?;
    world.running("calm", "5/5").await?;
    assert_eq!(world.shares("calm").await?, shares);
    assert_eq!(world.fingerprint().await?, before);

    // A cluster that doesn't tell in time is made up for, and keeps what it has when it comes back.
    world.fleet().kill("member-2", Component::ParallaxMember).await?;
    lose(&world).await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    world
        .agent_until("calm", "the decision is there but for what member-2 holds", |agent| {
            incomplete(agent) == Some(true)
        })
        .await?;
    world.fleet().restart("member-2", Component::ParallaxMember).await?;
    world.agent_until("calm", "the decision is whole", |agent| incomplete(agent) == Some(false)).await?;
    world.running("calm", "5/5").await?;
    assert_eq!(world.shares("calm").await?, shares);
    let mut after = world.fingerprint().await?;
    for objects in [&mut before, &mut after] {
        objects.retain(|object, _| !object.contains(" Pod "));
    }
    assert_eq!(after, before);
    world.finish().await
}
