//! To zero and back. The test plays the agents' pods ([`pods`]), and calls them through the activators.

mod activity;
mod callers;
mod load;
mod peers;
mod pods;
mod streams;
mod talk;
mod wake;
mod ways;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use parallax_crds::ParallaxAgent;
use parallax_crds::activation::{Activation, Stage};
use parallax_crds::labels::ACTIVATOR;
use parallax_e2e::Component;
use parallax_e2e::fleet::activator;
use parallax_e2e::layout::Layout;
use parallax_e2e::process::{Process, ProcessSpec};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::callers::{Kept, Multiplexed};
use self::pods::{IMAGE, Pods};
use crate::world::{World, agent_condition};

/// A second activator beside the fleet's own.
const SECOND: &str = "198.51.100.2";

impl World {
    /// What is said of the agent in member-1 to its activators.
    async fn activation(&self, name: &str) -> Result<Option<Activation>> {
        Ok(self.assignments(0).get_status(name).await?.status.and_then(|status| status.activation))
    }

    /// Waits until the agent's Service leads to so many activators and to nobody else, and says where they are.
    async fn led_to(&self, name: &str, activators: usize) -> Result<Vec<SocketAddr>> {
        self.eventually(&format!("{name}'s Service leads to {activators} activators"), || async {
            let (selects, ways) = self.ways(name).await?;
            Ok(!selects && ways.len() == activators && ways.iter().all(|way| way.ours))
        })
        .await?;
        let (_, ways) = self.ways(name).await?;
        Ok(ways.iter().map(|way| SocketAddr::from(([127, 0, 0, 1], way.port))).collect())
    }

    /// Waits until the agent has gone to zero, and says so everywhere.
    async fn asleep(&self, name: &str) -> Result<ParallaxAgent> {
        // A pod that was told to end may be counted for a moment longer.
        let agent = self
            .agent_until(name, &format!("{name} is idle, and nothing of it is ready"), |agent| {
                let summary = agent.status.as_ref().and_then(|status| status.replica_summary.as_deref());
                summary == Some("0/0")
                    && agent_condition(agent, "Idle").is_some_and(|(status, ..)| status == "True")
            })
            .await?;
        self.eventually(&format!("{name} has no pods"), || async {
            Ok(self.pods(0).list_metadata(&crate::world::of(name)).await?.items.is_empty())
        })
        .await?;
        Ok(agent)
    }
}

/// An agent of member-1 that goes to zero.
fn sleeper(delay: i32) -> Value {
    json!({
        "type": "claude", "image": IMAGE, "placement": {"clusters": ["member-1"]},
        "scaling": {
            "minReplicas": 0, "scaleDownDelay": delay, "activation": {"holdSeconds": 110, "maxPending": 10000},
        },
    })
}

/// The second activator's process, as the fleet starts its own. That network may call every agent through it.
async fn second_activator(world: &World, admitted: &str) -> Result<Arc<Process>> {
    let launcher = Path::new(env!("CARGO_BIN_EXE_fleet"));
    let layout = Layout::new(world.fleet().directory())?;
    let cluster = layout.cluster("member-1");
    let spec = ProcessSpec {
        program: launcher.with_file_name("parallax-member"),
        args: vec![
            "activator".to_owned(),
            format!("--kubeconfig={}", cluster.join(format!("{ACTIVATOR}.kubeconfig")).display()),
            format!("--address={SECOND}"),
            "--bind=127.0.0.1".to_owned(),
            format!("--admit={admitted}"),
            "--metrics-port=0".to_owned(),
        ],
        env: vec![],
        log: cluster.join("logs/second-activator.log"),
        inside: None,
    };
    let process = Process::start(launcher, &spec)?;
    activator::list(&world.members[0], SECOND).await?;
    Ok(process)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_nobody_calls_goes_to_zero_and_a_request_wakes_it_with_the_hub_away() -> Result<()> {
    let world = World::alone("asleep").await?;
    let pods = Pods::play(world.pods(0), "sleeper");
    world.apply("sleeper", sleeper(1)).await?;
    let address = world.led_to("sleeper", 1).await?[0];
    let asleep = world.asleep("sleeper").await?;
    let status = asleep.status.as_ref().context("a status")?;
    assert_eq!(status.phase.map(|phase| phase.to_string()).as_deref(), Some("Running"));
    assert_eq!(status.replica_summary.as_deref(), Some("0/0"));
    assert_eq!(
        agent_condition(&asleep, "Ready").map(|(status, reason, _)| (status, reason)),
        Some(("True".into(), "Idle".into()))
    );
    assert!(pods.arrived().is_empty());

    world.fleet().kill("hub", Component::ParallaxHub).await?;
    Kept::open(address).await?.call("/wake").await?;
    assert_eq!(pods.arrived(), [("/wake".to_owned(), 1)].into());
    world
        .eventually("it goes back to zero with the hub away", || async {
            let activation = world.activation("sleeper").await?.context("it is behind the activators")?;
            Ok(activation.stage == Stage::Zero && activation.slept > 2)
        })
        .await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    world.asleep("sleeper").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_or_sent_twice_over_the_changes_to_zero_and_back() -> Result<()> {
    const SLEEPS: usize = 5;
    let world = World::alone("crossing").await?;
    let second = second_activator(&world, "127.0.0.0/8").await?;
    let pods = Pods::play(world.pods(0), "sleeper");
    world.apply("sleeper", sleeper(1)).await?;
    let addresses = world.led_to("sleeper", 2).await?;
    let mut lines = Vec::new();
    for n in 0..64 {
        lines.push(Multiplexed::open(addresses[n % 2]).await?);
    }
    let mut kept = Vec::new();
    for n in 0..16 {
        kept.push(Kept::open(addresses[n % 2]).await?);
    }
    let mut random = SmallRng::seed_from_u64(5);
    let (mut sent, mut sleeps) = (0_u32, std::collections::BTreeSet::new());
    while sleeps.len() < SLEEPS {
        // Around the moment of the change, as chance has it: a second of 1,000 requests, 1,000 more a second by others.
        tokio::time::sleep(Duration::from_millis(random.random_range(900..2100))).await;
        let mut calls = JoinSet::new();
        for mut line in kept.drain(..) {
            let first = sent;
            sent += 60;
            calls.spawn(async move {
                for n in first..first + 60 {
                    line.call(&format!("/{n}")).await?;
                }
                anyhow::Ok(Some(line))
            });
        }
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for _ in 0..100 {
            ticks.tick().await;
            for _ in 0..10 {
                let line = lines[sent as usize % lines.len()].clone();
                let path = format!("/{sent}");
                sent += 1;
                calls.spawn(async move { line.call(path).await.map(|()| None) });
            }
        }
        while let Some(call) = calls.join_next().await {
            kept.extend(call??);
        }
        let activation = world.activation("sleeper").await?.context("it is behind the activators")?;
        sleeps.extend((activation.slept > 0).then_some(activation.slept));
    }
    let arrived = pods.arrived();
    let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(arrived.len(), sent as usize);
    activator::strike(&world.members[0], SECOND).await?;
    second.stop(Duration::from_secs(15)).await;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_says_it_works_is_spared_until_it_is_done() -> Result<()> {
    let world = World::calm("working").await?;
    let pods = Pods::play(world.pods(0), "worker");
    pods.work(true);
    let mut spec = sleeper(1);
    spec["metrics"] = json!({"enabled": true});
    world.apply("worker", spec).await?;
    let address = world.led_to("worker", 1).await?[0];
    // Before its first pod is there, nobody says that it works, and it may have gone to zero.
    Kept::open(address).await?.call("/begin").await?;
    let before = world.activation("worker").await?.context("it is behind the activators")?;
    let asked = pods.asked();
    world.eventually("it was asked time and again", || async { Ok(pods.asked() >= asked + 3) }).await?;
    let after = world.activation("worker").await?.context("it is behind the activators")?;
    // While they are asked, the gate is closing.
    assert!(after.stage != Stage::Zero && after.slept == before.slept, "{before:?}, then {after:?}");

    pods.work(false);
    world.asleep("worker").await?;
    world.finish().await
}
