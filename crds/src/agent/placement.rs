//! Where an agent may run: the user's side of placement.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Where an agent may run, and how its replicas are shared out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("self.strategy != 'Replicate' || !has(self.division)")
        .message("division does nothing under strategy Replicate, where every cluster gets all replicas: remove it, or use Divide")
        .field_path(".division")
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
#[x_kube(
    validation = Rule::new("(self.mode == 'Weighted') == (has(self.weights) && size(self.weights) > 0)")
        .message("weights: mode Weighted needs them, and no other mode takes them"),
    validation = Rule::new("!has(self.weights) || size(self.weights) == 0 || self.weights.exists(w, w.weight > 0)")
        .message("weights: at least one must be above 0, or no cluster gets a replica")
)]
pub struct Division {
    /// By what.
    #[serde(default)]
    pub mode: DivisionMode,
    /// Under Weighted: the first entry whose selector matches a cluster gives its weight; a cluster that
    /// none matches gets nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
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
    #[schemars(schema_with = "schema::weight_selector")]
    pub cluster_selector: LabelSelector,
    /// Their share, relative to the others'.
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
}
