//! What the hub doesn't know, and what an edited label would sweep away, is held until somebody approves.

use anyhow::{Context as _, Result};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use parallax_crds::{ParallaxAgent, Phase, labels};
use parallax_e2e::Component;
use serde_json::{Value, json};

use crate::stand_in::StandIn;
use crate::world::{World, condition};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_does_not_know_is_held_until_it_is_approved() -> Result<()> {
    let world = World::alone("unknown").await?;
    world.apply("forgotten", json!({"type": "claude", "replicas": 2})).await?;
    world.running("forgotten", "2/2").await?;
    let before = world.fingerprint().await?;

    // As after the restore of a backup from before the agent: it vanishes, and no hub has seen a deletion.
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    let no_finalizer = json!({"metadata": {"finalizers": null}});
    world.agents().patch("forgotten", &PatchParams::default(), &Patch::Merge(&no_finalizer)).await?;
    world.delete("forgotten").await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;

    for (member, cluster) in ["member-1", "member-2"].into_iter().enumerate() {
        let digest = held_digest(&world, cluster, &format!("{}/forgotten", world.namespace)).await?;
        assert!(world.deployments(member).get_opt("forgotten").await?.is_some());
        approve(&world, cluster, "0123456789abcdef").await?;
        assert!(
            world.deployments(member).get_opt("forgotten").await?.is_some(),
            "only the digest shown approves"
        );
        if member == 0 {
            assert_eq!(world.fingerprint().await?, before);
        }
        approve(&world, cluster, &digest).await?;
        world.gone_from_member(member, "forgotten").await?;
        released(&world, cluster).await?;
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_label_sweeps_nothing_away() -> Result<()> {
    let world = World::alone("label").await?;
    let names = ten_by_label(&world).await?;

    label(&world, "member-1", Value::Null).await?;
    let digest = held_digest(&world, "member-1", &world.namespace).await?;
    let mut left = 0;
    for name in &names {
        left += usize::from(world.deployments(0).get_opt(name).await?.is_some());
    }
    assert!(left >= 5, "at most 5 of 10 may go before the rest is held, {left} are left");

    approve(&world, "member-1", &digest).await?;
    for name in &names {
        world.gone_from_member(0, name).await?;
    }
    released(&world, "member-1").await?;
    for name in &names {
        world.agents().delete(name, &DeleteParams::default()).await?;
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_is_put_back_releases_what_was_held() -> Result<()> {
    let world = World::alone("label-back").await?;
    let names = ten_by_label(&world).await?;
    label(&world, "member-1", Value::Null).await?;
    held_digest(&world, "member-1", &world.namespace).await?;
    label(&world, "member-1", json!("fast")).await?;
    released(&world, "member-1").await?;
    for name in &names {
        world.running(name, "1/1").await?;
    }
    label(&world, "member-1", Value::Null).await?;
    for name in &names {
        world.agents().delete(name, &DeleteParams::default()).await?;
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_holds_mass_deletions_waits_for_an_approval() -> Result<()> {
    let world = World::alone("mass").await?;
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    let hub = StandIn::hub(&world, "--hold-mass-deletions")?;
    let spec = json!({"type": "claude", "placement": {"clusters": ["member-1"]}});
    let mut names: Vec<_> = (0..12).map(|i| format!("agent-{i}")).collect();
    for name in &names {
        world.apply(name, spec.clone()).await?;
    }
    for name in &names {
        world.running(name, "1/1").await?;
    }

    // One is no mass.
    let alone = names.remove(0);
    world.delete(&alone).await?;
    world.gone_from_hub(&alone).await?;
    world.gone_from_member(0, &alone).await?;

    for name in &names {
        world.delete(name).await?;
    }
    // Four more may pass. Fewer do where the hub sees several at a time: what is judged together is held together.
    world
        .eventually(
            "the few that pass are gone, the others are held and say that they are on their way",
            || async {
                let left = world.agents().list(&ListParams::default()).await?.items;
                let phase = |a: &ParallaxAgent| a.status.as_ref().and_then(|s| s.phase);
                let held = format!("{} agents would lose the cluster", left.len());
                let cluster = world.clusters().get("member-1").await?;
                let blocked = condition(&cluster, "PruneBlocked")
                    .is_some_and(|(status, message)| status == "True" && message.contains(&held));
                let terminating = left.iter().all(|agent| phase(agent) == Some(Phase::Terminating));
                Ok((7..=11).contains(&left.len()) && blocked && terminating)
            },
        )
        .await?;
    for agent in world.agents().list(&ListParams::default()).await? {
        let name = agent.name_any();
        assert!(world.deployments(0).get_opt(&name).await?.is_some(), "{name} was removed");
        assert!(world.assignments(0).get(&name).await?.metadata.deletion_timestamp.is_none(), "{name}");
    }

    let digest = held_digest(&world, "member-1", &world.namespace).await?;
    approve(&world, "member-1", &digest).await?;
    for name in &names {
        world.gone_from_hub(name).await?;
        world.gone_from_member(0, name).await?;
    }
    released(&world, "member-1").await?;
    hub.kill().await;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    world.finish().await
}

/// Ten agents that run in member-1 because of its label.
async fn ten_by_label(world: &World) -> Result<Vec<String>> {
    label(world, "member-1", json!("fast")).await?;
    let spec = json!({"type": "claude", "placement": {"clusterSelector": {"matchLabels": {"tier": "fast"}}}});
    let names: Vec<_> = (0..10).map(|i| format!("agent-{i}")).collect();
    for name in &names {
        world.apply(name, spec.clone()).await?;
    }
    for name in &names {
        world.running(name, "1/1").await?;
    }
    Ok(names)
}

async fn label(world: &World, cluster: &str, value: Value) -> Result<()> {
    let patch = json!({"metadata": {"labels": {"tier": value}}});
    world.clusters().patch(cluster, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// Waits until something of `name` is held in the cluster, and returns the digest that would approve it.
async fn held_digest(world: &World, cluster: &str, name: &str) -> Result<String> {
    let held = world
        .cluster_until(cluster, &format!("{name} is held in {cluster}"), |c| {
            condition(c, "PruneBlocked")
                .is_some_and(|(status, message)| status == "True" && message.contains(name))
        })
        .await?;
    let (_, message) = condition(&held, "PruneBlocked").context("it was held a moment ago")?;
    let (_, rest) = message
        .split_once(&format!("{}=", labels::PRUNE_APPROVE))
        .with_context(|| format!("the message says how to approve: {message}"))?;
    Ok(rest.chars().take_while(char::is_ascii_hexdigit).collect())
}

async fn approve(world: &World, cluster: &str, digest: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {labels::PRUNE_APPROVE: digest}}});
    world.clusters().patch(cluster, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

async fn released(world: &World, cluster: &str) -> Result<()> {
    world
        .cluster_until(cluster, &format!("nothing of this test is held in {cluster}"), |c| {
            condition(c, "PruneBlocked").is_none_or(|(_, message)| !message.contains(&world.namespace))
        })
        .await?;
    Ok(())
}
