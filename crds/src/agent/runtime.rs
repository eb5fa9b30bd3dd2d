//! What an agent's clusters run: the part of its spec that is sent to them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, EnvVarSource, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Companion, Credentials, EnvFrom, HealthCheck, Metrics, Network, Volume, VolumeMount, Workspace};
use crate::schema;

/// The fields that a user writes and that reach the clusters as they are. They stand in the spec of a
/// ParallaxAgent and, with the image pinned, in the template of an AgentAssignment; whatever is in here is in the hash.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentRuntime {
    /// The agent's type. `claude`, `codex`, `gemini` and `aider` have an image; any other needs `image`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub agent_type: String,
    /// What the agent can do; it reads them from `AGENT_CAPABILITIES`, as a JSON list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 63), regex(pattern = schema::LABEL_VALUE)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub capabilities: Vec<String>,
    /// The agent's role; it reads it from `AGENT_ROLE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = schema::TEXT))]
    pub role: Option<String>,
    /// When the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the agent's namespace in the member for pulling the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The entrypoint; absent: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(max = 4096), regex(pattern = schema::TEXT)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub command: Vec<String>,
    /// The arguments; absent: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(max = 4096), regex(pattern = schema::TEXT)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub args: Vec<String>,
    /// Environment variables, whose references are looked up in the member's cluster. Names that begin with `AGENT_` or `PARALLAX_` are Parallax's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Variables from all keys of ConfigMaps and Secrets of the agent's namespace in the member's cluster. Those of
    /// `env`, of `credentials` and of Parallax come before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub env_from: Vec<EnvFrom>,
    /// The agent's API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Requests and limits of the agent's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// HTTP checks of each pod, all by default in `{}`; absent: it is ready as soon as it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods put up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,
    /// Nodes and neighbours that the pods must or would rather have. The label `parallax.io/agent` has an agent's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::affinity")]
    pub affinity: Option<Affinity>,
    /// How the pods are spread over zones, nodes or the like; without a labelSelector, among the agent's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::topology_spread")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// A RuntimeClass of the member's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub runtime_class_name: Option<String>,
    /// A PriorityClass of the member's cluster; none of the system's, which begin with `system-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::priority_class")]
    pub priority_class_name: Option<String>,
    /// A ServiceAccount of the agent's namespace in the member; its token is mounted. Absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub service_account_name: Option<String>,
    /// How long a pod that is told to end may go on with its task; 120 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub termination_grace_period_seconds: Option<i64>,
    /// Whose the pods' processes and files are; absent: the image's user, which must not be root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security_context: Option<PodIds>,
    /// Labels of the pods, besides Parallax's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::pod_labels")]
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::pod_annotations")]
    pub pod_annotations: BTreeMap<String, String>,
    /// Who else may reach the agent, and whom it may reach.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub network: Option<Network>,
    /// The agent's own metrics; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Containers that run before the agent's own, one after the other, each to its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub init_containers: Vec<Companion>,
    /// Containers that start before the agent's own, after `initContainers`, and end after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sidecars: Vec<Companion>,
    /// Volumes of the pods, which go with them; what a claim holds stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,
    /// Where the agent finds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub volume_mounts: Vec<VolumeMount>,
    /// A volume for what the agent keeps; absent: it keeps nothing but what it sends elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
}

impl AgentRuntime {
    /// The port of the agent's own metrics; none when it has none.
    #[must_use]
    pub fn metrics_port(&self) -> Option<i32> {
        self.metrics.as_ref().and_then(Metrics::served_on)
    }

    /// Its Service is to be exported to the other clusters of a set.
    #[must_use]
    pub fn is_exported(&self) -> bool {
        self.network.as_ref().is_some_and(|network| network.export)
    }
}

/// It is left out then: server-side apply makes null of an object that loses its only field, and null is none to a schema.
fn says_nothing(network: &Option<Network>) -> bool {
    network.as_ref().is_none_or(|network| *network == Network::default())
}

/// The numbers of a pod's user and groups. Everything else of its security is Parallax's: the Pod Security Standard
/// "restricted" holds for every agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodIds {
    /// The user of its processes; not root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// The group of its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,
    /// The group of the files in its volumes; absent: 10000 where it has a workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub fs_group: Option<i64>,
}

/// When an image is pulled; absent: Kubernetes decides by its tag.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// When the node doesn't have it.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

/// A Secret of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct LocalObjectReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub name: String,
}

/// An environment variable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("!self.name.startsWith('AGENT_') && !self.name.startsWith('PARALLAX_')")
        .message("name: AGENT_ and PARALLAX_ begin the names of variables that Parallax sets itself: choose another")
        .field_path(".name"),
    validation = Rule::new("!(has(self.value) && has(self.valueFrom))")
        .message("value and valueFrom exclude each other: keep one")
)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::ENV_NAME))]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = schema::TEXT))]
    pub value: Option<String>,
    /// Where its value comes from, in the member cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::env_var_source")]
    pub value_from: Option<EnvVarSource>,
}

/// Requests and limits, as of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(schema::REQUESTS_WITHIN_LIMITS)
    .message("requests must not exceed limits")
    .field_path(".requests")
)]
pub struct Resources {
    /// What is reserved. Fractions in quotes: `cpu: "0.5"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded. Fractions in quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_network_that_says_nothing_is_as_none() {
        let written = |network: serde_json::Value| {
            let runtime: AgentRuntime =
                serde_json::from_value(json!({"type": "claude", "network": network})).unwrap();
            serde_json::to_value(runtime).unwrap()
        };
        for nothing in [json!({}), json!({"export": false})] {
            assert_eq!(written(nothing), json!({"type": "claude"}));
        }
        let exported = json!({"export": true});
        assert_eq!(written(exported.clone())["network"], exported);
    }
}
