//! What an agent keeps: a volume that outlives its pods, and the agent where it is to.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use parallax_crds::labels;
use serde_json::{Value, json};

use crate::world::{World, agent_condition};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_keeps_outlives_its_pods_and_the_agent_where_it_is_to() -> Result<()> {
    let world = World::calm("workspace").await?;
    let volume = volume(&world).await?;

    // A rolling update at first: the way to Recreate takes away what the API server has set for it.
    world.apply("keeper", here(1, Value::Null)).await?;
    world.running("keeper", "1/1").await?;
    world.apply("keeper", here(1, workspace(&world, true))).await?;
    world.running("keeper", "1/1").await?;
    let claim = claims(&world).get("keeper-workspace").await?;
    assert_eq!(claim.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Bound"));
    assert_eq!(claim.metadata.owner_references, None);
    let deployment = world.deployments(0).get("keeper").await?;
    let strategy = deployment.spec.and_then(|spec| spec.strategy).context("a strategy")?;
    assert_eq!(strategy.type_.as_deref(), Some("Recreate"));

    let shared = world.apply("keeper", here(2, workspace(&world, true))).await;
    let refusal = format!("{:#}", shared.err().context("two replicas share a workspace for one")?);
    assert!(refusal.contains("workspace: it is for one replica"), "{refusal}");

    world.delete("keeper").await?;
    world.gone_from_hub("keeper").await?;
    world.gone_from_member(0, "keeper").await?;
    let kept = claims(&world).get("keeper-workspace").await?;
    assert_eq!((kept.uid(), kept.metadata.deletion_timestamp), (claim.uid(), None));

    // The next of that name finds it, and takes it along when it goes.
    let next = world.apply("keeper", here(1, workspace(&world, false))).await?;
    world.running("keeper", "1/1").await?;
    world
        .eventually("the claim is the new agent's", || async {
            let found = claims(&world).get("keeper-workspace").await?;
            Ok(found.uid() == claim.uid()
                && found.labels().get(labels::INCARNATION) == next.metadata.uid.as_ref()
                && !found.annotations().contains_key("parallax.io/retained")
                && found.owner_references().iter().any(|owner| owner.kind == "AgentAssignment"))
        })
        .await?;
    world.apply("keeper", here(1, Value::Null)).await?;
    world.running("keeper", "1/1").await?;
    world
        .eventually("the claim went with the workspace", || async {
            Ok(claims(&world).get_opt("keeper-workspace").await?.is_none())
        })
        .await?;
    let deployment = world.deployments(0).get("keeper").await?;
    let strategy = deployment.spec.and_then(|spec| spec.strategy).context("a strategy")?;
    assert_eq!(strategy.type_.as_deref(), Some("RollingUpdate"));
    remove(&world, &volume).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pod_starts_on_a_claim_that_is_another_s() -> Result<()> {
    let world = World::calm("claimed").await?;
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let theirs = serde_json::from_value(json!({
        "metadata": {"name": "taken-workspace"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }))?;
    claims(&world).create(&PostParams::default(), &theirs).await?;
    let volume = volume(&world).await?;

    world.apply("taken", here(1, workspace(&world, false))).await?;
    let agent = world
        .agent_until("taken", "the hub says whose name is taken", |agent| {
            agent_condition(agent, "Synced").is_some_and(|(_, reason, _)| reason == "NameConflict")
        })
        .await?;
    let (.., message) = agent_condition(&agent, "Synced").context("a moment ago")?;
    for words in ["PersistentVolumeClaim", "taken-workspace", "delete or rename it", "the pods wait for"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(world.services(0).get_opt("taken").await?.is_some(), "the others are made");
    assert!(world.deployments(0).get_opt("taken").await?.is_none());

    claims(&world).delete("taken-workspace", &DeleteParams::default()).await?;
    world.running("taken", "1/1").await?;
    world.delete("taken").await?;
    world.gone_from_member(0, "taken").await?;
    world
        .eventually("the claim went with the agent", || async {
            Ok(claims(&world).get_opt("taken-workspace").await?.is_none())
        })
        .await?;
    remove(&world, &volume).await?;
    world.finish().await
}

/// An agent in member-1 alone.
fn here(replicas: i32, workspace: Value) -> Value {
    let mut spec = json!({"type": "claude", "replicas": replicas, "placement": {"clusters": ["member-1"]}});
    if !workspace.is_null() {
        spec["workspace"] = workspace;
    }
    spec
}

fn workspace(world: &World, retain: bool) -> Value {
    json!({"size": "1Gi", "storageClassName": world.namespace, "retain": retain})
}

/// A volume that only this test's claims fit: nobody provisions any here.
pub async fn volume(world: &World) -> Result<String> {
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": world.namespace},
        "spec": {
            "storageClassName": world.namespace,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/nowhere"},
        },
    }))?;
    Ok(volumes(world).create(&PostParams::default(), &volume).await?.name_any())
}

pub async fn remove(world: &World, volume: &str) -> Result<()> {
    volumes(world).delete(volume, &DeleteParams::default()).await?;
    Ok(())
}

fn volumes(world: &World) -> Api<PersistentVolume> {
    Api::all(world.members[0].clone())
}

pub fn claims(world: &World) -> Api<PersistentVolumeClaim> {
    Api::namespaced(world.members[0].clone(), &world.namespace)
}
