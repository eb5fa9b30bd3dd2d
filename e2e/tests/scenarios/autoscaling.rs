//! Load chooses the number of replicas. KWOK's nodes have no load, so that the tests choose in the autoscalers' place,
//! as the controller does: through the Deployment's scale subresource.

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use parallax_e2e::Component;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::world::World;

/// Who scales in a real cluster.
const AUTOSCALER: &str = "kube-controller-manager";

impl World {
    fn autoscalers(&self, member: usize) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.members[member].clone(), &self.namespace)
    }

    /// Chooses the number of replicas as the cluster's autoscaler would.
    pub(crate) async fn choose(&self, member: usize, name: &str, replicas: i32) -> Result<()> {
        let params = PatchParams { field_manager: Some(AUTOSCALER.to_owned()), ..PatchParams::default() };
        let scale = json!({"spec": {"replicas": replicas}});
        self.deployments(member)
            .patch_scale(name, &params, &Patch::Merge(&scale))
            .await
            .with_context(|| format!("scaling {name} to {replicas}"))?;
        Ok(())
    }

    /// Waits until the autoscaler has these bounds; `None`: until there is none.
    async fn bounded(&self, member: usize, name: &str, bounds: Option<(i32, i32)>) -> Result<()> {
        let (api, hpa) = (self.autoscalers(member), format!("{name}-hpa"));
        let what = format!("{hpa} in member-{} has bounds {bounds:?}", member + 1);
        self.eventually(&what, || async {
            let spec = api.get_opt(&hpa).await?.and_then(|found| found.spec);
            Ok(spec.map(|spec| (spec.min_replicas.unwrap_or(1), spec.max_replicas)) == bounds)
        })
        .await
    }

    /// Waits until the Deployment's number of replicas is, or is not, in the member's own hand.
    pub(crate) async fn applied_by_member(&self, name: &str, wanted: bool) -> Result<()> {
        self.eventually(&format!("{name}: the member applies its replicas: {wanted}"), || async {
            let deployment = self.deployments(0).get(name).await?;
            let own = deployment.metadata.managed_fields.iter().flatten().any(|entry| {
                entry.manager.as_deref() == Some("parallax-member")
                    && entry.subresource.is_none()
                    && entry.fields_v1.as_ref().is_some_and(|f| f.0["f:spec"].get("f:replicas").is_some())
            });
            Ok(own == wanted)
        })
        .await
    }
}

/// Every number of replicas that a Deployment has asked for since it was first looked at.
struct Counts {
    seen: Arc<Mutex<Vec<i32>>>,
    watch: tokio::task::JoinHandle<Result<()>>,
}

impl Counts {
    async fn watch(world: &World, member: usize, name: &str) -> Result<Self> {
        let api = world.deployments(member);
        let first = api.get(name).await?;
        let count = |d: &Deployment| d.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let seen = Arc::new(Mutex::new(vec![count(&first)]));
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let version = first.metadata.resource_version.context("the Deployment has a version")?;
        let counts = Arc::clone(&seen);
        let watch = tokio::spawn(async move {
            let mut events = pin!(api.watch(&params, &version).await?);
            while let Some(event) = events.try_next().await? {
                if let WatchEvent::Modified(deployment) = event {
                    counts.lock().push(count(&deployment));
                }
            }
            anyhow::bail!("the watch has ended")
        });
        Ok(Self { seen, watch })
    }

    /// What was seen, once the number that comes last is there. A watch that ended early would have missed the rest.
    async fn until(self, world: &World, last: i32) -> Result<Vec<i32>> {
        let seen = Arc::clone(&self.seen);
        world
            .eventually(&format!("the watch shows {last} replicas"), || {
                let there = seen.lock().last() == Some(&last);
                async move { Ok(there) }
            })
            .await?;
        anyhow::ensure!(!self.watch.is_finished(), "the watch ended before the test did");
        self.watch.abort();
        let seen = self.seen.lock().clone();
        Ok(seen)
    }
}

/// An agent of member-1, with or without load to choose.
fn on_one(replicas: i32, scaling: Option<Value>) -> Value {
    let mut spec = json!({"type": "claude", "replicas": replicas, "placement": {"clusters": ["member-1"]}});
    if let Some(scaling) = scaling {
        spec["scaling"] = scaling;
    }
    spec
}

fn between(min: i32, max: i32) -> Option<Value> {
    Some(json!({"minReplicas": min, "maxReplicas": max, "targetCPUUtilization": 70}))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_replicas_changes_hands_both_ways_without_a_dip() -> Result<()> {
    let world = World::calm("handover").await?;
    world.apply("worker", on_one(3, None)).await?;
    world.running("worker", "3/3").await?;
    let counts = Counts::watch(&world, 0, "worker").await?;

    world.apply("worker", on_one(3, between(2, 6))).await?;
    world.bounded(0, "worker", Some((2, 6))).await?;
    world.applied_by_member("worker", false).await?;
    world.choose(0, "worker", 5).await?;
    world.running("worker", "5/5").await?;

    world.apply("worker", on_one(5, None)).await?;
    world.bounded(0, "worker", None).await?;
    world.applied_by_member("worker", true).await?;

    // And back, with what the first time has left behind.
    world.apply("worker", on_one(5, between(2, 8))).await?;
    world.bounded(0, "worker", Some((2, 8))).await?;
    world.applied_by_member("worker", false).await?;
    world.choose(0, "worker", 6).await?;
    let agent = world.running("worker", "6/6").await?;

    let mut seen = counts.until(&world, 6).await?;
    seen.dedup();
    assert_eq!(seen, [3, 5, 6], "the number never was another");
    let row = &agent.status.unwrap_or_default().clusters[0];
    assert_eq!((row.desired_replicas, row.ready_replicas), (Some(6), 6));
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_load_has_chosen_outlives_edits_restarts_and_drift() -> Result<()> {
    let world = World::alone("chosen").await?;
    world.apply("worker", on_one(1, between(1, 6))).await?;
    world.running("worker", "1/1").await?;
    world.bounded(0, "worker", Some((1, 6))).await?;
    world.choose(0, "worker", 4).await?;
    world.running("worker", "4/4").await?;
    let counts = Counts::watch(&world, 0, "worker").await?;

    let mut spec = on_one(1, between(1, 9));
    spec["role"] = json!("reviewer");
    world.apply("worker", spec.clone()).await?;
    world.bounded(0, "worker", Some((1, 9))).await?;
    world.running("worker", "4/4").await?;
    // Another field of the Deployment drifts and is brought back.
    let drift = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}});
    let patch = Patch::Strategic(&drift);
    let drifted = world.deployments(0).patch("worker", &PatchParams::default(), &patch).await?;
    world
        .eventually("the member brings the drift back", || async {
            let now = world.deployments(0).get("worker").await?;
            Ok(now.metadata.generation > drifted.metadata.generation)
        })
        .await?;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.restart_hub().await?;
    world.connected("member-1").await?;
    world.running("worker", "4/4").await?;
    // Nobody comes back from 0 by himself: an autoscaler that somebody stopped so starts again.
    world.choose(0, "worker", 5).await?;
    let mut seen = counts.until(&world, 5).await?;
    seen.dedup();
    assert_eq!(seen, [4, 5], "the number never was another");
    world.choose(0, "worker", 0).await?;
    world.running("worker", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scale_sets_where_load_goes_on_from_within_the_bounds() -> Result<()> {
    let world = World::calm("scaled").await?;
    let spec = json!({
        "type": "claude", "replicas": 2,
        "scaling": {"minReplicas": 2, "maxReplicas": 8, "targetCPUUtilization": 70, "targetMemoryUtilization": 80},
    });
    world.apply("worker", spec).await?;
    let agent = world.running("worker", "2/2").await?;
    for member in [0, 1] {
        world.bounded(member, "worker", Some((1, 4))).await?;
    }
    let requests = world.deployments(0).get("worker").await?.spec.context("a spec")?.template.spec;
    let requests = requests.context("a pod")?.containers[0].resources.clone().context("resources")?.requests;
    let requests = serde_json::to_value(requests)?;
    assert_eq!(requests, json!({"cpu": "100m", "memory": "256Mi"}), "a share of a request needs one");

    world.choose(0, "worker", 3).await?;
    world.running("worker", "4/4").await?;

    for (asked, summary, shares) in [(6, "6/6", [3, 3]), (100, "8/8", [4, 4]), (0, "2/2", [1, 1])] {
        let output =
            world.kubectl(&["scale", "parallaxagent", "worker", &format!("--replicas={asked}")]).await?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let scaled = world.running("worker", summary).await?;
        assert!(scaled.metadata.generation > agent.metadata.generation);
        world.shared_out("worker", &shares).await?;
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maximum_below_the_minimum_is_refused_and_said_where() -> Result<()> {
    let world = World::calm("bounds").await?;
    for (scaling, field) in [
        (json!({"minReplicas": 5, "maxReplicas": 2}), "spec.scaling.maxReplicas"),
        (json!({"minReplicas": -1}), "spec.scaling.minReplicas"),
        (json!({"maxReplicas": 3, "targetCPUUtilization": 0}), "spec.scaling.targetCPUUtilization"),
    ] {
        let error = world.apply("worker", on_one(1, Some(scaling))).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(field), "{error}");
    }
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_cluster_does_not_need_of_the_maximum_goes_where_the_load_is() -> Result<()> {
    let world = World::calm("lending").await?;
    let spec = json!({"type": "claude", "replicas": 2, "scaling": between(2, 8)});
    world.apply("worker", spec).await?;
    world.running("worker", "2/2").await?;
    for member in 0..2 {
        world.bounded(member, "worker", Some((1, 4))).await?;
    }
    world.applied_by_member("worker", false).await?;
    let maxima = Maxima::watch(&world, "worker-hpa").await?;

    world.choose(1, "worker", 1).await?;
    world.choose(0, "worker", 4).await?;
    world.bounded(1, "worker", Some((1, 2))).await?;
    world.bounded(0, "worker", Some((1, 6))).await?;
    world.choose(0, "worker", 6).await?;
    let agent = world.running("worker", "7/7").await?;
    let lent = agent.status.and_then(|status| status.placement).map(|placement| placement.lent);
    let lent: Vec<_> = lent.into_iter().flatten().map(|lent| (lent.cluster, lent.replicas)).collect();
    assert_eq!(lent, [("member-1".to_owned(), 2), ("member-2".to_owned(), -2)]);

    world.restart_hub().await?;
    world.running("worker", "7/7").await?;
    world.bounded(0, "worker", Some((1, 6))).await?;
    assert_eq!(maxima.end()?, 8, "the most that could be chosen at any time");
    world.finish().await
}

/// The largest sum that the maxima of an agent's autoscalers have had.
struct Maxima {
    largest: Arc<Mutex<i32>>,
    watches: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Maxima {
    async fn watch(world: &World, name: &str) -> Result<Self> {
        let most = |found: &HorizontalPodAutoscaler| found.spec.as_ref().map_or(0, |spec| spec.max_replicas);
        let (mut now, mut lists) = (Vec::new(), Vec::new());
        for member in 0..2 {
            let found = world.autoscalers(member).get(name).await?;
            now.push(most(&found));
            lists.push(found.metadata.resource_version.context("the autoscaler has a version")?);
        }
        let largest = Arc::new(Mutex::new(now.iter().sum()));
        let now = Arc::new(Mutex::new(now));
        let mut watches = Vec::new();
        for (member, version) in lists.into_iter().enumerate() {
            let (api, now, largest) = (world.autoscalers(member), Arc::clone(&now), Arc::clone(&largest));
            let params = WatchParams::default().fields(&format!("metadata.name={name}"));
            watches.push(tokio::spawn(async move {
                let mut events = pin!(api.watch(&params, &version).await?);
                while let Some(event) = events.try_next().await? {
                    if let WatchEvent::Modified(found) = event {
                        let mut now = now.lock();
                        now[member] = most(&found);
                        let mut largest = largest.lock();
                        *largest = now.iter().sum::<i32>().max(*largest);
                    }
                }
                anyhow::bail!("the watch has ended")
            }));
        }
        Ok(Self { largest, watches })
    }

    /// The largest sum. A watch that ended early would have missed the rest.
    fn end(self) -> Result<i32> {
        anyhow::ensure!(
            self.watches.iter().all(|watch| !watch.is_finished()),
            "a watch ended before the test did"
        );
        self.watches.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(*self.largest.lock())
    }
}
