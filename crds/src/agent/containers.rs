//! The containers beside the agent's own, and what they share with it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, ProjectedVolumeSource,
    SecretVolumeSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{EnvVar, PullPolicy};
use crate::schema;

/// The name of the agent's own container.
pub const AGENT_CONTAINER: &str = "agent";

/// A container that runs before the agent's own, or beside it. It has the agent's restrictions, and a `/tmp` of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("self.name != 'agent'")
        .message("name: agent is the agent's own container: choose another")
        .field_path(".name")
)]
#[serde(rename_all = "camelCase")]
pub struct Companion {
    /// Its name, once among `initContainers` and `sidecars`.
    #[schemars(length(min = 1, max = 56), regex(pattern = schema::DNS_LABEL))]
    pub name: String,
    /// Its image.
    #[schemars(length(min = 1, max = 512), regex(pattern = schema::IMAGE))]
    pub image: String,
    /// When the image is pulled; absent: Kubernetes decides by its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
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
        length(max = 32),
        inner(length(max = 4096), regex(pattern = schema::TEXT)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub args: Vec<String>,
    /// Its variables. It gets none of the agent's, and no API key that it doesn't name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Variables from all keys of ConfigMaps and Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub env_from: Vec<EnvFrom>,
    /// Its requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<CompanionResources>,
    /// Where it finds volumes of `volumes`, or the agent's `workspace`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub volume_mounts: Vec<VolumeMount>,
}

/// Requests and limits of CPU, memory and ephemeral storage.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(schema::REQUESTS_WITHIN_LIMITS)
    .message("requests must not exceed limits")
    .field_path(".requests")
)]
pub struct CompanionResources {
    /// What is reserved. Fractions in quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::few_quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded. Fractions in quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::few_quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

/// Variables from all keys of a ConfigMap or Secret of the agent's namespace in the member's cluster. Those of `env`,
/// of the credentials and of Parallax come before them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("(has(self.secretRef) ? 1 : 0) + (has(self.configMapRef) ? 1 : 0) == 1")
        .message("exactly one of secretRef and configMapRef is needed"),
    validation = Rule::new(
        "!has(self.prefix) || (!self.prefix.startsWith('AGENT_') && !self.prefix.startsWith('PARALLAX_'))"
    )
    .message("prefix: AGENT_ and PARALLAX_ begin the names of variables that Parallax sets itself: choose another")
    .field_path(".prefix")
)]
#[serde(rename_all = "camelCase")]
pub struct EnvFrom {
    /// What the variables' names have before the keys'; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::ENV_NAME))]
    pub prefix: Option<String>,
    /// A Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<OptionalReference>,
    /// A ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<OptionalReference>,
}

/// An object of the agent's namespace in the member's cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub name: String,
    /// The pod starts without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A volume of the agent's pods. Nothing of a node can be one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(
        "(has(self.configMap) ? 1 : 0) + (has(self.emptyDir) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) \
         + (has(self.projected) ? 1 : 0) + (has(self.secret) ? 1 : 0) <= 1"
    )
    .message("a volume is exactly one of configMap, emptyDir, persistentVolumeClaim, projected and secret"),
    validation = Rule::new("self.name != 'workspace' && self.name != 'tmp' && !self.name.startsWith('tmp-')")
        .message("name: workspace, tmp and tmp-… are Parallax's own volumes: choose another")
        .field_path(".name")
)]
// To a rule, a field that is null isn't there.
#[schemars(extend("anyOf" = [
    {"required": ["configMap"]}, {"required": ["emptyDir"]}, {"required": ["persistentVolumeClaim"]},
    {"required": ["projected"]}, {"required": ["secret"]},
]))]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub name: String,
    /// The keys of a ConfigMap, as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::config_map_volume")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// An empty directory that goes with the pod.
    #[serde(default, deserialize_with = "empty_dir", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::empty_dir")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim of the agent's namespace in the member's cluster, which its pods share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::claim_volume")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// Several sources in one directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::projected_volume")]
    pub projected: Option<ProjectedVolumeSource>,
    /// The keys of a Secret, as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::secret_volume")]
    pub secret: Option<SecretVolumeSource>,
}

/// Null says as much as `{}`; only a field that isn't there is none.
fn empty_dir<'de, D: Deserializer<'de>>(field: D) -> Result<Option<EmptyDirVolumeSource>, D::Error> {
    Ok(Some(Option::deserialize(field)?.unwrap_or_default()))
}

/// Where a container finds a volume.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new(
        "!['/tmp', '/proc', '/sys', '/dev'].exists(p, self.mountPath == p) \
         && !['/proc/', '/sys/', '/dev/'].exists(p, self.mountPath.startsWith(p))"
    )
    .message("mountPath: /tmp, /proc, /sys and /dev are not for volumes: choose another path")
    .field_path(".mountPath")
)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    /// The volume's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub name: String,
    /// The directory; each once in a container.
    #[schemars(length(min = 2, max = 256), regex(pattern = schema::PLAIN_PATH))]
    pub mount_path: String,
    /// The part of the volume; absent: the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = schema::RELATIVE_PATH))]
    pub sub_path: Option<String>,
    /// The container can't write there; absent: it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_dir_is_one_with_settings_without_any_and_as_null() {
        let read = |volume| serde_json::from_value::<Volume>(volume).unwrap();
        for bare in [json!({"name": "a", "emptyDir": {}}), json!({"name": "a", "emptyDir": null})] {
            assert_eq!(read(bare).empty_dir, Some(EmptyDirVolumeSource::default()));
        }
        let sized = read(json!({"name": "a", "emptyDir": {"sizeLimit": "1Gi"}})).empty_dir.unwrap();
        assert_eq!(sized.size_limit.unwrap().0, "1Gi");
        assert_eq!(read(json!({"name": "a"})).empty_dir, None);
        assert_eq!(
            serde_json::to_value(read(json!({"name": "a", "emptyDir": null}))).unwrap()["emptyDir"],
            json!({})
        );
    }
}
