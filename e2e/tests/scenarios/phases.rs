//! Each phase and the reason that goes with it. The tests are the kubelet of pods that KWOK leaves alone.

use std::pin::pin;

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use parallax_crds::{ParallaxAgent, Phase};
use serde_json::{Value, json};

use crate::world::kubelet::{PLAYED, container, running, up, waiting};
use crate::world::{World, agent_condition};

/// An agent of member-1.
fn on_one(replicas: i32, image: &str) -> Value {
    json!({
        "type": "claude", "image": image, "replicas": replicas, "placement": {"clusters": ["member-1"]},
    })
}

impl World {
    /// Waits until the agent has this phase, this summary and, in `Ready`, this reason.
    async fn shows(&self, name: &str, phase: Phase, summary: &str, reason: &str) -> Result<ParallaxAgent> {
        self.agent_until(name, &format!("{name} is {phase}, {summary}, for {reason}"), |agent| {
            let status = agent.status.clone().unwrap_or_default();
            status.phase == Some(phase)
                && status.observed_generation == agent.metadata.generation
                && status.replica_summary.as_deref() == Some(summary)
                && agent_condition(agent, "Ready").is_some_and(|(_, why, _)| why == reason)
        })
        .await
    }

    /// Waits until the hub has a warning about the agent with these words.
    async fn warned(&self, name: &str, reason: &str, words: &str) -> Result<()> {
        let events: Api<Event> = Api::namespaced(self.hub.clone(), &self.namespace);
        self.eventually(&format!("there is a warning {reason} of {name}: {words}"), || async {
            let all = events.list(&ListParams::default()).await?;
            Ok(all.items.iter().any(|event| {
                event.type_.as_deref() == Some("Warning")
                    && event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
                    && event.note.as_deref().is_some_and(|note| note.contains(words))
            }))
        })
        .await
    }

    /// Puts finalizers on pods, or takes them away: what has one ends slowly.
    async fn hold(&self, pods: &[String], held: bool) -> Result<()> {
        let finalizers = if held { json!(["parallax.test/slow"]) } else { Value::Null };
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        for pod in pods {
            self.pods(0).patch(pod, &PatchParams::default(), &patch).await?;
        }
        Ok(())
    }

    /// Sets how many pods the namespace may have in member-1, and waits until that is so.
    async fn allow_pods(&self, most: u32) -> Result<()> {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.members[0].clone(), &self.namespace);
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"},
            "spec": {"hard": {"pods": most.to_string()}},
        });
        quotas.patch("pods", &PatchParams::apply("scenario").force(), &Patch::Apply(quota)).await?;
        self.eventually(&format!("the namespace may have {most} pods"), || async {
            let hard = quotas.get("pods").await?.status.and_then(|status| status.hard);
            Ok(hard.is_some_and(|hard| hard.get("pods").is_some_and(|q| q.0 == most.to_string())))
        })
        .await
    }
}

/// Every phase that is written of the agent from this version of it on, until a condition holds.
pub async fn phases_until(
    world: &World,
    from: &ParallaxAgent,
    holds: impl Fn(&ParallaxAgent) -> bool,
) -> Result<Vec<Phase>> {
    // Almost as long as the client allows.
    let params = WatchParams::default().fields(&format!("metadata.name={}", from.name_any())).timeout(290);
    let version = from.resource_version().context("no resourceVersion")?;
    let agents = world.agents();
    let mut events = pin!(agents.watch(&params, &version).await?);
    let mut phases = vec![];
    while let Some(event) = events.try_next().await? {
        let agent = match event {
            WatchEvent::Modified(agent) => agent,
            WatchEvent::Bookmark(_) => continue,
            other => bail!("after {phases:?}, the watch shows {other:?}"),
        };
        phases.extend(agent.status.as_ref().and_then(|status| status.phase));
        if holds(&agent) {
            return Ok(phases);
        }
    }
    bail!("after {phases:?}, the watch has ended")
}

/// The phases that were written between two versions of an agent, that of the later one included.
async fn between(world: &World, from: &ParallaxAgent, to: &ParallaxAgent) -> Result<Vec<Phase>> {
    let last = to.resource_version();
    if from.resource_version() == last {
        return Ok(vec![]);
    }
    phases_until(world, from, |agent| agent.resource_version() == last).await
}

/// Why an agent isn't ready, and what goes with it.
fn why(agent: &ParallaxAgent) -> String {
    agent_condition(agent, "Ready").map(|(.., message)| message).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_is_failed_until_there_is_another() -> Result<()> {
    let world = World::calm("image").await?;
    world.apply("puller", on_one(1, PLAYED)).await?;
    let pods = world.scheduled(0, "puller", 1).await?;
    let mut said = vec![];
    // Kubelets say the two by turns, and a registry may say another thing each time.
    for (reason, message, cause) in [
        ("ErrImagePull", "manifest unknown", "manifest unknown"),
        ("ImagePullBackOff", "Back-off pulling image: ErrImagePull: no manifest", "no manifest"),
        ("ErrImagePull", "registry away", "registry away"),
        ("ImagePullBackOff", "Back-off pulling image", "Back-off pulling image"),
    ] {
        world.kubelet_says(0, &pods[0], waiting(0, reason, message, &json!({}))).await?;
        let what = format!("puller tells: {cause}");
        let is_told = |agent: &ParallaxAgent| why(agent) == format!("member-1: {cause}");
        world.agent_until("puller", &what, is_told).await?;
        said.push(world.shows("puller", Phase::Failed, "0/1", "ImagePullBackOff").await?);
    }
    let phases = between(&world, &said[0], &said[3]).await?;
    assert!(phases.iter().all(|phase| *phase == Phase::Failed), "{phases:?}");
    let (degraded, reason, _) = agent_condition(&said[3], "Degraded").context("no Degraded")?;
    assert_eq!((degraded.as_str(), reason.as_str()), ("True", "ImagePullBackOff"));
    world.warned("puller", "PodFailed", "manifest unknown").await?;

    world.apply("puller", on_one(1, "parallax.test/puller:1")).await?;
    let agent = world.shows("puller", Phase::Running, "1/1", "AllReplicasReady").await?;
    assert_eq!(agent_condition(&agent, "Degraded").map(|c| c.0).as_deref(), Some("False"));
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_failed_while_its_container_runs_for_a_moment_too() -> Result<()> {
    let world = World::calm("crash").await?;
    world.apply("crasher", on_one(1, PLAYED)).await?;
    let pods = world.scheduled(0, "crasher", 1).await?;
    let never = json!({});
    let ended = |time: i32| {
        json!({"terminated": {
            "exitCode": 1, "reason": "Error", "message": format!("no model, time {time}\nsee the log"),
            "startedAt": "2026-01-01T00:00:05Z", "finishedAt": "2026-01-01T00:00:07Z",
        }})
    };
    let says = |time| move |agent: &ParallaxAgent| why(agent) == format!("member-1: no model, time {time}");
    world.kubelet_says(0, &pods[0], running(false, 0, &never)).await?;
    world.shows("crasher", Phase::Pending, "0/1", "Progressing").await?;
    // Once may be bad luck.
    world.kubelet_says(0, &pods[0], container(false, 0, &ended(1), &never)).await?;
    let once = world.shows("crasher", Phase::Pending, "0/1", "Error").await?;
    assert!(says(1)(&once), "{}", why(&once));

    let back_off =
        |restarts, time| waiting(restarts, "CrashLoopBackOff", "back-off 10s restarting", &ended(time));
    world.kubelet_says(0, &pods[0], back_off(1, 2)).await?;
    let failed = world.shows("crasher", Phase::Failed, "0/1", "CrashLoopBackOff").await?;
    assert!(says(2)(&failed), "its last words say more than the kubelet's: {}", why(&failed));
    world.warned("crasher", "PodFailed", "CrashLoopBackOff: no model, time 2").await?;
    let mut last = failed.clone();
    for (restarts, time) in [(2, 3), (3, 6)] {
        // It runs, ends, and waits.
        for (time, status) in [
            (time, running(false, restarts, &ended(time))),
            (time + 1, container(false, restarts, &ended(time + 1), &ended(time))),
            (time + 2, back_off(restarts, time + 2)),
        ] {
            world.kubelet_says(0, &pods[0], status).await?;
            last = world.agent_until("crasher", &format!("its last words, time {time}"), says(time)).await?;
        }
    }
    let phases = between(&world, &failed, &last).await?;
    assert!(phases.iter().all(|phase| *phase == Phase::Failed), "{phases:?}");

    world.kubelet_says(0, &pods[0], running(true, 4, &ended(8))).await?;
    world.shows("crasher", Phase::Running, "1/1", "AllReplicasReady").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_takes_is_failed_until_one_does() -> Result<()> {
    let world = World::calm("nowhere").await?;
    let mut spec = on_one(1, "parallax.test/lost:1");
    spec["nodeSelector"] = json!({"workload-type": "nobody-has-this"});
    world.apply("lost", spec).await?;
    let agent = world.shows("lost", Phase::Failed, "0/1", "Unschedulable").await?;
    assert!(why(&agent).starts_with("member-1: 0/2 nodes are available"), "{}", why(&agent));
    world.warned("lost", "PodFailed", "0/2 nodes are available").await?;
    world.apply("lost", on_one(1, "parallax.test/lost:1")).await?;
    world.shows("lost", Phase::Running, "1/1", "AllReplicasReady").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_beyond_a_quota_are_missing_with_the_quotas_name() -> Result<()> {
    let world = World::calm("quota").await?;
    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    world.allow_pods(0).await?;
    world.apply("many", on_one(1, "parallax.test/many:1")).await?;
    let none = world.shows("many", Phase::Pending, "0/1", "FailedCreate").await?;
    assert!(why(&none).contains("exceeded quota: pods"), "{}", why(&none));

    // The ReplicaSet's controller tries again at ever longer intervals, or when its number changes.
    world.allow_pods(1).await?;
    world.apply("many", on_one(2, "parallax.test/many:1")).await?;
    let some = world.shows("many", Phase::Scaling, "1/2", "FailedCreate").await?;
    assert!(why(&some).contains("exceeded quota: pods"), "{}", why(&some));
    world.allow_pods(9).await?;
    world.apply("many", on_one(3, "parallax.test/many:1")).await?;
    world.shows("many", Phase::Running, "3/3", "AllReplicasReady").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_start_is_pending_until_it_is_too_slow_and_scaling_from_the_first_pod_on() -> Result<()> {
    let world = World::calm("slow").await?;
    world.apply("sleepy", on_one(2, PLAYED)).await?;
    let pods = world.scheduled(0, "sleepy", 2).await?;
    let slow = world.shows("sleepy", Phase::Pending, "0/2", "Progressing").await?;
    assert_eq!(why(&slow), "member-1: 0 of 2 replicas are ready");

    // Kubernetes waits for ten minutes; this cluster's administrator doesn't.
    let patch = Patch::Merge(json!({"spec": {"progressDeadlineSeconds": 1}}));
    world.deployments(0).patch("sleepy", &PatchParams::default(), &patch).await?;
    world.shows("sleepy", Phase::Failed, "0/2", "ProgressDeadlineExceeded").await?;
    world.warned("sleepy", "PodFailed", "ProgressDeadlineExceeded").await?;

    let patch = Patch::Merge(json!({"spec": {"progressDeadlineSeconds": 600}}));
    world.deployments(0).patch("sleepy", &PatchParams::default(), &patch).await?;
    world.kubelet_says(0, &pods[0], up()).await?;
    world.shows("sleepy", Phase::Scaling, "1/2", "Progressing").await?;
    world.kubelet_says(0, &pods[1], up()).await?;
    world.shows("sleepy", Phase::Running, "2/2", "AllReplicasReady").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn up_and_down_is_scaling_and_never_less_than_what_serves() -> Result<()> {
    let world = World::calm("up-down").await?;
    world.apply("elastic", on_one(1, PLAYED)).await?;
    let first = world.scheduled(0, "elastic", 1).await?;
    world.kubelet_says(0, &first[0], up()).await?;
    let one = world.shows("elastic", Phase::Running, "1/1", "AllReplicasReady").await?;

    world.apply("elastic", on_one(3, PLAYED)).await?;
    let pods = world.scheduled(0, "elastic", 3).await?;
    let up_to = world.shows("elastic", Phase::Scaling, "1/3", "Progressing").await?;
    assert_eq!(why(&up_to), "member-1: 1 of 3 replicas are ready");
    for pod in pods.iter().filter(|pod| **pod != first[0]) {
        world.kubelet_says(0, pod, up()).await?;
    }
    world.shows("elastic", Phase::Running, "3/3", "AllReplicasReady").await?;

    // Who is on his way out is no part of it any more, however long that takes.
    world.hold(&pods, true).await?;
    world.apply("elastic", on_one(1, PLAYED)).await?;
    let down = world.shows("elastic", Phase::Running, "1/1", "AllReplicasReady").await?;
    let left = world.scheduled(0, "elastic", 1).await?;
    assert_eq!(world.pods(0).list(&ListParams::default()).await?.items.len(), 3, "two are ending still");
    let phases = between(&world, &one, &down).await?;
    assert!(phases.iter().all(|phase| matches!(phase, Phase::Running | Phase::Scaling)), "{phases:?}");
    world.hold(&pods, false).await?;
    world
        .eventually("the others have ended", || async {
            Ok(world.pods(0).list(&ListParams::default()).await?.items.len() == left.len())
        })
        .await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_agent_is_terminating_until_its_last_pod_has_ended() -> Result<()> {
    let world = World::calm("last-pod").await?;
    world.apply("leaving", on_one(2, "parallax.test/leaving:1")).await?;
    world.shows("leaving", Phase::Running, "2/2", "AllReplicasReady").await?;
    let pods = world.scheduled(0, "leaving", 2).await?;
    world.hold(&pods, true).await?;
    world.delete("leaving").await?;
    let leaving = world
        .agent_until("leaving", "leaving is Terminating", |agent| {
            agent.status.as_ref().and_then(|status| status.phase) == Some(Phase::Terminating)
        })
        .await?;
    let (ready, reason, _) = agent_condition(&leaving, "Ready").context("no Ready")?;
    assert_eq!((ready.as_str(), reason.as_str()), ("False", "Terminating"));
    world.hold(&pods[..1], false).await?;
    world
        .eventually("one pod has ended, and the other is ending", || async {
            let left = world.pods(0).list(&ListParams::default()).await?.items;
            Ok(left.len() == 1 && left[0].metadata.deletion_timestamp.is_some())
        })
        .await?;
    let still = world.agents().get("leaving").await?;
    assert_eq!(still.status.and_then(|status| status.phase), Some(Phase::Terminating));

    world.hold(&pods[1..], false).await?;
    world.gone_from_hub("leaving").await?;
    let left = world.pods(0).list(&ListParams::default()).await?.items;
    assert!(left.is_empty(), "the hub has let go while pods were there: {left:?}");
    world.gone_from_member(0, "leaving").await?;
    world.finish().await
}
