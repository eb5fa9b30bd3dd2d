//! What an agent's pods were made of: listed, gone back to, and left alone by a hub with other defaults.

use anyhow::{Context as _, Result};
use parallax_crds::agent::AGENT_CONTAINER;
use parallax_e2e::Component;
use serde_json::{Value, json};

use crate::plugin::Plugin;
use crate::world::World;

/// Waits until the first member's Deployment has an image whose name ends so, and the agent is ready with it.
async fn runs(world: &World, name: &str, ending: &str) -> Result<String> {
    let image = world
        .until(&format!("{name} runs {ending}"), async || {
            let Some(deployment) = world.deployments(0).get_opt(name).await? else { return Ok(None) };
            let pod = deployment.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
            let agent = pod.containers.into_iter().find(|container| container.name == AGENT_CONTAINER);
            Ok(agent.and_then(|agent| agent.image).filter(|image| image.ends_with(ending)))
        })
        .await?;
    // The member has told of it.
    world
        .agent_until(name, "its present generation runs", |agent| {
            agent.status.as_ref().is_some_and(|status| {
                status.observed_generation == agent.metadata.generation
                    && status.replica_summary.as_deref() == Some("1/1")
            })
        })
        .await?;
    Ok(image)
}

/// The numbers that the plugin tells, the current one last, once that is `current`.
async fn numbers(world: &World, plugin: &Plugin, name: &str, current: i64) -> Result<Vec<i64>> {
    let mut last = Vec::new();
    world
        .until(&format!("{name} has revision {current}"), async || {
            let history: Value =
                serde_json::from_str(&plugin.answer(&["history", name, "-o", "json"]).await?)?;
            let rows = history.as_array().context("no list")?;
            last = rows.iter().filter_map(|row| row["revision"].as_i64()).collect();
            let marked = rows.iter().find(|row| row["current"] == true);
            Ok(marked.filter(|row| row["revision"] == current && last.len() <= 5).map(drop))
        })
        .await?;
    Ok(last)
}

fn with_image(tag: u8) -> Value {
    json!({"type": "claude", "image": format!("example.org/worker:{tag}"), "placement": {"clusters": ["member-1"]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_goes_back_and_the_pods_are_what_they_were() -> Result<()> {
    let world = World::alone("rolled-back").await?;
    let plugin = Plugin::of(&world).await?;
    for tag in 1..=2 {
        world.apply("worker", with_image(tag)).await?;
        runs(&world, "worker", &format!("worker:{tag}")).await?;
    }
    assert_eq!(numbers(&world, &plugin, "worker", 2).await?, [1, 2]);
    let history = plugin.answer(&["history", "worker"]).await?;
    assert!(history.contains("2 (current)") && history.contains("example.org/worker:1"), "{history}");

    let foretold = plugin.answer(&["rollback", "worker", "--dry-run"]).await?;
    assert!(foretold.contains("example.org/worker:2") && foretold.contains("to revision 1"), "{foretold}");
    let unchanged = world.agents().get("worker").await?;
    assert_eq!(unchanged.spec.image.as_deref(), Some("example.org/worker:2"), "a dry run changes nothing");

    plugin.answer(&["rollback", "worker"]).await?;
    runs(&world, "worker", "worker:1").await?;
    assert_eq!(numbers(&world, &plugin, "worker", 3).await?, [2, 3]);
    let (succeeded, said) = plugin.run(&["rollback", "worker", "--to", "1"]).await?;
    assert!(!succeeded && said.contains("no revision 1; there are 2, 3"), "{said}");

    for tag in 3..=7 {
        world.apply("worker", with_image(tag)).await?;
        runs(&world, "worker", &format!("worker:{tag}")).await?;
    }
    assert_eq!(numbers(&world, &plugin, "worker", 8).await?, [4, 5, 6, 7, 8], "five are kept");

    world.delete("worker").await?;
    world.gone_from_hub("worker").await?;
    world
        .eventually("its revisions go with it", || async {
            let left = world.kubectl(&["get", "controllerrevisions", "-o", "name"]).await?;
            Ok(left.status.success() && left.stdout.is_empty())
        })
        .await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_other_defaults_changes_no_pod_until_it_is_asked_to() -> Result<()> {
    let world = World::alone("pinned").await?;
    let plugin = Plugin::of(&world).await?;
    world.apply("worker", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    let first = runs(&world, "worker", "").await?;
    numbers(&world, &plugin, "worker", 1).await?;
    let before = world.fingerprint().await?;

    world.fleet().stop("hub", Component::ParallaxHub).await?;
    world.fleet().restart_with("hub", Component::ParallaxHub, &["--image-tag=9.9.9"]).await?;
    world.connected("member-1").await?;
    // A change that goes all the way shows that everything before it has been dealt with.
    world.apply("after", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    runs(&world, "after", ":9.9.9").await?;
    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" after"));
    assert_eq!(before, after);
    assert_eq!(numbers(&world, &plugin, "worker", 1).await?, [1]);

    let foretold = plugin.answer(&["refresh", "worker", "--dry-run"]).await?;
    assert!(foretold.contains(&first), "{foretold}");
    plugin.answer(&["refresh", "worker"]).await?;
    runs(&world, "worker", ":9.9.9").await?;
    numbers(&world, &plugin, "worker", 2).await?;
    plugin.answer(&["rollback", "worker"]).await?;
    runs(&world, "worker", &first).await?;
    assert_eq!(numbers(&world, &plugin, "worker", 3).await?, [2, 3]);
    // The fleet is other tests' too.
    world.restart_hub().await?;
    world.connected("member-1").await?;
    world.finish().await
}
