//! How many replicas an agent's load may make of it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Bounds of the number of replicas, and what moves it between them. Under Divide they are totals over the fleet and
/// are divided like the replicas, under Replicate they hold in each cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas")
        .message("maxReplicas must not be below minReplicas: raise it, or lower minReplicas")
        .field_path(".maxReplicas")
)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Never fewer replicas than this.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_replicas: i32,
    /// Never more replicas than this; absent: `minReplicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: Option<i32>,
    /// What the load is measured by; none: nothing moves the number of replicas but `replicas` itself.
    #[serde(flatten)]
    pub targets: ScalingTargets,
}

fn one() -> i32 {
    1
}

impl Scaling {
    /// The most replicas.
    #[must_use]
    pub fn most(&self) -> i32 {
        self.max_replicas.unwrap_or(1).max(self.fewest()).max(1)
    }

    /// The fewest replicas.
    #[must_use]
    pub fn fewest(&self) -> i32 {
        self.min_replicas.max(0)
    }
}

/// What the load of an agent is measured by: there are more replicas while they use more than a target, and fewer while
/// they use less. With both, the one that wants more replicas wins.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingTargets {
    /// CPU, in percent of what the agent's container requests.
    #[serde(default, rename = "targetCPUUtilization", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: Option<i32>,
    /// Memory, in percent of what the agent's container requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_memory_utilization: Option<i32>,
}

/// Between how many replicas one cluster's autoscaler chooses.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// The cluster's share of the fewest. It may be 0, where a cluster still keeps one replica.
    #[schemars(range(min = 0))]
    pub min: i32,
    /// The cluster's share of the most.
    #[schemars(range(min = 1))]
    pub max: i32,
    /// The agent's own `spec.replicas`: when it changes, the cluster's share of it is applied once.
    #[schemars(range(min = 0))]
    pub start: i32,
}

impl ScalingTargets {
    /// Nothing measures the load.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Bounds {
    /// The fewest replicas that an autoscaler may leave: Kubernetes' don't go to zero, nor back from it.
    #[must_use]
    pub fn floor(&self) -> i32 {
        self.min.max(1)
    }

    /// The nearest number of replicas that is within the bounds.
    #[must_use]
    pub fn clamp(&self, replicas: i32) -> i32 {
        replicas.min(self.max).max(self.floor())
    }
}
