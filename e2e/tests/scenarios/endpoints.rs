//! Where agents are reached, and how other clusters learn of it.

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use parallax_e2e::manifests;
use serde_json::{Value, json};

use crate::world::{World, agent_condition};

const DEFINITION: &str = include_str!("../fixtures/service-exports.yaml");

fn exported(replicas: i32, export: bool) -> Value {
    json!({
        "type": "claude", "replicas": replicas, "placement": {"clusters": ["member-1"]},
        "network": {"export": export},
    })
}

fn exports(world: &World) -> (Api<DynamicObject>, ApiResource) {
    let kind = GroupVersionKind::gvk("multicluster.x-k8s.io", "v1alpha1", "ServiceExport");
    let resource = ApiResource::from_gvk_with_plural(&kind, "serviceexports");
    (Api::namespaced_with(world.members[0].clone(), &world.namespace, &resource), resource)
}

/// Waits until the agent's row says that it is reached there.
async fn reached(world: &World, name: &str, domain: &str) -> Result<()> {
    let endpoint = format!("{name}.{}.{domain}:8080", world.namespace);
    world
        .agent_until(name, &format!("{name} is reached at {endpoint}"), |agent| {
            let row = agent.status.as_ref().and_then(|status| status.clusters.first());
            row.is_some_and(|row| row.endpoint.as_deref() == Some(endpoint.as_str()))
        })
        .await?;
    Ok(())
}

async fn has_export(world: &World, name: &str, wanted: bool) -> Result<()> {
    let (exports, _) = exports(world);
    let there = || async { Ok(exports.get_opt(name).await?.is_some() == wanted) };
    world.eventually(&format!("whether {name} has a ServiceExport: {wanted}"), there).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_exported_where_that_is_asked_for_and_possible() -> Result<()> {
    let world = World::calm("exported").await?;
    world.apply("known", exported(1, true)).await?;
    world.apply("local", exported(1, false)).await?;
    for name in ["known", "local"] {
        world.running(name, "1/1").await?;
        reached(&world, name, "svc").await?;
    }
    let before = world.deployments(0).get("known").await?;

    manifests::apply(&world.members[0], &manifests::parse(DEFINITION)?).await?;
    has_export(&world, "known", true).await?;
    reached(&world, "known", "svc.clusterset.local").await?;
    reached(&world, "local", "svc").await?;
    let (exports, resource) = exports(&world);
    assert!(exports.get_opt("local").await?.is_none());
    let export = exports.get("known").await?;
    assert_eq!(export.metadata.owner_references.unwrap_or_default()[0].kind, "AgentAssignment");
    exports.delete("known", &DeleteParams::default()).await?;
    has_export(&world, "known", true).await?;
    assert_eq!(world.deployments(0).get("known").await?.metadata.generation, before.metadata.generation);

    // Somebody else's of the name is left alone, and named.
    exports.create(&PostParams::default(), &DynamicObject::new("taken", &resource)).await?;
    world.apply("taken", exported(1, true)).await?;
    let agent = world
        .agent_until("taken", "the other's object is named", |agent| {
            agent_condition(agent, "Synced").is_some_and(|(_, reason, _)| reason == "NameConflict")
        })
        .await?;
    let (.., message) = agent_condition(&agent, "Synced").context("Synced")?;
    assert!(message.contains("ServiceExport"), "{message}");
    reached(&world, "taken", "svc").await?;
    exports.delete("taken", &DeleteParams::default()).await?;
    reached(&world, "taken", "svc.clusterset.local").await?;

    world.apply("known", exported(1, false)).await?;
    has_export(&world, "known", false).await?;
    reached(&world, "known", "svc").await?;
    let pods = |deployment: k8s_openapi::api::apps::v1::Deployment| deployment.spec.map(|spec| spec.template);
    let after = world.deployments(0).get("known").await?;
    assert_eq!(pods(after), pods(before), "a pod was replaced for it");

    let definitions: Api<CustomResourceDefinition> = Api::all(world.members[0].clone());
    definitions.delete("serviceexports.multicluster.x-k8s.io", &DeleteParams::default()).await?;
    reached(&world, "taken", "svc").await?;
    // Nothing of it is in the way of anything else.
    world.apply("taken", exported(2, true)).await?;
    world.running("taken", "2/2").await?;
    world.finish().await
}
