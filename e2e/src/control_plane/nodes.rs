//! Simulated nodes: plain Node objects, which KWOK then keeps alive.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// Nodes per cluster.
const COUNT: usize = 2;

/// The name of a cluster's node; they are counted from one.
pub(crate) fn name(cluster: &str, index: usize) -> String {
    format!("{cluster}-node-{index}")
}

/// The labels by which agents choose nodes, beside those that every kubelet gives its own.
pub(crate) fn labels(region: &str, index: usize) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("topology.kubernetes.io/region".into(), region.into()),
        ("topology.kubernetes.io/zone".into(), format!("{region}-{index}")),
        ("workload-type".into(), "ai-agents".into()),
    ])
}

pub(crate) async fn create(client: &kube::Client, cluster: &str, region: &str) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for index in 1..=COUNT {
        let name = name(cluster, index);
        let mut labels = labels(region, index);
        let own = [("hostname", name.as_str()), ("os", "linux"), ("arch", "amd64")];
        labels.extend(own.map(|(label, value)| (format!("kubernetes.io/{label}"), value.to_owned())));
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": labels,
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
pub(crate) async fn ready(client: &kube::Client) -> anyhow::Result<bool> {
    let nodes: Api<Node> = Api::all(client.clone());
    let list = nodes.list(&kube::api::ListParams::default()).await?;
    let is_ready = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    };
    Ok(!list.items.is_empty() && list.items.iter().all(is_ready))
}
