//! How many replicas an agent's load may make of it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::activation::Sleep;

/// Bounds of the number of replicas, and what moves it between them. Under Divide they are totals over the fleet and
/// are divided like the replicas, under Replicate they hold in each cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas")
        .message("maxReplicas must not be below minReplicas: raise it, or lower minReplicas")
        .field_path(".maxReplicas"),
    validation = Rule::new("!has(self.scaleDownDelay) || self.minReplicas == 0")
        .message("scaleDownDelay is how long an agent is idle before it goes to zero: set minReplicas to 0, or leave it out")
        .field_path(".scaleDownDelay"),
    validation = Rule::new("!has(self.activation) || self.minReplicas == 0")
        .message("activation is for an agent that goes to zero: set minReplicas to 0, or leave it out")
        .field_path(".activation")
)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Never fewer replicas than this; 0: none while the agent is idle, until somebody calls it.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_replicas: i32,
    /// Never more replicas than this; absent: `minReplicas`, and at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_replicas: Option<i32>,
    /// What the load is measured by; none: nothing moves the number of replicas but `replicas` itself.
    #[serde(flatten)]
    pub targets: ScalingTargets,
    /// With `minReplicas: 0`, seconds without a request before the agent goes to zero; absent: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub scale_down_delay: Option<i32>,
    /// With `minReplicas: 0`, what becomes of requests while the agent wakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<ActivationLimits>,
}

/// What becomes of requests to an agent while it wakes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ActivationLimits {
    /// Seconds that a request is held at most; then it is answered 503.
    #[serde(default = "hold_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub hold_seconds: i32,
    /// Requests that each activator holds at most; more are answered 503 at once.
    #[serde(default = "max_pending")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_pending: i32,
}

impl Default for ActivationLimits {
    fn default() -> Self {
        Self { hold_seconds: hold_seconds(), max_pending: max_pending() }
    }
}

fn hold_seconds() -> i32 {
    30
}

fn max_pending() -> i32 {
    100
}

fn one() -> i32 {
    1
}

impl Scaling {
    /// When the agent goes to zero; none: never.
    #[must_use]
    pub fn sleep(&self) -> Option<Sleep> {
        let ActivationLimits { hold_seconds, max_pending } = self.activation.unwrap_or_default();
        let delay_seconds = self.scale_down_delay.unwrap_or(300);
        (self.fewest() == 0).then_some(Sleep { delay_seconds, hold_seconds, max_pending })
    }

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
    /// CPU, in percent of what the agent's container requests. With a target for memory as well, the one that wants more
    /// replicas wins.
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
