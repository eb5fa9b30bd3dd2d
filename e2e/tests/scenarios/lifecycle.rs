//! Apply, edit, scale, delete; drift.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, Patch, PatchParams};
use parallax_crds::{ParallaxAgent, Phase, labels};
use serde_json::json;

use crate::phases::phases_until;
use crate::world::{World, agent_condition, uid};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_applied_edited_scaled_and_deleted() -> Result<()> {
    let world = World::calm("lifecycle").await?;
    world.apply("writer", json!({"type": "claude", "replicas": 2})).await?;
    let before = world.running("writer", "2/2").await?;
    world.shared_out("writer", &[1, 1]).await?;

    let (phases, _) = tokio::try_join!(
        phases_until_runs(&world, &before, "parallax.test/writer:2"),
        world.apply("writer", json!({"type": "claude", "replicas": 2, "image": "parallax.test/writer:2"})),
    )?;
    assert!(phases.iter().all(serves), "{phases:?}");
    for member in 0..2 {
        world
            .eventually("the new image is rolled out", || async {
                let deployment = world.deployments(member).get("writer").await?;
                let status = deployment.status.clone().unwrap_or_default();
                Ok(image(&deployment) == Some("parallax.test/writer:2")
                    && status.observed_generation == deployment.metadata.generation
                    && status.updated_replicas == Some(1)
                    && status.ready_replicas == Some(1)
                    && status.replicas == Some(1))
            })
            .await?;
    }
    world.running("writer", "2/2").await?;

    world
        .apply("writer", json!({"type": "claude", "replicas": 5, "image": "parallax.test/writer:2"}))
        .await?;
    world.running("writer", "5/5").await?;
    world.shared_out("writer", &[3, 2]).await?;
    world
        .apply("writer", json!({"type": "claude", "replicas": 1, "image": "parallax.test/writer:2"}))
        .await?;
    world.running("writer", "1/1").await?;
    world.shared_out("writer", &[1]).await?;

    world.delete("writer").await?;
    world.gone_from_hub("writer").await?;
    world.gone_from_member(0, "writer").await?;
    world.gone_from_member(1, "writer").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_update_waits_for_its_image_the_old_pod_serves_and_the_phase_says_so() -> Result<()> {
    let world = World::calm("update").await?;
    let spec = |image: &str| json!({"type": "claude", "replicas": 1, "image": image});
    world.apply("patient", spec("parallax.test/patient:1")).await?;
    let before = world.running("patient", "1/1").await?;

    let update = async {
        world.apply("patient", spec("fleet.test/missing:1")).await?;
        let waiting = world
            .agent_until("patient", "the update waits for its image", |agent| {
                agent_condition(agent, "Ready").is_some_and(|(_, reason, _)| reason == "ImagePullBackOff")
            })
            .await?;
        let status = waiting.status.clone().unwrap_or_default();
        assert_eq!(status.replica_summary.as_deref(), Some("0/1"), "of the new image, nothing is ready");
        let (progressing, _, message) = agent_condition(&waiting, "Progressing").context("no Progressing")?;
        assert_eq!(progressing, "True");
        assert!(message.ends_with("while earlier ones serve"), "{message}");
        world.apply("patient", spec("parallax.test/patient:2")).await
    };
    let (phases, _) =
        tokio::try_join!(phases_until_runs(&world, &before, "parallax.test/patient:2"), update)?;
    assert!(phases.iter().all(serves), "{phases:?}");
    assert!(phases.contains(&Phase::Scaling), "{phases:?}");
    world.running("patient", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_agent_keeps_its_place_and_has_no_pods() -> Result<()> {
    let world = World::calm("suspend").await?;
    world.apply("sleeper", json!({"type": "codex", "replicas": 2})).await?;
    let before = world.running("sleeper", "2/2").await?.status.and_then(|s| s.placement);
    world.apply("sleeper", json!({"type": "codex", "replicas": 2, "suspend": true})).await?;
    let after = world.running("sleeper", "0/0").await?.status.and_then(|s| s.placement);
    assert_eq!(before.map(|p| p.targets), after.map(|p| p.targets));
    world.shared_out("sleeper", &[0, 0]).await?;
    world.apply("sleeper", json!({"type": "codex", "replicas": 2, "suspend": false})).await?;
    world.running("sleeper", "2/2").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_deleted_agent_goes() -> Result<()> {
    let world = World::calm("only-that").await?;
    for name in ["stays", "goes"] {
        world.apply(name, json!({"type": "claude", "replicas": 2})).await?;
    }
    world.running("stays", "2/2").await?;
    world.running("goes", "2/2").await?;
    let stays = world.deployments(0).get("stays").await?;
    world.delete("goes").await?;
    world.gone_from_hub("goes").await?;
    world.gone_from_member(0, "goes").await?;
    world.gone_from_member(1, "goes").await?;
    assert_eq!(uid(&world.deployments(0).get("stays").await?), uid(&stays));
    world.running("stays", "2/2").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_in_a_member_is_put_right_at_once() -> Result<()> {
    let world = World::calm("drift").await?;
    world
        .apply("steady", json!({"type": "claude", "replicas": 2, "image": "parallax.test/steady:1"}))
        .await?;
    world.running("steady", "2/2").await?;
    let deployments = world.deployments(0);

    let vandal = PatchParams::default();
    let image_patch =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "agent", "image": "vandal:1"}]}}}});
    deployments.patch("steady", &vandal, &Patch::Strategic(&image_patch)).await?;
    deployments.patch("steady", &vandal, &Patch::Merge(&json!({"spec": {"replicas": 4}}))).await?;
    let label_patch = json!({"metadata": {"labels": {labels::TYPE: "forged"}}});
    deployments.patch("steady", &vandal, &Patch::Merge(&label_patch)).await?;
    world
        .eventually("image, replicas and labels are put right", || async {
            let deployment = deployments.get("steady").await?;
            Ok(image(&deployment) == Some("parallax.test/steady:1")
                && deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(1)
                && deployment
                    .metadata
                    .labels
                    .as_ref()
                    .and_then(|l| l.get(labels::TYPE))
                    .is_some_and(|t| t == "claude"))
        })
        .await?;

    world.services(0).delete("steady", &DeleteParams::default()).await?;
    world
        .eventually("the Service is back", || async {
            Ok(world.services(0).get_opt("steady").await?.is_some())
        })
        .await?;
    let old = uid(&deployments.get("steady").await?);
    deployments.delete("steady", &DeleteParams::default()).await?;
    world
        .eventually("the Deployment is back", || async {
            Ok(deployments.get_opt("steady").await?.is_some_and(|deployment| uid(&deployment) != old))
        })
        .await?;
    world.running("steady", "2/2").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_that_somebody_deletes_in_a_member_comes_back() -> Result<()> {
    let world = World::calm("assignment").await?;
    world.apply("ordered", json!({"type": "claude", "replicas": 2})).await?;
    world.running("ordered", "2/2").await?;
    let assignments = world.assignments(0);
    let old = assignments.get("ordered").await?.metadata.uid;
    assignments.delete("ordered", &DeleteParams::default()).await?;
    world
        .eventually("the assignment is back", || async {
            Ok(assignments.get_opt("ordered").await?.is_some_and(|a| a.metadata.uid != old))
        })
        .await?;
    world.running("ordered", "2/2").await?;
    world.finish().await
}

/// Every phase that is written from this version of the agent on, until it runs this image.
async fn phases_until_runs(world: &World, from: &ParallaxAgent, image: &str) -> Result<Vec<Phase>> {
    phases_until(world, from, |agent| {
        let status = agent.status.clone().unwrap_or_default();
        agent.spec.image.as_deref() == Some(image)
            && status.observed_generation == agent.metadata.generation
            && status.phase == Some(Phase::Running)
    })
    .await
}

fn serves(phase: &Phase) -> bool {
    matches!(phase, Phase::Running | Phase::Scaling)
}

fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}
