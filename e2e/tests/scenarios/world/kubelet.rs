//! The test as the kubelet of pods that KWOK leaves alone.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{World, of};

/// KWOK leaves pods of this image to the test.
pub const PLAYED: &str = "fleet.test/played:1";

/// A pod's status as a kubelet writes it, with that state of its container and what it did before.
pub fn container(ready: bool, restarts: i32, state: &Value, last: &Value) -> Value {
    let word = if ready { "True" } else { "False" };
    json!({
        "phase": if state.get("running").is_some() { "Running" } else { "Pending" },
        "conditions": [
            {"type": "ContainersReady", "status": word, "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Ready", "status": word, "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
        "containerStatuses": [{
            "name": "agent", "image": PLAYED, "imageID": "", "ready": ready, "restartCount": restarts,
            "state": state, "lastState": last,
        }],
    })
}

pub fn waiting(restarts: i32, reason: &str, message: &str, last: &Value) -> Value {
    container(false, restarts, &json!({"waiting": {"reason": reason, "message": message}}), last)
}

pub fn running(ready: bool, restarts: i32, last: &Value) -> Value {
    container(ready, restarts, &json!({"running": {"startedAt": "2026-01-01T00:00:05Z"}}), last)
}

pub fn up() -> Value {
    running(true, 0, &json!({}))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

impl World {
    /// Waits until so many pods of the agent have a node in the member, and returns their names, the oldest first. Pods
    /// on their way out don't count.
    pub async fn scheduled(&self, member: usize, name: &str, count: usize) -> Result<Vec<String>> {
        let pods = self.scheduled_pods(member, name, count).await?;
        Ok(pods.iter().map(kube::ResourceExt::name_any).collect())
    }

    /// As [`Self::scheduled`]; then says that so many of those that aren't ready are.
    pub async fn get_ready(&self, member: usize, name: &str, count: usize, ready: usize) -> Result<()> {
        let mut idle = self.scheduled_pods(member, name, count).await?;
        idle.retain(|pod| !is_ready(pod));
        anyhow::ensure!(idle.len() >= ready, "only {} pods of {name} aren't ready", idle.len());
        for pod in &idle[..ready] {
            self.kubelet_says(member, &pod.name_any(), up()).await?;
        }
        Ok(())
    }

    async fn scheduled_pods(&self, member: usize, name: &str, count: usize) -> Result<Vec<Pod>> {
        let has_node = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        self.until(&format!("{count} pods of {name} have a node in member-{}", member + 1), async || {
            let mut pods = self.pods(member).list(&of(name)).await?.items;
            pods.retain(|pod| pod.metadata.deletion_timestamp.is_none() && has_node(pod));
            pods.sort_by_key(|pod| (pod.creation_timestamp(), pod.name_any()));
            Ok((pods.len() == count).then_some(pods))
        })
        .await
    }

    /// Says of a pod in the member what its kubelet would.
    pub async fn kubelet_says(&self, member: usize, pod: &str, status: Value) -> Result<()> {
        let patch = Patch::Strategic(json!({"status": status}));
        self.pods(member)
            .patch_status(pod, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("the status of {pod}"))?;
        Ok(())
    }
}
