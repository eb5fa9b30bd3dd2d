//! Where an agent may run: the user's side of placement.

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ClusterOverride;
use crate::{budget, schema};

/// Where an agent may run, and how its replicas are shared out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new(budget::placement().rule())
        .message("the labels in tolerations, groups, preferred, division.weights and overrides of a placement, and the names in overrides, must not have more than 8192 characters together: shorten them, or give the clusters one label for what they have in common"),
    validation = Rule::new("self.strategy != 'Replicate' || !has(self.division)")
        .message("division does nothing under strategy Replicate, where every cluster gets all replicas: remove it, or use Divide")
        .field_path(".division"),
    validation = Rule::new("self.strategy != 'Replicate' || !has(self.preferred)")
        .message("preferred does nothing under strategy Replicate, where every cluster gets all replicas: remove it, or use Divide")
        .field_path(".preferred"),
    validation = Rule::new("self.strategy != 'Replicate' || !has(self.groups)")
        .message("groups do nothing under strategy Replicate, where every cluster gets all replicas: remove them, or use Divide")
        .field_path(".groups"),
    validation = Rule::new("self.strategy != 'Replicate' || !has(self.spread)")
        .message("spread does nothing under strategy Replicate, where every cluster gets all replicas: remove it, or use Divide")
        .field_path(".spread"),
    validation = Rule::new("self.strategy != 'Replicate' || !has(self.scores)")
        .message("scores do nothing under strategy Replicate, where every cluster gets all replicas: remove them, or use Divide")
        .field_path(".scores"),
    validation = Rule::new("self.strategy != 'Replicate' || self.sticky")
        .message("sticky: under strategy Replicate nothing could move, as every cluster gets all replicas: leave it out, or use Divide")
        .field_path(".sticky")
)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Explicit cluster names; absent: every accepted cluster. An empty list is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cluster_names")]
    pub clusters: Vec<String>,
    /// Labels that a MemberCluster must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cluster_selector")]
    pub cluster_selector: Option<LabelSelector>,
    /// Data residency: a hard limit, against `topology.kubernetes.io/region`. An empty list is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::regions")]
    pub regions: Vec<String>,
    /// Taints of MemberClusters that the agent puts up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,
    /// Divide: `replicas` is a total over the fleet. Replicate: every matching cluster gets all of them.
    #[serde(default)]
    pub strategy: Strategy,
    /// What becomes of replicas in a cluster whose session is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<Failover>,
    /// Clusters in an order of fallback: replicas go to the first group, to the next what it can't hold, and the last
    /// is the first to give replicas up. A cluster belongs to the first group that matches it; one that none matches
    /// gets nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub groups: Vec<ClusterGroup>,
    /// Clusters that are worth more: each entry that matches a cluster adds a hundred times its weight to its score.
    /// Of the clusters of a group, those with the highest score come first, and the next get what they can't hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub preferred: Vec<PreferredClusters>,
    /// What clusters report of themselves: each adds its weight times what is reported, 0 to 100, to a cluster's score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub scores: Vec<ScoreWeight>,
    /// Over how many clusters, zones, regions and so on the replicas must be spread. All of it holds exactly, or nothing
    /// is placed anew and `Placed` is False.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["by".into()]))]
    pub spread: Vec<Spread>,
    /// How replicas are divided over the clusters with the same score, under Divide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,
    /// A replica stays where it is while its cluster qualifies. False: whenever the agent is placed anew, replicas move
    /// to where they would go now.
    #[serde(default = "yes")]
    pub sticky: bool,
    /// What is otherwise in some clusters. Each entry that matches a cluster applies there, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub overrides: Vec<ClusterOverride>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            clusters: Vec::new(),
            cluster_selector: None,
            regions: Vec::new(),
            tolerations: Vec::new(),
            strategy: Strategy::default(),
            groups: Vec::new(),
            preferred: Vec::new(),
            scores: Vec::new(),
            spread: Vec::new(),
            failover: None,
            division: None,
            sticky: yes(),
            overrides: Vec::new(),
        }
    }
}

fn yes() -> bool {
    true
}

/// Clusters that are taken together in the order of fallback.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterGroup {
    /// What it is called in explanations.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub name: String,
    /// Labels of the MemberClusters.
    #[schemars(schema_with = "schema::weight_selector")]
    pub cluster_selector: LabelSelector,
}

/// Clusters that are worth more to the agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreferredClusters {
    /// How much more.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Labels of the MemberClusters.
    #[schemars(schema_with = "schema::weight_selector")]
    pub cluster_selector: LabelSelector,
}

/// How much something that clusters report of themselves is worth to the agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ScoreWeight {
    /// Its name, in `status.scores` of the MemberClusters. One that doesn't report it counts as 0.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::LABEL_VALUE))]
    pub name: String,
    /// What it is worth; below 0 where less of it is better.
    #[schemars(range(min = -100, max = 100))]
    pub weight: i32,
}

/// Over how many groups of clusters the replicas must be spread.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("has(self.minGroups) || has(self.maxGroups) || has(self.maxSkew)")
        .message("spread: an entry needs minGroups, maxGroups or maxSkew, or it does nothing"),
    validation = Rule::new("!has(self.minGroups) || !has(self.maxGroups) || self.minGroups <= self.maxGroups")
        .message("maxGroups must not be below minGroups: raise it, or lower minGroups")
        .field_path(".maxGroups")
)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// `cluster`, `zone`, `region` or `provider`, or the key of a label: clusters with the same value are a group. A
    /// cluster without the label gets nothing.
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::LABEL_KEY))]
    pub by: String,
    /// At least so many groups have a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_groups: Option<i32>,
    /// At most so many have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_groups: Option<i32>,
    /// No group with a replica has more than so many more than another that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_skew: Option<i32>,
}

/// What becomes of replicas in a cluster that is unreachable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("!has(self.policy) || self.policy != 'Never' || self.graceSeconds == 300")
        .message("graceSeconds does nothing under policy Never: leave it out, or use AfterGrace")
        .field_path(".graceSeconds")
)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// Whether they are placed again elsewhere; absent: AfterGrace, and Never for an agent with a workspace, whose state
    /// is in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<FailoverPolicy>,
    /// For how many seconds the session must have been lost.
    #[serde(default = "grace_seconds")]
    #[schemars(range(min = 1, max = 604_800))]
    pub grace_seconds: i32,
}

/// Whether replicas in a cluster that is unreachable are placed again.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverPolicy {
    /// Elsewhere, when the session has been lost for long enough.
    AfterGrace,
    /// They wait for their cluster.
    Never,
}

impl Default for Failover {
    fn default() -> Self {
        Self { policy: None, grace_seconds: grace_seconds() }
    }
}

fn grace_seconds() -> i32 {
    300
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
#[x_kube(
    validation = Rule::new("(self.mode == 'Weighted') == (has(self.weights) && size(self.weights) > 0)")
        .message("weights: mode Weighted needs them, and no other mode takes them"),
    validation = Rule::new("!has(self.weights) || size(self.weights) == 0 || self.weights.exists(w, w.weight > 0)")
        .message("weights: at least one must be above 0, or no cluster gets a replica")
)]
#[serde(rename_all = "camelCase")]
pub struct Division {
    /// By what.
    #[serde(default)]
    pub mode: DivisionMode,
    /// Under Weighted: the first entry whose selector matches a cluster gives its weight; a cluster that
    /// none matches gets nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub weights: Vec<ClusterWeight>,
    /// A cluster has at least so many replicas or none; if there are fewer in all, one cluster has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_replicas_per_cluster: Option<i32>,
}

/// By what replicas are divided.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DivisionMode {
    /// Evenly.
    #[default]
    Balanced,
    /// In proportion to `weights`.
    Weighted,
    /// In proportion to how many replicas fit into each cluster.
    Capacity,
    /// Into as few clusters as will hold them.
    Packed,
}

/// The weight of the clusters that a selector matches.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterWeight {
    /// Labels of the MemberClusters.
    #[schemars(schema_with = "schema::weight_selector")]
    pub cluster_selector: LabelSelector,
    /// Their share, relative to the others'.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
}
