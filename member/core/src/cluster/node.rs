//! What is read off a node.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::Amounts;
use parallax_crds::labels::{GPU_PRODUCT, PROVIDER, REGION, ZONE};
use serde::{Deserialize, Serialize};

use crate::live::PodCondition;

/// The taint that keeps pods off the machines of a control plane.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// Labels of a node that its cluster may report.
const REPORTED: [&str; 3] = [REGION, ZONE, GPU_PRODUCT];

/// The spec of a node, as far as it is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
    unschedulable: bool,
    taints: Vec<Taint>,
}

/// The status of a node, as far as it is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    conditions: Vec<PodCondition>,
    capacity: BTreeMap<String, Quantity>,
    allocatable: BTreeMap<String, Quantity>,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// It says that it is ready.
    pub ready: bool,
    /// It is ready, not cordoned, and no machine of the control plane. (Other taints are for those who tolerate them.)
    pub takes_pods: bool,
    /// What it has.
    pub capacity: Amounts,
    /// What of it pods may have.
    pub allocatable: Amounts,
    /// Those labels that its cluster may report, and who runs the machine.
    pub labels: BTreeMap<&'static str, String>,
}

impl NodeFacts {
    /// Of a node with these labels.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>, spec: &NodeSpec, status: &NodeStatus) -> Self {
        let ready = status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let reserved =
            spec.taints.iter().any(|taint| taint.key == CONTROL_PLANE && taint.effect != "PreferNoSchedule");
        let said = REPORTED.into_iter().filter_map(|key| Some((key, labels.get(key)?.clone())));
        let provider = provider(&spec.provider_id).map(|provider| (PROVIDER, provider));
        Self {
            ready,
            takes_pods: ready && !spec.unschedulable && !reserved,
            capacity: Amounts::of(&status.capacity),
            allocatable: Amounts::of(&status.allocatable),
            labels: said.chain(provider).collect(),
        }
    }
}

/// Who runs the machine: the scheme of its `spec.providerID` ("aws:///eu-central-1a/i-0abc").
fn provider(id: &str) -> Option<String> {
    let (scheme, _) = id.split_once("://")?;
    let plain = scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (plain && (1..=63).contains(&scheme.len()) && !scheme.starts_with('-') && !scheme.ends_with('-'))
        .then(|| scheme.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn facts(labels: Value, spec: Value, ready: &str) -> NodeFacts {
        let status = json!({
            "conditions": [{"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": ready}],
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110", "nvidia.com/gpu": "1"},
            "allocatable": {"cpu": "3800m", "memory": "7Gi", "pods": "110", "nvidia.com/gpu": "1"},
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
        });
        let read = |value: Value| serde_json::from_value(value);
        NodeFacts::of(
            &serde_json::from_value(labels).unwrap(),
            &serde_json::from_value(spec).unwrap(),
            &read(status).unwrap(),
        )
    }

    #[test]
    fn a_node_says_what_it_has_and_where_it_is() {
        let labels = json!({REGION: "eu", ZONE: "eu-1", "kubernetes.io/os": "linux", GPU_PRODUCT: "H100"});
        let facts =
            facts(labels, json!({"providerID": "aws:///eu-1/i-0abc", "podCIDR": "10.0.0.0/24"}), "True");
        assert!(facts.ready && facts.takes_pods);
        assert_eq!((facts.capacity.cpu, facts.allocatable.cpu), (4000, 3800));
        assert_eq!(facts.allocatable.extended["nvidia.com/gpu"], 1);
        let said: Vec<_> = facts.labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(said, [(GPU_PRODUCT, "H100"), (PROVIDER, "aws"), (REGION, "eu"), (ZONE, "eu-1")]);
    }

    #[test]
    fn pods_go_to_nodes_that_are_ready_open_and_not_the_control_planes() {
        let takes = |spec: Value, ready: &str| facts(json!({}), spec, ready).takes_pods;
        let tainted = |key: &str, effect: &str| json!({"taints": [{"key": key, "effect": effect}]});
        assert!(takes(json!({}), "True") && !takes(json!({}), "Unknown"));
        assert!(!takes(json!({"unschedulable": true}), "True"));
        assert!(!takes(tainted(CONTROL_PLANE, "NoSchedule"), "True"));
        assert!(takes(tainted(CONTROL_PLANE, "PreferNoSchedule"), "True"));
        assert!(takes(tainted("nvidia.com/gpu", "NoSchedule"), "True"), "agents may tolerate it");
    }

    #[test]
    fn a_provider_is_the_scheme_of_its_id_and_fits_a_label() {
        let of = |id: &str| provider(id);
        assert_eq!(of("gce://project/zone/name").as_deref(), Some("gce"));
        assert_eq!([of(""), of("i-0abc"), of("://x"), of("Å://x"), of("-a://x")], [const { None }; 5]);
    }
}
