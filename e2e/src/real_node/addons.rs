//! The cluster's DNS and its resource metrics.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;

use super::images::{COREDNS, METRICS_SERVER};
use super::network::Network;
use crate::manifests;

const ADDONS: &str = include_str!("addons.yaml");
const NAMESPACE: &str = "kube-system";

/// Applies them.
///
/// # Errors
/// The API server refuses one.
pub(super) async fn apply(client: &kube::Client, network: Network) -> anyhow::Result<()> {
    let text = ADDONS
        .replace("@COREDNS@", COREDNS)
        .replace("@METRICS_SERVER@", METRICS_SERVER)
        .replace("@DNS@", &network.dns().to_string());
    manifests::apply(client, &manifests::parse(&text)?).await
}

/// Whether both serve, and the node's figures can be asked for.
///
/// # Errors
/// The API server does not answer.
pub(super) async fn serve(client: &kube::Client) -> anyhow::Result<bool> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    for name in ["coredns", "metrics-server"] {
        let status = deployments.get(name).await?.status.unwrap_or_default();
        if status.available_replicas.unwrap_or(0) == 0 {
            return Ok(false);
        }
    }
    let request = http::Request::get("/apis/metrics.k8s.io/v1beta1/nodes").body(Vec::new())?;
    let figures: serde_json::Value = client.request(request).await?;
    Ok(figures["items"].as_array().is_some_and(|items| !items.is_empty()))
}
