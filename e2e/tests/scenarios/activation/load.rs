//! To zero and back, with an autoscaler in between.

use anyhow::Result;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use serde_json::json;

use super::pods::Pods;
use super::sleeper;
use super::streams::Socket;
use crate::world::World;

impl World {
    /// Waits until the cluster's autoscaler says that it scales nothing since there is nothing, or no longer says so.
    async fn stands_down(&self, name: &str, expected: bool) -> Result<()> {
        let autoscalers: Api<HorizontalPodAutoscaler> =
            Api::namespaced(self.members[0].clone(), &self.namespace);
        self.eventually(&format!("{name}'s autoscaler stands down: {expected}"), || async {
            let status = autoscalers.get(&format!("{name}-hpa")).await?.status.unwrap_or_default();
            let active = status.conditions.into_iter().flatten().find(|c| c.type_ == "ScalingActive");
            let reason = active.and_then(|active| active.reason);
            Ok(reason.is_some_and(|reason| (reason == "ScalingDisabled") == expected))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_stands_down_at_zero_and_takes_over_again_at_one() -> Result<()> {
    let world = World::calm("load").await?;
    let _pods = Pods::play(world.pods(0), "elastic");
    let mut spec = sleeper(1);
    spec["scaling"]["maxReplicas"] = json!(5);
    spec["scaling"]["targetCPUUtilization"] = json!(70);
    world.apply("elastic", spec).await?;
    let address = world.led_to("elastic", 1).await?[0];
    for _ in 0..2 {
        world.asleep("elastic").await?;
        world.stands_down("elastic", true).await?;

        let awake = Socket::open(address).await?;
        world.running("elastic", "1/1").await?;
        world.stands_down("elastic", false).await?;
        world.applied_by_member("elastic", false).await?;
        // As the autoscaler would, if there were figures here.
        world.choose(0, "elastic", 3).await?;
        world.running("elastic", "3/3").await?;
        drop(awake);
    }
    world.asleep("elastic").await?;
    world.finish().await
}
