//! A member is away while its agents are deleted and made again.

use anyhow::Result;
use kube::api::ListParams;
use parallax_crds::labels;
use parallax_e2e::Component;
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn deleted_and_made_again_while_a_member_is_away() -> Result<()> {
    let world = World::alone("recreated").await?;
    let spec = json!({"type": "claude", "replicas": 2, "placement": {"strategy": "Replicate"}});
    let old = world.apply("twin", spec.clone()).await?.metadata.uid.unwrap();
    world.running("twin", "4/4").await?;

    world.fleet().kill("member-2", Component::ParallaxMember).await?;
    world.not_fresh("twin", "member-2").await?;
    world.delete("twin").await?;
    world.gone_from_hub("twin").await?;
    let new = world.apply("twin", spec).await?.metadata.uid.unwrap();
    assert_ne!(old, new);
    world
        .eventually("member-1 runs the new one", || async {
            Ok(incarnations(&world, 0).await? == [new.clone(), new.clone()])
        })
        .await?;
    assert_eq!(incarnations(&world, 1).await?, [old.clone(), old]);

    world.fleet().restart("member-2", Component::ParallaxMember).await?;
    world.running("twin", "4/4").await?;
    world
        .eventually("only the new one's pods run in member-2", || async {
            Ok(incarnations(&world, 1).await? == [new.clone(), new.clone()])
        })
        .await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_while_a_member_is_away_and_gone_on_its_return() -> Result<()> {
    let world = World::alone("deleted-away").await?;
    world.apply("gone", json!({"type": "claude", "replicas": 2})).await?;
    world.running("gone", "2/2").await?;
    world.fleet().kill("member-2", Component::ParallaxMember).await?;
    world.not_fresh("gone", "member-2").await?;
    world.delete("gone").await?;
    world.gone_from_hub("gone").await?;
    world.gone_from_member(0, "gone").await?;
    // The tombstone is all that is left of it, and survives the hub too.
    world.restart_hub().await?;
    world.fleet().restart("member-2", Component::ParallaxMember).await?;
    world.gone_from_member(1, "gone").await?;
    world.finish().await
}

/// The incarnation of each pod in the member, sorted.
async fn incarnations(world: &World, member: usize) -> Result<Vec<String>> {
    let pods = world.pods(member).list_metadata(&ListParams::default()).await?;
    let mut all: Vec<_> =
        pods.items.into_iter().filter_map(|pod| pod.metadata.labels?.remove(labels::INCARNATION)).collect();
    all.sort();
    Ok(all)
}
