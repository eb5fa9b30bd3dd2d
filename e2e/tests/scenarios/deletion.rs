//! Deletions that are meant, and one that isn't: of the CRD itself.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, CustomResourceExt as _};
use parallax_crds::ParallaxAgent;
use serde_json::json;

use crate::world::{World, agent_condition};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_full_of_agents_can_be_deleted() -> Result<()> {
    let world = World::alone("full").await?;
    for i in 0..12 {
        world.apply(&format!("agent-{i}"), json!({"type": "claude", "replicas": 2})).await?;
    }
    for i in 0..12 {
        world.running(&format!("agent-{i}"), "2/2").await?;
    }
    let namespaces: Api<Namespace> = Api::all(world.hub.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await?;
    world
        .eventually("the namespace is gone from the hub", || async {
            Ok(namespaces.get_opt(&world.namespace).await?.is_none())
        })
        .await?;
    for member in 0..2 {
        for i in 0..12 {
            world.gone_from_member(member, &format!("agent-{i}")).await?;
        }
        // A namespace that was made for agents is never deleted with them.
        let namespaces: Api<Namespace> = Api::all(world.members[member].clone());
        assert!(namespaces.get(&world.namespace).await?.metadata.deletion_timestamp.is_none());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crd_is_deleted_and_put_back_and_no_pod_is_touched() -> Result<()> {
    let world = World::alone("crd").await?;
    let spec = json!({"type": "claude", "replicas": 2});
    for name in ["one", "two"] {
        world.apply(name, spec.clone()).await?;
        world.running(name, "2/2").await?;
    }
    let before = world.fingerprint().await?;

    let crds: Api<CustomResourceDefinition> = Api::all(world.hub.clone());
    let name = ParallaxAgent::crd_name();
    crds.delete(name, &DeleteParams::default()).await?;
    world.eventually("the CRD is gone", || async { Ok(crds.get_opt(name).await?.is_none()) }).await?;
    let shipped = parallax_e2e::manifests::read("crds/yaml")?;
    let crd = shipped
        .iter()
        .find(|crd| crd.metadata.name.as_deref() == Some(name))
        .context("the CRD is not shipped")?;
    crds.patch(name, &PatchParams::apply("scenario").force(), &Patch::Apply(crd)).await?;
    world
        .eventually("the CRD is served again", || async {
            Ok(world.agents().list_metadata(&ListParams::default()).await.is_ok())
        })
        .await?;

    // Another agent shows that the hub is at work again; the old ones are held, not removed.
    world
        .eventually("agents can be applied again", || async {
            Ok(world.apply("new", spec.clone()).await.is_ok())
        })
        .await?;
    world.running("new", "2/2").await?;
    for cluster in ["member-1", "member-2"] {
        world
            .cluster_until(cluster, "what the hub no longer knows is held", |c| {
                crate::world::condition(c, "PruneBlocked").is_some_and(|(status, message)| {
                    status == "True" && message.contains(&format!("{}/one", world.namespace))
                })
            })
            .await?;
    }
    let mut after = world.fingerprint().await?;
    after.retain(|object, _| !object.contains(" new"));
    assert_eq!(before, after, "held means untouched");

    // The names come back as new agents, which replace what was held.
    for name in ["one", "two"] {
        world.apply(name, spec.clone()).await?;
        let agent = world.running(name, "2/2").await?;
        assert_eq!(agent_condition(&agent, "Synced").map(|c| c.0).as_deref(), Some("True"));
    }
    for cluster in ["member-1", "member-2"] {
        world
            .cluster_until(cluster, "nothing of these is held any more", |c| {
                crate::world::condition(c, "PruneBlocked")
                    .is_none_or(|(_, message)| !message.contains(&world.namespace))
            })
            .await?;
    }
    world.finish().await
}
