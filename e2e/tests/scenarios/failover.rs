//! A cluster is lost: what it has is placed again elsewhere, and leaves it when it is back.

use anyhow::Result;
use parallax_e2e::Component;
use serde_json::json;

use crate::moves::played;
use crate::world::World;
use crate::world::readiness::Readiness;

impl World {
    /// Waits until the hub knows that so many replicas of the agent are ready in a cluster.
    async fn told_ready(&self, name: &str, cluster: &str, ready: i32) -> Result<()> {
        self.agent_until(name, &format!("{cluster} has told of {ready} ready replicas of {name}"), |agent| {
            let rows = agent.status.as_ref().map(|s| s.clusters.as_slice()).unwrap_or_default();
            rows.iter().any(|row| row.name == cluster && row.ready_replicas == ready)
        })
        .await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_back_gives_up_what_has_been_replaced_and_keeps_the_rest() -> Result<()> {
    let world = World::for_moves("lost").await?;
    let agents = ["replaced", "half-replaced"];
    for name in agents {
        world.apply(name, played(4, &json!({"failover": {"graceSeconds": 2}}))).await?;
    }
    for name in agents {
        world.get_ready(0, name, 2, 2).await?;
        world.get_ready(1, name, 2, 2).await?;
    }
    let mut watched = vec![];
    for name in agents {
        world.running(name, "4/4").await?;
        let readiness = Readiness::watch(&world, name, 4).await?;
        readiness.shows(&world, &[2, 2]).await?;
        watched.push(readiness);
    }

    world.fleet().stop("member-2", Component::ParallaxMember).await?;
    for (name, ready) in agents.into_iter().zip([2, 1]) {
        world.leaves(name, "member-2", Some(2)).await?;
        world.get_ready(0, name, 4, ready).await?;
    }
    for ((name, ready), readiness) in agents.into_iter().zip([4, 3]).zip(&watched) {
        world.told_ready(name, "member-1", ready).await?;
        readiness.shows(&world, &[ready, 2]).await?;
        world.leaves(name, "member-2", Some(2)).await?;
        assert_eq!(
            world.shares(name).await?,
            [Some(4), Some(2)],
            "{name} runs on where nobody hears the hub"
        );
    }

    world.fleet().restart("member-2", Component::ParallaxMember).await?;
    world.gone_from_member(1, "replaced").await?;
    world.shared_out("half-replaced", &[3, 1]).await?;
    for ((name, counts), readiness) in agents.into_iter().zip([[4, 0], [3, 1]]).zip(watched) {
        world.running(name, "4/4").await?;
        world.leaves(name, "member-2", None).await?;
        readiness.shows(&world, &counts).await?;
        readiness.never_dipped()?;
    }
    world.finish().await
}
