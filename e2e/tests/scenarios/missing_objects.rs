//! ConfigMaps and Secrets that pods wait for are named, and no longer once they are there.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use parallax_crds::ParallaxAgent;
use parallax_e2e::Component;
use serde_json::{Value, json};

use crate::world::{World, agent_condition};

/// No kubelet: the pods of this image are left alone, and wait.
const WAITING: &str = "fleet.test/played:1";

fn agent(image: &str) -> Value {
    json!({
        "type": "claude", "image": image, "placement": {"clusters": ["member-1"]},
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "extras", "optional": true}}],
        "volumes": [{"name": "certificates", "secret": {"secretName": "certificates"}}],
        "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
    })
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// Waits until the agent isn't ready for that reason, in its conditions and in its cluster's row.
async fn waits(world: &World, name: &str, reason: &str) -> Result<ParallaxAgent> {
    let what = format!("{name} waits for {reason}");
    world
        .agent_until(name, &what, |agent| {
            let row = agent.status.as_ref().and_then(|status| status.clusters.first());
            row.is_some_and(|row| row.reason.as_deref() == Some(reason))
                && agent_condition(agent, "Ready")
                    .is_some_and(|(status, why, _)| status == "False" && why == reason)
        })
        .await
}

fn message(agent: &ParallaxAgent) -> Result<String> {
    let (.., message) = agent_condition(agent, "Ready").context("Ready")?;
    Ok(message.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_pods_wait_for_is_named_until_it_is_there() -> Result<()> {
    let world = World::alone("missing").await?;
    let maps: Api<ConfigMap> = Api::namespaced(world.members[0].clone(), &world.namespace);
    let secrets: Api<Secret> = Api::namespaced(world.members[0].clone(), &world.namespace);
    world.apply("waiting", agent(WAITING)).await?;
    waits(&world, "waiting", "ConfigMapMissing").await?;
    let both = ["member-1", "/settings", "/certificates", "create them"];
    let shown = world
        .agent_until("waiting", "both are named", |agent| {
            message(agent).is_ok_and(|said| both.iter().all(|words| said.contains(words)))
        })
        .await?;
    assert!(!message(&shown)?.contains("extras"), "it is optional: {}", message(&shown)?);
    // It is told again after a restart, of what the watches of the new process show.
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;

    let map = ConfigMap { metadata: named("settings"), ..ConfigMap::default() };
    maps.create(&PostParams::default(), &map).await?;
    let shown = waits(&world, "waiting", "SecretMissing").await?;
    assert!(!message(&shown)?.contains("settings"), "{}", message(&shown)?);
    maps.delete("settings", &DeleteParams::default()).await?;
    waits(&world, "waiting", "ConfigMapMissing").await?;
    maps.create(&PostParams::default(), &map).await?;
    waits(&world, "waiting", "SecretMissing").await?;
    let secret = Secret { metadata: named("certificates"), ..Secret::default() };
    secrets.create(&PostParams::default(), &secret).await?;
    let shown = waits(&world, "waiting", "Progressing").await?;
    assert!(!message(&shown)?.contains("certificates"), "{}", message(&shown)?);

    // Pods that run are no trouble of the agent's, whatever goes.
    world.apply("running", agent("fleet.test/any:1")).await?;
    world.running("running", "1/1").await?;
    secrets.delete("certificates", &DeleteParams::default()).await?;
    waits(&world, "waiting", "SecretMissing").await?;
    let shown = world.running("running", "1/1").await?;
    let row = &shown.status.context("a status")?.clusters[0];
    assert_eq!(row.reason.as_deref(), None, "{row:?}");
    world.finish().await
}
