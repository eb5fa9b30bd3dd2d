//! ParallaxAgent: the user's wish, on the hub.

mod placement;
mod status;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVarSource;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

pub use placement::{ClusterWeight, Division, DivisionMode, Placement, Strategy};
pub use status::{
    ClusterRow, ClusterSummary, Freshness, ParallaxAgentStatus, Phase, PlacementDecision, PlacementTarget,
};

/// The types that have an image of their own; any other needs `image`.
pub const BUILT_IN_TYPES: [&str; 4] = ["claude", "codex", "gemini", "aider"];

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
    doc = "An AI agent that runs in the clusters of the fleet.",
    validation = Rule::new("size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name: it becomes a Service's name, so that it must be at most 63 lower-case letters, digits and '-', begin with a letter and end with a letter or digit"),
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
#[x_kube(
    validation = Rule::new("has(self.image) || self.type in ['claude', 'codex', 'gemini', 'aider']")
        .message("image is needed: only the types claude, codex, gemini and aider have one of their own")
        .field_path(".image"),
    validation = Rule::new(
        "(has(self.command) ? self.command.map(s, size(s)).sum() : 0) \
         + (has(self.args) ? self.args.map(s, size(s)).sum() : 0) \
         + (has(self.env) ? self.env.map(e, has(e.value) ? size(e.value) : 0).sum() : 0) <= 16384"
    )
    .message("command, args and the values of env must not have more than 16384 characters together: keep long texts in a ConfigMap")
)]
#[serde(rename_all = "camelCase")]
pub struct ParallaxAgentSpec {
    /// The agent's type. `claude`, `codex`, `gemini` and `aider` have an image; any other needs `image`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub agent_type: String,
    /// What the agent can do; it reads them from `AGENT_CAPABILITIES`.
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
    /// The image; a built-in type has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = schema::IMAGE))]
    pub image: Option<String>,
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
    /// Environment variables. Names that begin with `AGENT_` or `PARALLAX_` are Parallax's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Requests and limits of the agent's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Replicas over the whole fleet (strategy Divide) or in each cluster (Replicate).
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10_000))]
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
    validation = Rule::new(
        "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) \
         || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)"
    )
    .message("requests must not exceed limits")
    .field_path(".requests")
)]
pub struct Resources {
    /// What is reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub limits: BTreeMap<String, Quantity>,
}
