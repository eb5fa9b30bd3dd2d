//! What real containers use comes back to the hub.

use anyhow::{Context as _, Result};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::agent::Usage;
use parallax_crds::quantity::nanos;
use parallax_e2e::etcd::get;
use serde_json::json;

use crate::world::{CLUSTER, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_uses_is_in_its_status_and_on_the_hubs_metrics() -> Result<()> {
    let Some(world) = World::new("usage").await? else { return Ok(()) };
    world.apply("metered", json!({ "metrics": { "enabled": true } })).await?;
    world.runs("metered", 1).await?;
    world.shell().await?;
    let idle = |usage: &Usage| usage.memory.is_some() && usage.busy_replicas == Some(0);
    let shown = shows(&world, "memory and no work", idle).await?;
    assert!(amount(shown.memory)? > 0 && shown.cpu.is_some());

    let record = world.fleet.record();
    let hub = record.cluster("hub")?.hub.as_ref().context("the hub's cluster has no hub")?.metrics.clone();
    let before = get(&hub).await?;
    for _ in 0..20 {
        world.ask("metered", "/work?ms=1&input_tokens=100&output_tokens=7").await?;
    }
    let called = |usage: &Usage| usage.requests_per_minute.is_some_and(|requests| requests > 0);
    let shown = shows(&world, "requests", called).await?;
    assert!(shown.input_tokens_per_minute > shown.output_tokens_per_minute, "{shown:?}");
    world
        .until("the hub to have counted every request and token", async || {
            let now = get(&hub).await?;
            let new = |counter: &str| counted(&now, counter) - counted(&before, counter);
            let (requests, tokens) =
                (new("parallax_agents_requests_total"), new("parallax_agents_tokens_total"));
            Ok((requests >= 20 && tokens >= 20 * 107).then_some(()))
        })
        .await?;
    world.namespace.delete().await
}

/// Waits until the agent's status shows such a usage.
async fn shows(world: &World, what: &str, fits: impl Fn(&Usage) -> bool) -> Result<Usage> {
    world
        .until(&format!("status.usage to show {what}"), async || {
            let status = world.namespace.agents().get("metered").await?.status.unwrap_or_default();
            Ok(status.usage.filter(&fits))
        })
        .await
}

fn amount(quantity: Option<Quantity>) -> Result<i128> {
    let Quantity(text) = quantity.context("it isn't measured")?;
    nanos(&text).with_context(|| format!("{text} is no quantity"))
}

/// A counter of the cluster, over all its other labels.
fn counted(metrics: &str, counter: &str) -> u64 {
    let of_cluster = format!("{counter}{{cluster=\"{CLUSTER}\"");
    let lines = metrics.lines().filter(|line| line.starts_with(&of_cluster));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}
