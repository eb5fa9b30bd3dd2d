//! A change goes through three clusters in waves.

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use parallax_crds::agent::{RolloutState, RolloutStatus};
use parallax_crds::{ParallaxAgent, Phase};
use serde_json::{Value, json};

use crate::plugin::Plugin;
use crate::world::{World, agent_condition};

/// Of this image no pod ever runs.
const MISSING: &str = "fleet.test/missing:1";

/// `member-1` is the first wave, and `member-2` the second, once it is approved; `member-3` matches none.
fn in_waves(image: &str, replicas: i32) -> Value {
    let stage = |stage: &str| json!({"matchLabels": {"stage": stage}});
    let waves =
        json!([{"clusterSelector": stage("canary")}, {"clusterSelector": stage("early"), "approval": true}]);
    json!({
        "type": "claude", "image": image, "replicas": replicas,
        "rollout": {"strategy": "Waves", "waves": waves},
    })
}

fn rollout(agent: &ParallaxAgent) -> Option<&RolloutStatus> {
    agent.status.as_ref()?.rollout.as_ref()
}

/// What a cluster is to be.
async fn cluster_is(world: &World, cluster: &str, is: &Value) -> Result<()> {
    world.clusters().patch(cluster, &PatchParams::default(), &Patch::Merge(is)).await?;
    Ok(())
}

/// Waits until the Deployments of the three members have these images and replicas.
async fn runs(world: &World, name: &str, expected: [(&str, i32); 3]) -> Result<()> {
    world
        .eventually(&format!("{name} runs as {expected:?}"), async || {
            for (member, (image, replicas)) in expected.iter().enumerate() {
                let found = world.deployments(member).get_opt(name).await?;
                let spec = found.and_then(|deployment| deployment.spec);
                let count = spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
                let pod = spec.and_then(|spec| spec.template.spec).unwrap_or_default();
                let agent = pod.containers.into_iter().find(|container| container.name == "agent");
                let is = agent.and_then(|container| container.image).unwrap_or_default();
                if count != *replicas || (*replicas > 0 && is != *image) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
}

async fn is_in(world: &World, name: &str, revision: i64, state: RolloutState) -> Result<ParallaxAgent> {
    let what = format!("the rollout of revision {revision} is {state}");
    world
        .agent_until(name, &what, |agent| {
            rollout(agent).is_some_and(|rollout| (rollout.revision, rollout.state) == (revision, state))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_from_wave_to_wave_and_stops_where_it_fails() -> Result<()> {
    let world = World::of_its_own("rollouts", 3).await?;
    cluster_is(&world, "member-1", &json!({"metadata": {"labels": {"stage": "canary"}}})).await?;
    cluster_is(&world, "member-2", &json!({"metadata": {"labels": {"stage": "early"}}})).await?;
    let closed = json!([{"key": "closed", "effect": "NoSchedule"}]);
    cluster_is(&world, "member-3", &json!({"spec": {"taints": closed}})).await?;
    let tainted = |cluster: &parallax_crds::MemberCluster| {
        cluster.status.as_ref().is_some_and(|status| status.taints.len() == 1)
    };
    world.cluster_until("member-3", "the hub knows the taint", tainted).await?;
    world.apply("waver", in_waves("example.org/waver:1", 2)).await?;
    world.running("waver", "2/2").await?;
    let one = ("example.org/waver:1", 1);
    runs(&world, "waver", [one, one, ("", 0)]).await?;

    what_fails_stops_at_the_first_wave(&world).await?;
    a_hub_that_starts_changes_nothing(&world).await?;
    what_mends_it_goes_on_when_it_is_let(&world).await?;
    all_at_once_is_everywhere_at_once(&world).await?;
    world.finish().await
}

async fn what_fails_stops_at_the_first_wave(world: &World) -> Result<()> {
    world.apply("waver", in_waves(MISSING, 2)).await?;
    let halted = is_in(world, "waver", 2, RolloutState::Halted).await?;
    let message = rollout(&halted).and_then(|rollout| rollout.message.clone()).unwrap_or_default();
    assert!(message.starts_with("member-1: ImagePullBackOff"), "{message}");
    for (type_, truth) in [("Degraded", "True"), ("Progressing", "False")] {
        let (status, reason, message) = agent_condition(&halted, type_).context("no such condition")?;
        assert_eq!((status.as_str(), reason.as_str()), (truth, "RolloutHalted"), "{message}");
    }
    assert_eq!(halted.status.and_then(|status| status.phase), Some(Phase::Running), "the old pod serves");
    let one = ("example.org/waver:1", 1);
    runs(world, "waver", [(MISSING, 1), one, ("", 0)]).await?;

    // A cluster that comes to it now has what the others have that wait, and so have more replicas.
    cluster_is(world, "member-3", &json!({"spec": {"taints": null}})).await?;
    let open = |cluster: &parallax_crds::MemberCluster| {
        cluster.status.as_ref().is_some_and(|status| status.taints.is_empty())
    };
    world.cluster_until("member-3", "the hub knows that the taint is gone", open).await?;
    world.apply("waver", in_waves(MISSING, 6)).await?;
    let two = ("example.org/waver:1", 2);
    runs(world, "waver", [(MISSING, 2), two, two]).await
}

async fn a_hub_that_starts_changes_nothing(world: &World) -> Result<()> {
    let replicas = |agent: &ParallaxAgent| {
        let clusters = agent.status.as_ref().map(|status| status.clusters.as_slice()).unwrap_or_default();
        let serving = clusters.iter().filter(|row| row.name != "member-1").map(|row| row.ready_replicas);
        serving.sum::<i32>() == 4 && rollout(agent).is_some_and(|rollout| rollout.total == 3)
    };
    let before = world.agent_until("waver", "those that wait are ready", replicas).await?;
    let objects = world.fingerprint().await?;
    world.restart_hub().await?;
    for member in 1..=3 {
        world.connected(&format!("member-{member}")).await?;
    }
    // A change that goes all the way shows that everything before it has been dealt with.
    world.apply("after", json!({"type": "claude", "replicas": 3})).await?;
    world.running("after", "3/3").await?;
    let mut now = world.fingerprint().await?;
    now.retain(|object, _| !object.contains(" after"));
    assert_eq!(objects, now);
    let after = world.agents().get("waver").await?;
    assert_eq!(rollout(&before), rollout(&after));
    world.delete("after").await
}

async fn what_mends_it_goes_on_when_it_is_let(world: &World) -> Result<()> {
    let plugin = Plugin::of(world).await?;
    world.apply("waver", in_waves("example.org/waver:2", 6)).await?;
    let waiting = is_in(world, "waver", 3, RolloutState::WaitingForApproval).await?;
    assert_eq!(waiting.status.and_then(|status| status.phase), Some(Phase::Running), "nothing moves");
    let (old, new) = (("example.org/waver:1", 2), ("example.org/waver:2", 2));
    runs(world, "waver", [new, old, old]).await?;
    let told = plugin.answer(&["rollout", "status", "waver"]).await?;
    assert!(told.contains("revision 3, after 1: WaitingForApproval"), "{told}");

    plugin.answer(&["rollout", "pause", "waver"]).await?;
    is_in(world, "waver", 3, RolloutState::Paused).await?;
    plugin.answer(&["rollout", "resume", "waver"]).await?;
    is_in(world, "waver", 3, RolloutState::WaitingForApproval).await?;
    runs(world, "waver", [new, old, old]).await?;
    plugin.answer(&["rollout", "approve", "waver"]).await?;
    is_in(world, "waver", 3, RolloutState::Complete).await?;
    runs(world, "waver", [new, new, new]).await?;
    world.running("waver", "6/6").await?;
    Ok(())
}

async fn all_at_once_is_everywhere_at_once(world: &World) -> Result<()> {
    let of = |image: &str| json!({"type": "claude", "image": image, "replicas": 3});
    world.apply("once", of("example.org/once:1")).await?;
    world.running("once", "3/3").await?;
    world.apply("once", of("example.org/once:2")).await?;
    let agent = world.running("once", "3/3").await?;
    assert_eq!(rollout(&agent), None);
    let new = ("example.org/once:2", 1);
    runs(world, "once", [new, new, new]).await
}
