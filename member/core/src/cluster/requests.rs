//! What a pod keeps of its node, whether it uses it or not.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::Amounts;
use serde::{Deserialize, Serialize};

/// The spec of a pod, as far as it says where it is and what it requests.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodRequests {
    node_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    resources: Resources,
    overhead: BTreeMap<String, Quantity>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    resources: Resources,
    restart_policy: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, Quantity>,
}

impl PodRequests {
    /// The node that it is on; none while it is on none.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        Some(self.node_name.as_str()).filter(|name| !name.is_empty())
    }

    /// What Kubernetes' scheduler counts it for: itself, the requests of the containers that run together, or of one that
    /// runs before them if that is more; what is requested for the whole pod goes before that; and its overhead.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        let (mut together, mut beside, mut before) =
            (Amounts::default(), Amounts::default(), Amounts::default());
        for container in &self.containers {
            together.add(&container.requests());
        }
        for container in &self.init_containers {
            let requests = container.requests();
            // One that is restarted always goes on beside the others.
            if container.restart_policy == "Always" {
                together.add(&requests);
                beside.add(&requests);
                before = before.or_more(&beside);
            } else {
                before = before.or_more(&beside.plus(&requests));
            }
        }
        let mut all = together.or_more(&before);
        let whole = Amounts::of(&self.resources.requests);
        if self.resources.requests.contains_key("cpu") {
            all.cpu = whole.cpu;
        }
        if self.resources.requests.contains_key("memory") {
            all.memory = whole.memory;
        }
        all.add(&Amounts::of(&self.overhead));
        all.pods = 1;
        all
    }
}

impl Container {
    fn requests(&self) -> Amounts {
        Amounts::of(&self.resources.requests)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn cpu(spec: Value) -> i64 {
        let pod: PodRequests = serde_json::from_value(spec).unwrap();
        let amounts = pod.amounts();
        assert_eq!(amounts.pods, 1);
        amounts.cpu
    }

    fn container(cpu: &str) -> Value {
        json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": "9"}}})
    }

    fn sidecar(cpu: &str) -> Value {
        let mut container = container(cpu);
        container["restartPolicy"] = json!("Always");
        container
    }

    #[test]
    fn a_pod_counts_for_what_runs_together_or_before() {
        assert_eq!(cpu(json!({"containers": [container("1"), container("500m")]})), 1500);
        assert_eq!(cpu(json!({"containers": [container("1")], "initContainers": [container("3")]})), 3000);
        assert_eq!(cpu(json!({"containers": [container("1")], "initContainers": [container("500m")]})), 1000);
        let beside = json!([sidecar("1"), container("3"), sidecar("2")]);
        assert_eq!(cpu(json!({"containers": [container("500m")], "initContainers": beside})), 4000);
        assert_eq!(cpu(json!({"containers": [{"name": "c"}]})), 0);
    }

    #[test]
    fn what_the_whole_pod_requests_goes_before_its_containers() {
        let whole = json!({"requests": {"cpu": "2"}});
        let spec = json!({"containers": [container("1")], "resources": whole, "overhead": {"cpu": "250m"}});
        assert_eq!(cpu(spec), 2250);
    }

    #[test]
    fn a_pod_is_on_a_node_or_on_none() {
        let read = |spec: Value| serde_json::from_value::<PodRequests>(spec).unwrap();
        assert_eq!(read(json!({"nodeName": "n"})).node(), Some("n"));
        assert_eq!(read(json!({"containers": []})).node(), None);
    }
}
