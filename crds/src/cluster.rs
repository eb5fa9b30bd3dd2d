//! MemberCluster: a cluster of the fleet as its administrator sees it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::schema;

mod taints;

pub use taints::{ClusterTaint, SeenTaint, TaintEffect};

/// What the administrator decides about a cluster. Its labels are what placement selects by.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "parallax.io",
    version = "v1alpha1",
    kind = "MemberCluster",
    shortname = "mc",
    status = "MemberClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A cluster of the fleet, as its administrator sees it. Its labels are what placement selects by.",
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: it is a part of the cluster's certificate, so that it must be at most 63 lower-case letters, digits and '-', and begin and end with a letter or digit"),
    printcolumn(name = "ACCEPTED", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].status"),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspended"),
    printcolumn(name = "CONNECTED", type_ = "string", json_path = ".status.conditions[?(@.type=='Connected')].status"),
    printcolumn(name = "NODES", type_ = "string", json_path = ".status.nodeSummary"),
    printcolumn(name = "AGENTS", type_ = "string", json_path = ".status.agentSummary"),
    printcolumn(name = "VERSION", type_ = "string", json_path = ".status.kubernetesVersion"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MemberClusterSpec {
    /// Nothing is sent to the cluster before this is true.
    #[serde(default)]
    pub accepted: bool,
    /// The UID of the cluster's kube-system namespace, pinned at the first acceptance.
    #[serde(default, rename = "clusterUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9][-A-Za-z0-9]*$"))]
    pub cluster_uid: Option<String>,
    /// Keep what is there, send nothing new.
    #[serde(default)]
    pub suspended: bool,
    /// What keeps agents away that don't tolerate it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key", "effect"])
    )]
    pub taints: Vec<ClusterTaint>,
    /// Whose agents the cluster takes; absent: everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<ClusterNamespaces>,
    /// How many replicas may be placed there, of all agents together; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_replicas: Option<i32>,
    /// Keys of labels that placement believes the cluster itself (`status.labels`). One that the MemberCluster has
    /// stays what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::copied_labels")]
    pub copy_labels: Vec<String>,
}

/// Whose agents a cluster takes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNamespaces {
    /// Only agents of these namespaces; absent: of all. An empty list is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespaces")]
    pub allow: Vec<String>,
    /// No agents of these namespaces, whatever `allow` says. An empty list is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespaces")]
    pub deny: Vec<String>,
}

/// What the hub knows of a cluster. Written on transitions and material changes only.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MemberClusterStatus {
    /// `Accepted`, `Connected`, `Healthy`, `CertificateValid`, `PruneBlocked`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// The cluster's nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// Ready and total nodes as text, "3/3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub node_summary: Option<String>,
    /// What its nodes have, all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cluster_amounts")]
    pub capacity: Option<BTreeMap<String, Quantity>>,
    /// What of it pods may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cluster_amounts")]
    pub allocatable: Option<BTreeMap<String, Quantity>>,
    /// What of that no pod has requested yet, on nodes that are ready and take pods. Written when it has changed
    /// noticeably; absent: the member may not see the pods of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cluster_amounts")]
    pub free: Option<BTreeMap<String, Quantity>>,
    /// What the cluster says of itself: `topology.kubernetes.io/region` and `zone`, `parallax.io/provider`,
    /// `nvidia.com/gpu.product`. Placement believes those whose keys are in `spec.copyLabels`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::reported_labels")]
    pub labels: BTreeMap<String, String>,
    /// The scores that the cluster gives itself, by name, from 0 to 100: cost, latency, whatever agents weigh.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::scores")]
    pub scores: BTreeMap<String, i32>,
    /// The taints that are in force, and since when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub taints: Vec<SeenTaint>,
    /// The agents assigned to the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentCounts>,
    /// Ready and assigned agents as text, "12/14".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub agent_summary: Option<String>,
    /// The cluster's Kubernetes version, "v1.36.3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub kubernetes_version: Option<String>,
    /// The member's own version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub member_version: Option<String>,
    /// The member's current certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateInfo>,
}

/// Node counts of a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// All nodes.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// Nodes with `Ready=True`.
    #[schemars(range(min = 0))]
    pub ready: i32,
}

/// Agent counts of a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCounts {
    /// Agents whose decision names the cluster.
    #[schemars(range(min = 0))]
    pub assigned: i32,
    /// Of these, the ones with every assigned replica ready.
    #[schemars(range(min = 0))]
    pub ready: i32,
}

/// A certificate as it is shown.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateInfo {
    /// The serial number in hexadecimal.
    #[schemars(length(max = 64))]
    pub serial: String,
    /// The end of its validity.
    #[schemars(schema_with = "schema::time")]
    pub not_after: Time,
}
