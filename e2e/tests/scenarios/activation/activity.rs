//! When an agent was last called, as its status tells.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use kube::ResourceExt as _;
use parallax_crds::ParallaxAgent;

use super::callers::Kept;
use super::pods::Pods;
use super::sleeper;
use crate::world::{World, agent_condition};

fn last_active(agent: &ParallaxAgent) -> Option<Timestamp> {
    Some(agent.status.as_ref()?.last_activity_time.as_ref()?.0)
}

impl World {
    /// Waits until the agent sleeps and tells of a later activity than that, and says when it was.
    async fn active_after(&self, name: &str, before: Option<Timestamp>) -> Result<Timestamp> {
        let what = format!("{name} sleeps and was active after {before:?}");
        let agent = self
            .agent_until(name, &what, |agent| {
                let idle = agent_condition(agent, "Idle").is_some_and(|(status, ..)| status == "True");
                idle && last_active(agent) > before
            })
            .await?;
        last_active(&agent).context("a moment ago it was active")
    }

    /// The versions of the agent and of its assignment in member-1.
    async fn versions(&self, name: &str) -> Result<[Option<String>; 2]> {
        let (agent, assignment) = (self.agents().get(name).await?, self.assignments(0).get(name).await?);
        Ok([agent.resource_version(), assignment.resource_version()])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_agent_was_last_active_is_told_when_it_sleeps_and_not_with_every_request() -> Result<()> {
    let world = World::calm("activity").await?;
    let _pods = ["sleeper", "awake"].map(|name| Pods::play(world.pods(0), name));
    world.apply("sleeper", sleeper(1)).await?;
    let address = world.led_to("sleeper", 1).await?[0];
    assert_eq!(last_active(&world.asleep("sleeper").await?), None, "nobody has called it");

    let before = Timestamp::from_second(Timestamp::now().as_second())?;
    Kept::open(address).await?.call("/work").await?;
    let called = world.active_after("sleeper", None).await?;
    assert!(before <= called && called <= Timestamp::now(), "{before} <= {called}");
    world
        .eventually("its assignment says the same", || async {
            let status = world.assignments(0).get_status("sleeper").await?.status.context("a status")?;
            Ok(status.last_activity_time.is_some_and(|time| time.0 == called))
        })
        .await?;
    world.wake("sleeper", "now").await?;
    world.active_after("sleeper", Some(called)).await?;

    world.apply("awake", sleeper(300)).await?;
    let mut caller = Kept::open(world.led_to("awake", 1).await?[0]).await?;
    world
        .eventually("a hundred requests come and go and nothing is written", async || {
            let before = world.versions("awake").await?;
            for n in 0..100 {
                caller.call(&format!("/{n}")).await?;
            }
            Ok(world.versions("awake").await? == before)
        })
        .await?;
    world.finish().await
}
