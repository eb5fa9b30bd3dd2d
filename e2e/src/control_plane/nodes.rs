//! Simulated nodes: plain Node objects, which KWOK then keeps alive.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// Nodes per cluster.
const COUNT: usize = 2;

pub(super) async fn create(client: &kube::Client, cluster: &str, region: &str) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for index in 1..=COUNT {
        let name = format!("{cluster}-node-{index}");
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "topology.kubernetes.io/region": region,
                    "topology.kubernetes.io/zone": format!("{region}-{index}"),
                    "workload-type": "ai-agents",
                },
            },
        });
        nodes
            .patch(&name, &PatchParams::apply("fleet"), &Patch::Apply(&node))
            .await
            .with_context(|| format!("creating the node {name}"))?;
    }
    Ok(())
}

/// Whether every node there is says that it is ready, and there is one.
pub(super) async fn ready(client: &kube::Client) -> anyhow::Result<bool> {
    let nodes: Api<Node> = Api::all(client.clone());
    let list = nodes.list(&kube::api::ListParams::default()).await?;
    let is_ready = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    };
    Ok(!list.items.is_empty() && list.items.iter().all(is_ready))
}
