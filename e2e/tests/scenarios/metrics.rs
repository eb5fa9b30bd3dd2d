//! How scrapers find the metrics of agents.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject};
use kube::core::GroupVersionKind;
use parallax_e2e::manifests;
use serde_json::{Value, json};

use crate::world::{SCRAPERS, World};

const DEFINITION: &str = include_str!("../fixtures/pod-monitors.yaml");

fn measured(replicas: i32, enabled: bool) -> Value {
    json!({
        "type": "claude", "replicas": replicas, "placement": {"clusters": ["member-1"]},
        "metrics": {"enabled": enabled, "port": 9100},
    })
}

fn monitors(world: &World) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PodMonitor");
    let resource = ApiResource::from_gvk_with_plural(&kind, "podmonitors");
    Api::namespaced_with(world.members[0].clone(), &world.namespace, &resource)
}

async fn deployment(world: &World, name: &str) -> Result<Deployment> {
    world.deployments(0).get(name).await.context("its Deployment")
}

/// What its pods say of where to scrape them.
fn said(deployment: &Deployment) -> Option<&str> {
    let pods = &deployment.spec.as_ref()?.template;
    let annotations = pods.metadata.as_ref()?.annotations.as_ref()?;
    annotations.get("prometheus.io/port").map(String::as_str)
}

async fn is_monitored(world: &World, name: &str) -> Result<()> {
    let monitors = monitors(world);
    let there = || async { Ok(monitors.get_opt(name).await?.is_some()) };
    world.eventually(&format!("{name} has a PodMonitor"), there).await
}

#[tokio::test(flavor = "multi_thread")]
async fn podmonitors_come_and_go_with_their_kind_and_no_pod_is_replaced_for_it() -> Result<()> {
    let world = World::calm("metrics").await?;
    world.apply("before", measured(1, true)).await?;
    world.running("before", "1/1").await?;
    let before = deployment(&world, "before").await?;
    assert_eq!(said(&before), Some("9100"));
    let policies: Api<NetworkPolicy> = Api::namespaced(world.members[0].clone(), &world.namespace);
    let policy = serde_json::to_value(policies.get("before").await?.spec)?;
    let scrapers = &policy["ingress"][1];
    let member = json!({"app.kubernetes.io/component": "member", "app.kubernetes.io/part-of": "parallax"});
    assert_eq!(scrapers["from"][0]["podSelector"]["matchLabels"], member);
    assert_eq!(scrapers["from"][1]["namespaceSelector"]["matchExpressions"][0]["values"][0], SCRAPERS);
    assert_eq!(scrapers["ports"][0]["port"], 9100);

    manifests::apply(&world.members[0], &manifests::parse(DEFINITION)?).await?;
    is_monitored(&world, "before").await?;
    let monitor = monitors(&world).get("before").await?;
    assert_eq!(monitor.data["spec"]["podMetricsEndpoints"], json!([{"port": "metrics", "path": "/metrics"}]));
    let selector = before.spec.as_ref().map(|spec| json!(spec.selector));
    assert_eq!(Some(&monitor.data["spec"]["selector"]), selector.as_ref());
    assert_eq!(monitor.metadata.owner_references.unwrap_or_default()[0].kind, "AgentAssignment");
    assert_eq!(deployment(&world, "before").await?.metadata.generation, before.metadata.generation);
    monitors(&world).delete("before", &DeleteParams::default()).await?;
    is_monitored(&world, "before").await?;

    world.apply("after", measured(1, true)).await?;
    world.running("after", "1/1").await?;
    is_monitored(&world, "after").await?;
    assert_eq!(said(&deployment(&world, "after").await?), None);
    world.apply("after", measured(1, false)).await?;
    world
        .eventually("an agent without metrics has no PodMonitor", || async {
            Ok(monitors(&world).get_opt("after").await?.is_none())
        })
        .await?;

    let definitions: Api<CustomResourceDefinition> = Api::all(world.members[0].clone());
    definitions.delete("podmonitors.monitoring.coreos.com", &DeleteParams::default()).await?;
    world
        .eventually("the kind is gone", || async {
            Ok(definitions.get_opt("podmonitors.monitoring.coreos.com").await?.is_none())
        })
        .await?;
    // Nothing of it is in the way of anything else.
    world.apply("after", measured(2, true)).await?;
    world
        .eventually("pods that are replaced anyway say again where to scrape them", || async {
            Ok(said(&deployment(&world, "after").await?).is_some())
        })
        .await?;
    world.running("after", "2/2").await?;
    world.apply("before", measured(2, true)).await?;
    world.running("before", "2/2").await?;
    let pods = |deployment: &Deployment| deployment.spec.as_ref().map(|spec| spec.template.clone());
    assert_eq!(pods(&deployment(&world, "before").await?), pods(&before));
    world.finish().await
}
