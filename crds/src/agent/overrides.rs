//! What is otherwise in some of an agent's clusters.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{EnvVar, ScalingTargets};
use crate::schema;

/// What is otherwise in the clusters that a selector matches.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(
        "has(self.image) || has(self.env) || has(self.resources) || has(self.nodeSelector) \
         || has(self.runtimeClassName) || has(self.serviceAccountName) || has(self.scaling)"
    )
    .message("overrides: an entry needs something besides clusterSelector, or it does nothing")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterOverride {
    /// Labels of the MemberClusters.
    #[schemars(schema_with = "schema::weight_selector")]
    pub cluster_selector: LabelSelector,
    /// Instead of `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = schema::IMAGE))]
    pub image: Option<String>,
    /// Added to `env`; a variable of the same name is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Added to `resources`; a request or limit of the same name is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<OverridingResources>,
    /// Added to `nodeSelector`; a label of the same key is replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Instead of `runtimeClassName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub runtime_class_name: Option<String>,
    /// Instead of `serviceAccountName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub service_account_name: Option<String>,
    /// Instead of the targets of `scaling`, which must have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingTargets>,
}

/// Requests and limits that are otherwise.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(schema::REQUESTS_WITHIN_LIMITS)
    .message("requests must not exceed limits")
    .field_path(".requests")
)]
pub struct OverridingResources {
    /// What is reserved. Fractions in quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::four_quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded. Fractions in quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::four_quantities")]
    pub limits: BTreeMap<String, Quantity>,
}
