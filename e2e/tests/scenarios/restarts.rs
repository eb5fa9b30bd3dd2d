//! Processes die, and nothing is recreated, deleted or even written because of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use kube::api::DeleteParams;
use parallax_e2e::Component;
use parallax_e2e::waiting::{self, OnTimeout};
use serde_json::json;

use crate::world::{LIMIT, World, uid};

/// Between two looks at all audit logs, which are long.
const PAUSE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_killed_comes_back_and_writes_nothing() -> Result<()> {
    let world = World::alone("member-killed").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 4})).await?;
    world.running("calm", "4/4").await?;
    world.recorded(0, "calm", 2).await?;
    let before = world.fingerprint().await?;
    let mark = world.fleet().audit("member-1")?.len();

    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world
        .agent_until("calm", "the lost member's replicas are not counted", |agent| {
            agent.status.as_ref().is_some_and(|s| {
                s.ready_replicas == 2 && s.clusters.iter().any(|c| c.freshness.to_string() != "Fresh")
            })
        })
        .await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.running("calm", "4/4").await?;
    // A change that goes all the way shows that everything before it has been dealt with.
    world.apply("after", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("after", "1/1").await?;

    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" after"));
    assert_eq!(before, after);
    let writes = world.writes_since("member-1", "parallax-member", mark)?;
    let others: Vec<_> = writes
        .iter()
        .filter(|w| w.object_ref.name != "after" && w.object_ref.resource != "events")
        .filter(|w| w.object_ref.name != "parallax-member-state")
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_hub_is_dead_a_member_heals_and_on_its_return_nothing_is_touched() -> Result<()> {
    let world = World::alone("hub-killed").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 4})).await?;
    world.running("calm", "4/4").await?;
    world.fleet().kill("hub", Component::ParallaxHub).await?;

    let deployments = world.deployments(0);
    let old = uid(&deployments.get("calm").await?);
    deployments.delete("calm", &DeleteParams::default()).await?;
    world
        .eventually("the Deployment is back and ready with the hub away", || async {
            Ok(deployments.get_opt("calm").await?.is_some_and(|d| {
                uid(&d) != old && d.status.as_ref().and_then(|s| s.ready_replicas) == Some(2)
            }))
        })
        .await?;
    world
        .eventually("the old pods are gone", || async {
            Ok(world.pods(0).list(&kube::api::ListParams::default()).await?.items.len() == 2)
        })
        .await?;
    // The hub knew that all was well before it died; what the members write down for themselves may come later.
    world.recorded(0, "calm", 2).await?;
    world.recorded(1, "calm", 2).await?;

    let before = world.fingerprint().await?;
    let marks = [world.fleet().audit("member-1")?.len(), world.fleet().audit("member-2")?.len()];
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    world.connected("member-1").await?;
    world.connected("member-2").await?;
    world
        .apply("after", json!({"type": "claude", "replicas": 2, "placement": {"strategy": "Replicate"}}))
        .await?;
    world.running("after", "4/4").await?;
    world.running("calm", "4/4").await?;

    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" after"));
    assert_eq!(before, after);
    for (cluster, mark) in ["member-1", "member-2"].into_iter().zip(marks) {
        let writes = world.writes_since(cluster, "parallax-member", mark)?;
        let others: Vec<_> = writes
            .iter()
            .filter(|w| w.object_ref.name != "after" && w.object_ref.name != "parallax-member-state")
            .filter(|w| w.object_ref.namespace == world.namespace && w.object_ref.resource != "events")
            .collect();
        assert!(others.is_empty(), "{cluster}: {others:#?}");
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_fleet_writes_nothing() -> Result<()> {
    let world = World::alone("idle").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 2})).await?;
    world.running("calm", "2/2").await?;
    // What the last test has left behind may still be on its way: quiet begins when 5 s bring no write.
    let count = || -> Result<usize> {
        Ok(world.writes_since("hub", "parallax-hub", 0)?.len()
            + world.writes_since("member-1", "parallax-member", 0)?.len()
            + world.writes_since("member-2", "parallax-member", 0)?.len())
    };
    let mut quiet_since = (count()?, Instant::now());
    waiting::until("the fleet is quiet", LIMIT, OnTimeout::Dump(world.fleet()), async || {
        tokio::time::sleep(PAUSE).await;
        let now = count()?;
        if now != quiet_since.0 {
            quiet_since = (now, Instant::now());
        }
        Ok((quiet_since.1.elapsed() >= Duration::from_secs(5)).then_some(()))
    })
    .await?;
    let quiet = count()?;
    // Longer than two heartbeats, so that one that were a write would show.
    let (what, time) = ("an idle fleet writes nothing", Duration::from_secs(25));
    waiting::holds(what, time, OnTimeout::Dump(world.fleet()), async || {
        tokio::time::sleep(PAUSE).await;
        Ok(count()? == quiet)
    })
    .await?;
    world.finish().await
}
