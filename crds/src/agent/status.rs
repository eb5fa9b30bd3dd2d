//! What the fleet knows of an agent: the hub's side of it.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RolloutStatus;
use crate::schema;

/// The one phase that it is in.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::IntoStaticStr,
)]
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
    #[schemars(range(min = 0))]
    pub desired_replicas: i32,
    /// Pods that exist, over the clusters whose word is fresh.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Of these, ready at the current generation.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub ready_replicas: i32,
    /// `readyReplicas` and `desiredReplicas` as text, "2/2". An update begins at "0/2" though the old pods serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub replica_summary: Option<String>,
    /// The label selector of the agent's pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Placed`, `Synced`, `Progressing`, `Degraded`; `CredentialsReady` of an agent that names an API key, and
    /// `Idle` of one that may go to zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The decision: where the replicas are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<PlacementDecision>,
    /// Under `rollout` in waves, how far the last change is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// How many clusters are where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_summary: Option<ClusterSummary>,
    /// What the agent uses, over the clusters whose word is fresh. It is written at most once a minute, and only when
    /// it is noticeably another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// When an agent that may go to zero was last known to be called or at work in any cluster. It is written along with
    /// what else changes, and when the agent goes to zero: while it is called, it may be older than its last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_activity_time: Option<Time>,
    /// What each cluster says, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub clusters: Vec<ClusterRow>,
}

/// What an agent uses, rounded. What nobody measures is absent: CPU and memory without metrics.k8s.io in its clusters, the
/// rest without an endpoint for metrics that has it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Cores that are in use, "250m".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount")]
    pub cpu: Option<Quantity>,
    /// Memory that is in use, "512Mi".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount")]
    pub memory: Option<Quantity>,
    /// Replicas that say of themselves that they are at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub busy_replicas: Option<i64>,
    /// Requests that were answered in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub requests_per_minute: Option<i64>,
    /// Tokens that models read in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub input_tokens_per_minute: Option<i64>,
    /// Tokens that models wrote in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub output_tokens_per_minute: Option<i64>,
}

/// Where the replicas are. The only record of it: the hub keeps nothing else per cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlacementDecision {
    /// The generation that was decided on.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// Every matching cluster gets `replicas` (Replicate over more than 1,000 clusters).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_matching: bool,
    /// The decision was lost and is made up for by what clusters hold; some have not told yet, and nothing is removed
    /// until they have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// The value of the annotation `parallax.io/rebalance` that was followed last, up to 64 characters of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub rebalanced: Option<String>,
    /// The clusters and their shares, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets: Vec<PlacementTarget>,
    /// What clusters have beyond their share, by name, until the replicas that replace it are ready elsewhere. A cluster
    /// that is away keeps it until it is back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "atomic"))]
    pub leaving: Vec<PlacementTarget>,
    /// What clusters have of `scaling.maxReplicas` beyond their share of it, by name, because their load needs it and
    /// others' doesn't.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "atomic"))]
    pub lent: Vec<Lent>,
    /// Clusters that no longer have a share and have not let go of the agent yet, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub withdrawing: Vec<String>,
}

/// A cluster's share.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PlacementTarget {
    /// The MemberCluster.
    #[schemars(length(max = 63))]
    pub cluster: String,
    /// Its replicas.
    #[schemars(range(min = 0))]
    pub replicas: i32,
}

/// What a cluster has of the maximum beyond its share.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    /// The MemberCluster.
    #[schemars(length(max = 63))]
    pub cluster: String,
    /// So many replicas; below 0: what it has given up.
    pub replicas: i32,
}

/// Counts of clusters.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterSummary {
    /// With a share.
    #[schemars(range(min = 0))]
    pub assigned: i32,
    /// That have persisted the current order.
    #[schemars(range(min = 0))]
    pub synced: i32,
    /// With every one of their replicas ready.
    #[schemars(range(min = 0))]
    pub ready: i32,
    /// Whose word is not fresh.
    #[schemars(range(min = 0))]
    pub stale: i32,
    /// In phase Failed.
    #[schemars(range(min = 0))]
    pub failed: i32,
}

/// How old a cluster's word is: its session is up, lost for less than 45 s, or lost.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, strum::Display,
)]
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
    #[schemars(length(max = 63))]
    pub name: String,
    /// The phase there, last known.
    pub phase: Phase,
    /// Where load chooses the number of replicas: what it has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub desired_replicas: Option<i32>,
    /// Pods that exist there.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Of these, ready and of `observedGeneration`.
    #[schemars(range(min = 0))]
    pub ready_replicas: i32,
    /// The newest generation that resolves to what runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// How old this is.
    pub freshness: Freshness,
    /// Where the agent is reached, a host and a port: by pods of that cluster, or of every cluster that shares its Service
    /// once that is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub endpoint: Option<String>,
    /// When the row last changed or lost its freshness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_reported: Option<Time>,
    /// A word for programs: what is the matter with the worst pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// What the worst pod's container said last, or the kubelet says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    pub message: Option<String>,
}
