//! Taints of a cluster: what keeps agents away that don't tolerate it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What a taint of a cluster does to agents that don't tolerate it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaintEffect {
    /// They get no new share there.
    NoSchedule,
    /// They get one where nothing better is left.
    PreferNoSchedule,
    /// They get none, and lose what they have there.
    NoExecute,
}

/// A taint that an administrator gives a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTaint {
    /// What it is about.
    #[schemars(length(min = 1, max = 317), regex(pattern = schema::LABEL_KEY))]
    pub key: String,
    /// More about it, which tolerations may ask for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63), regex(pattern = schema::LABEL_VALUE))]
    pub value: String,
    /// What it does to agents that don't tolerate it.
    pub effect: TaintEffect,
    /// Since when it is there, for agents that tolerate it for a time; absent: since the hub first saw it, which is in
    /// `status.taints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub time_added: Option<Time>,
}

/// A taint that the hub has seen on a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SeenTaint {
    /// Its key.
    #[schemars(length(min = 1, max = 317), regex(pattern = schema::LABEL_KEY))]
    pub key: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63), regex(pattern = schema::LABEL_VALUE))]
    pub value: String,
    /// Its effect.
    pub effect: TaintEffect,
    /// From when on the time counts for which agents tolerate it.
    #[schemars(schema_with = "schema::time")]
    pub since: Time,
}
