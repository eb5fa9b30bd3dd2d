//! What the cluster measures of pods, where it has the API `metrics.k8s.io`.

use std::collections::HashMap;

use hyper::Request;
use kube::Client;
use parallax_crds::labels::{MANAGED_BY, MANAGED_BY_PARALLAX};
use parallax_crds::quantity::nanos;
use serde::Deserialize;

use crate::failure::{Failure, within};

/// What one pod's containers use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millicores: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// By namespace and name of the pod.
pub type ByPod = HashMap<(String, String), Resources>;

/// As much of the answer as is read.
#[derive(Debug, Deserialize)]
struct PodMetricsList {
    items: Vec<PodMetrics>,
}

#[derive(Debug, Deserialize)]
struct PodMetrics {
    metadata: Metadata,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    namespace: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Container {
    #[serde(default)]
    usage: HashMap<String, String>,
}

/// What all pods of agents use.
pub async fn list(client: &Client) -> Result<ByPod, Failure> {
    let path =
        format!("/apis/metrics.k8s.io/v1beta1/pods?labelSelector={MANAGED_BY}%3D{MANAGED_BY_PARALLAX}");
    let request = Request::get(path).body(Vec::new()).map_err(|e| Failure::Invalid(e.to_string()))?;
    Ok(by_pod(within(client.request::<PodMetricsList>(request)).await?))
}

fn by_pod(list: PodMetricsList) -> ByPod {
    let pods = list.items.into_iter().map(|pod| {
        let mut sum = Resources::default();
        for Container { usage } in &pod.containers {
            sum.cpu_millicores = sum.cpu_millicores.saturating_add(amount(usage.get("cpu"), 1_000_000));
            sum.memory_bytes = sum.memory_bytes.saturating_add(amount(usage.get("memory"), 1_000_000_000));
        }
        ((pod.metadata.namespace, pod.metadata.name), sum)
    });
    pods.collect()
}

/// A quantity in units of so many billionths, rounded up.
fn amount(quantity: Option<&String>, unit: i128) -> u64 {
    let nanos = quantity.and_then(|text| nanos(text)).unwrap_or(0).max(0);
    u64::try_from(nanos.saturating_add(unit - 1) / unit).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn containers_are_summed_up_in_whichever_unit_they_come() {
        let list = serde_json::json!({ "items": [
            { "metadata": { "namespace": "team", "name": "writer-1" }, "timestamp": "2026-01-01T00:00:00Z",
              "window": "10s", "containers": [
                { "name": "agent", "usage": { "cpu": "1500001n", "memory": "20Mi" } },
                { "name": "sidecar", "usage": { "cpu": "2", "memory": "512" } }
            ] },
            { "metadata": { "namespace": "team", "name": "writer-2" }, "containers": [{ "name": "agent" }] }
        ] });
        let pods = by_pod(serde_json::from_value(list).unwrap());
        let of = |name: &str| pods[&("team".to_owned(), name.to_owned())];
        assert_eq!(of("writer-1"), Resources { cpu_millicores: 2_002, memory_bytes: 20 * 1024 * 1024 + 512 });
        assert_eq!(of("writer-2"), Resources::default());
    }
}
