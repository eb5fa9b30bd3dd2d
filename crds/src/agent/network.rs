//! Who else may reach an agent, and whom it may reach.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// More peers for the agent's NetworkPolicy, which always admits the control plane, and whether other clusters know its
/// Service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Who may reach the agent besides the control plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 6), extend("x-kubernetes-list-type" = "atomic"))]
    pub ingress: Vec<NetworkPeer>,
    /// Whom the agent may reach; absent: everybody. DNS (port 53) always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub egress: Vec<NetworkPeer>,
    /// A ServiceExport of the agent's Service in each of its clusters that has the Multi-Cluster Services API
    /// (`multicluster.x-k8s.io/v1alpha1`). It lets nobody in: `ingress` does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub export: bool,
}

/// Pods or addresses, as in a NetworkPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("has(self.podSelector) || has(self.namespaceSelector) || has(self.ipBlock)")
        .message("a peer needs podSelector, namespaceSelector or ipBlock"),
    validation = Rule::new("!has(self.ipBlock) || !(has(self.podSelector) || has(self.namespaceSelector))")
        .message("ipBlock and selectors exclude each other: write two peers")
        .field_path(".ipBlock")
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPeer {
    /// Pods with these labels: of the agent's namespace, or of those that `namespaceSelector` selects. `{}` is all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::peer_selector")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces with these labels; `kubernetes.io/metadata.name` is a namespace's name. `{}` is all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::peer_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses, for what is not a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
    /// The ports of whoever is reached; absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub ports: Vec<NetworkPort>,
}

/// A range of addresses.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("isCIDR(self.cidr)")
        .message("cidr must be a range of addresses, such as 10.0.0.0/8")
        .field_path(".cidr"),
    validation = Rule::new(
        "!has(self.except) || !isCIDR(self.cidr) || self.except.all(e, isCIDR(e) && cidr(self.cidr).containsCIDR(e))"
    )
    .message("except must be ranges of addresses within cidr")
    .field_path(".except")
)]
pub struct IpBlock {
    /// The range, such as `10.0.0.0/8`.
    #[schemars(length(min = 1, max = 43), regex(pattern = schema::CIDR))]
    pub cidr: String,
    /// Ranges within it that are not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 4),
        inner(length(min = 1, max = 43), regex(pattern = schema::CIDR)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub except: Vec<String>,
}

/// A port, or a range of ports.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("!has(self.endPort) || self.endPort >= self.port")
        .message("endPort must not be below port")
        .field_path(".endPort")
)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPort {
    /// The port, or the first of the range.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The last port of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
    /// Absent: TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<NetworkProtocol>,
}

/// A transport; absent: TCP.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum NetworkProtocol {
    /// The default.
    TCP,
    /// Datagrams.
    UDP,
    /// Message streams.
    SCTP,
}
