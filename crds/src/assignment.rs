//! AgentAssignment: the hub's order to one cluster, kept in that cluster and written only by its member.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::agent::{EnvVar, LocalObjectReference, Phase, PullPolicy, Resources};

/// What the hub ordered. Complete: the member needs nothing else to run the agent.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "parallax.io",
    version = "v1alpha1",
    kind = "AgentAssignment",
    namespaced,
    shortname = "aa",
    status = "AgentAssignmentStatus",
    derive = "PartialEq",
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.template.type"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "DESIRED", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "READY", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentAssignmentSpec {
    /// Whose order it is.
    pub agent: AssignedAgent,
    /// The UID of the hub that ordered it.
    pub hub: String,
    /// The hash of `template`.
    pub hash: String,
    /// How many replicas this cluster runs.
    pub replicas: i32,
    /// The agent's resolved spec.
    pub template: AgentTemplate,
}

/// The agent that an assignment is for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AssignedAgent {
    /// Its namespace, on the hub and here.
    pub namespace: String,
    /// Its name, on the hub and here.
    pub name: String,
    /// Which agent of that name.
    pub incarnation: String,
}

/// An agent's resolved spec: what of it a cluster needs, with the image and the defaults pinned. Its hash
/// decides whether anything changed for the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentTemplate {
    /// The agent's type.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// What the agent can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The agent's role, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The image, always set.
    pub image: String,
    /// When the image is pulled; absent: Kubernetes' own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the agent's namespace for pulling the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The entrypoint; empty: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The arguments; empty: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The user's environment, after the agent's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
}

/// The local truth.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentAssignmentStatus {
    /// The phase of the agent in this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Pods that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Pods that are ready and run the observed hash.
    #[serde(default)]
    pub ready_replicas: i32,
    /// The hash of what runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_hash: Option<String>,
    /// The generation of this object that the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Synced`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
