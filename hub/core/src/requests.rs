//! What one replica of an agent requests of its cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::Amounts;
use parallax_crds::agent::AgentRuntime;

/// What a pod of the resolved spec requests, as Kubernetes counts it: a limit without a request is one; sidecars run beside
/// the agent, init containers one by one before both, so that the larger counts.
#[must_use]
pub fn per_replica(runtime: &AgentRuntime) -> Amounts {
    let mut beside = Amounts { pods: 1, ..Amounts::default() };
    if let Some(resources) = &runtime.resources {
        beside.add(&requested(&resources.requests, &resources.limits));
    }
    for sidecar in runtime.sidecars.iter().filter_map(|sidecar| sidecar.resources.as_ref()) {
        beside.add(&requested(&sidecar.requests, &sidecar.limits));
    }
    let before = runtime.init_containers.iter().filter_map(|init| init.resources.as_ref());
    before.fold(beside, |most, init| most.or_more(&requested(&init.requests, &init.limits)))
}

fn requested(requests: &BTreeMap<String, Quantity>, limits: &BTreeMap<String, Quantity>) -> Amounts {
    let mut all = limits.clone();
    all.extend(requests.clone());
    Amounts::of(&all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn requested(runtime: serde_json::Value) -> Amounts {
        per_replica(&serde_json::from_value(runtime).unwrap())
    }

    #[test]
    fn an_agent_that_requests_nothing_needs_a_pod() {
        assert_eq!(requested(json!({"type": "claude"})), Amounts { pods: 1, ..Amounts::default() });
    }

    #[test]
    fn requests_count_and_limits_where_there_are_none() {
        let amounts = requested(json!({"type": "claude", "resources": {
            "requests": {"cpu": "0.1005", "memory": "1Gi", "ephemeral-storage": "1Gi"},
            "limits": {"cpu": "2", "nvidia.com/gpu": "2", "hugepages-2Mi": "4Mi"},
        }}));
        let extended = BTreeMap::from([("nvidia.com/gpu".to_owned(), 2)]);
        assert_eq!(amounts, Amounts { cpu: 101, memory: 1 << 30, pods: 1, extended });
    }

    #[test]
    fn sidecars_count_beside_the_agent_and_init_containers_where_they_need_more() {
        let container = |name: &str, cpu: &str, memory: &str| {
            json!({
                "name": name, "image": "example.org/x", "resources": {"requests": {"cpu": cpu, "memory": memory}}
            })
        };
        let amounts = requested(json!({
            "type": "claude",
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
            "sidecars": [container("a", "50m", "1Gi"), container("b", "50m", "1Gi")],
            "initContainers": [container("c", "1", "1Gi"), container("d", "500m", "2Gi")],
        }));
        assert_eq!((amounts.cpu, amounts.memory), (1_000, 3 << 30));
    }
}
