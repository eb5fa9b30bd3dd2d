//! ParallaxAgent: the user's wish, on the hub.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVarSource;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the user wants: an AI agent, and where it may run.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "parallax.io",
    version = "v1alpha1",
    kind = "ParallaxAgent",
    namespaced,
    shortname = "pa",
    shortname = "pagent",
    status = "ParallaxAgentStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "REPLICAS", type_ = "string", json_path = ".status.replicaSummary"),
    printcolumn(name = "CLUSTERS", type_ = "integer", json_path = ".status.clusterSummary.assigned", priority = 1),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", priority = 1),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ParallaxAgentSpec {
    /// The agent's type. `claude`, `codex`, `gemini` and `aider` have an image; any other needs `image`.
    #[serde(rename = "type")]
    pub agent_type: String,
    /// What the agent can do; it reads them from `AGENT_CAPABILITIES`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The agent's role; it reads it from `AGENT_ROLE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The image; a built-in type has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the agent's namespace in the member for pulling the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The entrypoint; absent: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The arguments; absent: the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables. Names that begin with `AGENT_` or `PARALLAX_` are Parallax's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Requests and limits of the agent's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Replicas over the whole fleet (strategy Divide) or in each cluster (Replicate).
    #[serde(default = "one")]
    pub replicas: i32,
    /// Zero replicas everywhere; the placement is kept.
    #[serde(default)]
    pub suspend: bool,
    /// Where the agent may run; absent: divided over all accepted clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
}

fn one() -> i32 {
    1
}

/// When an image is pulled.
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
    pub name: String,
}

/// An environment variable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value comes from, in the member cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Requests and limits, as of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// What is reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// Where an agent may run, and how its replicas are shared out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Explicit cluster names; absent: every accepted cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// Labels that a MemberCluster must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_selector: Option<LabelSelector>,
    /// Data residency: a hard limit, against `topology.kubernetes.io/region`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Divide: `replicas` is a total over the fleet. Replicate: every matching cluster gets all of them.
    #[serde(default)]
    pub strategy: Strategy,
    /// How replicas are divided, under Divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,
}

/// Whether replicas are shared out or copied.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Replicas are a total over the fleet.
    #[default]
    Divide,
    /// Every matching cluster gets all of them.
    Replicate,
}

/// How replicas are divided over clusters.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Division {
    /// By what.
    #[serde(default)]
    pub mode: DivisionMode,
    /// Under Weighted: the first entry whose selector matches a cluster gives its weight; a cluster that
    /// none matches gets nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<ClusterWeight>,
}

/// By what replicas are divided.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DivisionMode {
    /// Evenly.
    #[default]
    Balanced,
    /// In proportion to `weights`.
    Weighted,
}

/// The weight of the clusters that a selector matches.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterWeight {
    /// Labels of the MemberClusters.
    pub cluster_selector: LabelSelector,
    /// Their share, relative to the others'.
    pub weight: i32,
}

/// The one phase of an agent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
pub enum Phase {
    /// Nothing is ready yet.
    Pending,
    /// Pods are ready and serving (or none are wanted).
    Running,
    /// Something is ready, and it still moves.
    Scaling,
    /// Nothing is ready, and it isn't going to be without help.
    Failed,
    /// Being deleted.
    Terminating,
}

/// What the fleet knows of the agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParallaxAgentStatus {
    /// One phase for the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Replicas that are wanted over the whole fleet (2 per cluster on two clusters are 4).
    #[serde(default)]
    pub desired_replicas: i32,
    /// Pods that exist, over the clusters whose word is fresh.
    #[serde(default)]
    pub replicas: i32,
    /// Of these, ready at the current generation.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Ready and desired as text, "2/2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_summary: Option<String>,
    /// The label selector of the agent's pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Placed`, `Synced`, `Progressing`, `Degraded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The decision: where the replicas are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementDecision>,
    /// How many clusters are where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_summary: Option<ClusterSummary>,
    /// At most 64 clusters, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<ClusterRow>,
}

/// Where the replicas are. The only record of it: the hub keeps nothing else per cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlacementDecision {
    /// The generation that was decided on.
    pub generation: i64,
    /// Every matching cluster gets `replicas` (Replicate over more than 1,000 clusters).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_matching: bool,
    /// The clusters and their shares, by name; at most 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<PlacementTarget>,
    /// Clusters that no longer have a share and have not let go of the agent yet, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawing: Vec<String>,
}

/// A cluster's share.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PlacementTarget {
    /// The MemberCluster.
    pub cluster: String,
    /// Its replicas.
    pub replicas: i32,
}

/// Counts of clusters.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterSummary {
    /// With a share.
    pub assigned: i32,
    /// That have persisted the current order.
    pub synced: i32,
    /// With every one of their replicas ready.
    pub ready: i32,
    /// Whose word is not fresh.
    pub stale: i32,
    /// In phase Failed.
    pub failed: i32,
}

/// How old a cluster's word is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, strum::Display)]
pub enum Freshness {
    /// Its session is up.
    Fresh,
    /// Its session is lost, for less than 45 s.
    #[default]
    Stale,
    /// Its session is lost.
    Unreachable,
}

/// One cluster's word about the agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRow {
    /// The MemberCluster.
    pub name: String,
    /// The phase there, last known.
    pub phase: Phase,
    /// Pods that exist there.
    pub replicas: i32,
    /// Of these, ready.
    pub ready_replicas: i32,
    /// The newest generation that resolves to what runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How old this is.
    pub freshness: Freshness,
    /// When the row last changed or lost its freshness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reported: Option<Time>,
    /// A word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The worst pod's first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
