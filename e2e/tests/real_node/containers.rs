//! Containers that run: under the strictest Pod Security, answering by name, logging, measured, and ending.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use parallax_crds::AgentAssignment;
use parallax_e2e::real_node::images::TOOLBOX;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_containers_run_under_restricted_and_answer_by_the_services_name() -> Result<()> {
    let Some(world) = World::new("runs").await? else { return Ok(()) };
    world.agent("reviewer", 2).await?;
    let pods = world.pods_of("reviewer").await?;
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let id = containers[0].container_id.clone().unwrap_or_default();
        assert!(id.starts_with("containerd://"), "{id:?} is no container");
    }

    world.shell().await?;
    let answer: Value = serde_json::from_str(&world.ask("reviewer", "/").await?)?;
    assert_eq!(answer["identity"]["agent"], "reviewer");
    assert_eq!(answer["identity"]["cluster"], CLUSTER);
    let events = world.ask("reviewer", "/events?count=3&every_ms=10").await?;
    assert_eq!(events.matches("data: ").count(), 3, "{events}");
    assert_eq!(world.ask("reviewer", "/health").await?, "ok\n");

    let name = pods[0].metadata.name.clone().unwrap_or_default();
    let log = world.pods.logs(&name, &LogParams::default()).await?;
    assert!(log.contains(r#""message":"answering""#), "{log}");
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_agent_takes_its_containers_with_it() -> Result<()> {
    let Some(world) = World::new("deleted").await? else { return Ok(()) };
    world.agent("brief", 2).await?;
    world.namespace.agents().delete("brief", &DeleteParams::default()).await?;
    let (fleet, namespace) = (world.fleet, &world.namespace);
    let (assignments, deployments, services): (Api<AgentAssignment>, Api<Deployment>, Api<Service>) = (
        namespace.of(fleet, CLUSTER).await?,
        namespace.of(fleet, CLUSTER).await?,
        namespace.of(fleet, CLUSTER).await?,
    );
    // The kubelet lets a pod's object go only when its containers have ended.
    world
        .until("nothing of brief to be left", async || {
            let is_gone = namespace.agents().get_opt("brief").await?.is_none()
                && assignments.get_opt("brief").await?.is_none()
                && deployments.get_opt("brief").await?.is_none()
                && services.get_opt("brief").await?.is_none()
                && world.pods.list(&ListParams::default()).await?.items.is_empty();
            Ok(is_gone.then_some(()))
        })
        .await?;
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_breaks_restricted_is_refused() -> Result<()> {
    let Some(world) = World::new("refused").await? else { return Ok(()) };
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "careless" },
        "spec": { "containers": [{ "name": "main", "image": TOOLBOX }] },
    }))?;
    let refusal = world.pods.create(&PostParams::default(), &pod).await.unwrap_err().to_string();
    assert!(refusal.contains("violates PodSecurity \"restricted"), "{refusal}");
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agents_containers_use_is_measured() -> Result<()> {
    let Some(world) = World::new("measured").await? else { return Ok(()) };
    world.agent("worker", 1).await?;
    let client = world.fleet.client(CLUSTER).await?;
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", world.namespace.name());
    let pod = world.pods_of("worker").await?.remove(0).metadata.name.unwrap_or_default();
    let usage = async || -> Result<Value> {
        let metrics: Value = client.request(http::Request::get(&path).body(Vec::new())?).await?;
        let pods = metrics["items"].as_array().cloned().unwrap_or_default();
        let of_pod = pods.into_iter().find(|item| item["metadata"]["name"] == *pod);
        Ok(of_pod.context("the pod has no figures yet")?["containers"][0]["usage"].clone())
    };
    world
        .until("the worker's memory in the resource metrics", async || {
            Ok(usage().await?["memory"].as_str().filter(|memory| *memory != "0").map(drop))
        })
        .await?;

    world.shell().await?;
    let url = format!("http://worker.{}.svc.cluster.local:8080/busy?percent=80", world.namespace.name());
    world
        .until("the worker to be told to be busy", async || {
            world.curl(&["--request", "POST", &url]).await.map(|_| Some(()))
        })
        .await?;
    // Idle, it uses a thousandth of a core; how much of 80 % it gets depends on the machine's other work.
    world
        .until("the worker to use a twentieth of a core", async || {
            let usage = usage().await?;
            let nanocores = usage["cpu"].as_str().and_then(|cpu| cpu.strip_suffix('n')?.parse::<u64>().ok());
            Ok(nanocores.filter(|nanocores| *nanocores > 50_000_000).map(drop))
        })
        .await?;
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_ended_finishes_the_answer_that_it_has_begun() -> Result<()> {
    let Some(world) = World::new("graceful").await? else { return Ok(()) };
    world.agent("careful", 1).await?;
    world.shell().await?;
    world.ask("careful", "/").await?;
    let pod = world.pods_of("careful").await?.remove(0);
    let name = pod.metadata.name.clone().unwrap_or_default();
    let address = pod.status.and_then(|status| status.pod_ip).context("the pod has no address")?;
    let metrics = format!("http://{address}:8080/metrics");
    let before = requests(&world.curl(&[&metrics]).await?)?;

    let url = format!("http://{address}:8080/work?ms=10000");
    let task = [url.as_str()];
    let (answer, ()) = tokio::try_join!(world.curl(&task), async {
        world
            .until("the work to have begun", async || {
                Ok((requests(&world.curl(&[&metrics]).await?)? > before).then_some(()))
            })
            .await?;
        world.pods.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    })?;
    assert_eq!(answer, r#"{"worked":10000}"#);
    world.namespace.delete().await
}

/// The agent's own count of requests.
fn requests(metrics: &str) -> Result<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix("parallax_agent_requests_total "));
    line.and_then(|count| count.trim().parse().ok()).with_context(|| format!("no count in {metrics}"))
}
