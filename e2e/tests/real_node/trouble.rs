//! Containers that don't run, or stop answering: what the agent's status says of it.

use anyhow::{Context as _, Result};
use parallax_e2e::real_node::images::AGENT;
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_fails_the_agent_until_another_is_named() -> Result<()> {
    let Some(world) = World::new("image").await? else { return Ok(()) };
    world.apply("misspelt", json!({ "image": "parallax.local/exmaple-agent:1" })).await?;
    let message = world.fails("misspelt", "ImagePullBackOff").await?;
    assert!(message.contains("parallax.local/exmaple-agent:1"), "{message}");
    let pod = world.pods_of("misspelt").await?.remove(0).metadata.name.unwrap_or_default();
    // The kubelet alternates between trying and waiting; the agent has failed all the while.
    for reason in ["ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"] {
        world
            .stays_failed_until("misspelt", &format!("its container says {reason}"), async || {
                let state = world.container(&pod).await?.state.unwrap_or_default();
                Ok(state.waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some(reason)))
            })
            .await?;
    }
    world.apply("misspelt", json!({ "image": AGENT })).await?;
    world.runs("misspelt", 1).await?;
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_told_in_the_containers_own_words_for_as_long_as_it_lasts() -> Result<()> {
    let Some(world) = World::new("crash").await? else { return Ok(()) };
    let script = "echo 'no model is configured' > /dev/termination-log; sleep 1; exit 3";
    let command = json!(["/bin/sh", "-c", script]);
    world.apply("hasty", json!({ "command": command, "healthCheck": { "periodSeconds": 1 } })).await?;
    let message = world.fails("hasty", "CrashLoopBackOff").await?;
    assert!(message.contains("no model is configured"), "{message}");
    let pod = world.pods_of("hasty").await?.remove(0).metadata.name.unwrap_or_default();
    world
        .stays_failed_until("hasty", "its container has been started three times more", async || {
            Ok(world.container(&pod).await?.restart_count >= 3)
        })
        .await?;
    let last = world.container(&pod).await?.last_state.unwrap_or_default();
    assert_eq!(last.terminated.context("it never ended")?.exit_code, 3);
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_answers_its_probes_badly_is_restarted_and_runs_again() -> Result<()> {
    let Some(world) = World::new("probes").await? else { return Ok(()) };
    world.apply("moody", json!({ "healthCheck": { "periodSeconds": 1, "failureThreshold": 2 } })).await?;
    world.runs("moody", 1).await?;
    world.shell().await?;
    let pod = world.pods_of("moody").await?.remove(0);
    let (name, status) = (pod.metadata.name.unwrap_or_default(), pod.status.unwrap_or_default());
    let address = status.pod_ip.context("the pod has no address")?;
    world.curl(&["--request", "PUT", &format!("http://{address}:8080/health?ok=false")]).await?;
    world
        .until("the container to be restarted", async || {
            let status = world.pods.get(&name).await?.status.unwrap_or_default();
            let containers = status.container_statuses.unwrap_or_default();
            Ok(containers.iter().any(|container| container.restart_count > 0).then_some(()))
        })
        .await?;
    world.runs("moody", 1).await?;
    assert_eq!(world.ask("moody", "/health").await?, "ok\n");
    world.namespace.delete().await
}
