//! Agents move between clusters without a gap: a replica is there until the one that replaces it is ready.

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use parallax_crds::ParallaxAgent;
use serde_json::{Value, json};

use crate::world::World;
use crate::world::kubelet::PLAYED;
use crate::world::readiness::Readiness;

/// An agent whose pods the test plays.
pub fn played(replicas: i32, placement: &Value) -> Value {
    json!({"type": "claude", "image": PLAYED, "replicas": replicas, "placement": placement})
}

fn in_region(region: &str) -> Value {
    json!({"clusterSelector": {"matchLabels": {"topology.kubernetes.io/region": region}}})
}

/// What a cluster has that it is to lose, by the agent's status.
fn leaving(agent: &ParallaxAgent, cluster: &str) -> Option<i32> {
    let placement = agent.status.as_ref()?.placement.as_ref()?;
    placement.leaving.iter().find(|row| row.cluster == cluster).map(|row| row.replicas)
}

impl World {
    /// Alone, with a hub that has just started: it doesn't count what other tests have had removed lately, so that its
    /// guard holds none of this one's removals.
    pub async fn for_moves(test: &str) -> Result<Self> {
        let world = Self::alone(test).await?;
        world.restart_hub().await?;
        Ok(world)
    }

    /// Waits until the agent is to have so many replicas in a cluster for as long as others aren't ready.
    pub async fn leaves(&self, name: &str, cluster: &str, replicas: Option<i32>) -> Result<()> {
        self.agent_until(name, &format!("{replicas:?} replicas of {name} are to leave {cluster}"), |agent| {
            agent.status.as_ref().is_some_and(|s| s.observed_generation == agent.metadata.generation)
                && leaving(agent, cluster) == replicas
        })
        .await?;
        Ok(())
    }

    pub async fn taint(&self, cluster: &str, taints: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"taints": taints}}));
        self.clusters().patch(cluster, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_selector_moves_replicas_one_by_one_as_others_become_ready() -> Result<()> {
    let world = World::for_moves("selector").await?;
    world.apply("mover", played(4, &in_region("region-1"))).await?;
    world.get_ready(0, "mover", 4, 4).await?;
    world.running("mover", "4/4").await?;
    let readiness = Readiness::watch(&world, "mover", 3).await?;
    readiness.shows(&world, &[4, 0]).await?;

    // To another cluster, and fewer of them: one is too much at once, and the others wait.
    world.apply("mover", played(3, &in_region("region-2"))).await?;
    for ready in 0..3 {
        readiness.shows(&world, &[3 - ready, ready]).await?;
        world.leaves("mover", "member-1", Some(3 - ready)).await?;
        world.get_ready(1, "mover", 3, 1).await?;
    }
    world.leaves("mover", "member-1", None).await?;
    world.gone_from_member(0, "mover").await?;
    world.running("mover", "3/3").await?;
    readiness.shows(&world, &[0, 3]).await?;
    let hub = readiness.never_dipped()?;
    assert!(hub.iter().all(|ready| *ready >= 3), "the hub has counted {hub:?}");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taint_drives_replicas_out_one_by_one_as_others_become_ready() -> Result<()> {
    let world = World::for_moves("tainted").await?;
    world.apply("mover", played(4, &json!({}))).await?;
    for member in [0, 1] {
        world.get_ready(member, "mover", 2, 2).await?;
    }
    world.running("mover", "4/4").await?;
    let readiness = Readiness::watch(&world, "mover", 4).await?;
    readiness.shows(&world, &[2, 2]).await?;

    world.taint("member-1", json!([{"key": "maintenance", "effect": "NoExecute"}])).await?;
    for ready in 0..2 {
        readiness.shows(&world, &[2 - ready, 2 + ready]).await?;
        world.leaves("mover", "member-1", Some(2 - ready)).await?;
        world.get_ready(1, "mover", 4, 1).await?;
    }
    world.gone_from_member(0, "mover").await?;
    world.running("mover", "4/4").await?;
    readiness.shows(&world, &[0, 4]).await?;
    let hub = readiness.never_dipped()?;
    assert!(hub.iter().all(|ready| *ready >= 4), "the hub has counted {hub:?}");
    world.taint("member-1", Value::Null).await?;
    world.finish().await
}
