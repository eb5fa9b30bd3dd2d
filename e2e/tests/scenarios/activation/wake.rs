//! Waking an agent that nobody calls.

use anyhow::{Context as _, Result};
use parallax_crds::activation::{Activation, Stage};
use parallax_crds::labels::WAKE;
use parallax_e2e::Component;
use serde_json::json;

use super::pods::Pods;
use super::sleeper;
use crate::world::World;

impl World {
    /// Asks for a wake-up, as a user does.
    pub(super) async fn wake(&self, name: &str, value: &str) -> Result<()> {
        let annotation = format!("{WAKE}={value}");
        let output = self.kubectl(&["annotate", "parallaxagent", name, &annotation, "--overwrite"]).await?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Waits until the agent sleeps, and has slept before if it has to have.
    async fn sleeps(&self, name: &str, after: i64) -> Result<Activation> {
        self.until(&format!("{name} sleeps, another time than by {after}"), async || {
            let activation = self.activation(name).await?.context("it is behind the activators")?;
            Ok((activation.stage == Stage::Zero && activation.slept > after).then_some(activation))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_through_the_api_is_heeded_once_whoever_is_started_again() -> Result<()> {
    let world = World::alone("woken").await?;
    let pods = Pods::play(world.pods(0), "sleeper");
    world.apply("sleeper", sleeper(1)).await?;
    world.led_to("sleeper", 1).await?;
    let first = world.sleeps("sleeper", 0).await?;
    // Its pods are gone before it is woken, so that whatever is there later is there for the wake-up.
    world.asleep("sleeper").await?;
    world.wake("sleeper", "once").await?;
    let second = world.sleeps("sleeper", first.slept).await?;
    assert!(second.woken.is_some() && second.woken != first.woken, "{first:?}, then {second:?}");

    // The member is away while the next one is asked for.
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.wake("sleeper", "twice").await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    let third = world.sleeps("sleeper", second.slept).await?;

    world.restart_hub().await?;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.connected("member-1").await?;
    world.wake("sleeper", "twice").await?;
    // What comes after it has arrived, so it has too, if it was sent at all.
    world.apply("later", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("later", "1/1").await?;
    let last = world.activation("sleeper").await?.context("it is behind the activators")?;
    assert_eq!((last.stage, last.slept), (Stage::Zero, third.slept), "{third:?}, then {last:?}");
    assert!(pods.arrived().is_empty(), "nobody has called it");
    world.finish().await
}
