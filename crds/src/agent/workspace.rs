//! A volume for what an agent keeps.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Where a workspace is mounted unless it says so.
const MOUNT_PATH: &str = "/workspace";

/// A volume that outlives the agent's pods, one in each cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new("!has(self.mountPath) || !self.mountPath.matches('/[.][.]?(/|$)')")
        .message("mountPath: . and .. have no place in it")
        .field_path(".mountPath"),
    validation = Rule::new(
        "!has(self.mountPath) || !['/tmp', '/proc', '/sys', '/dev'].exists(p, self.mountPath == p) \
         && !['/proc/', '/sys/', '/dev/'].exists(p, self.mountPath.startsWith(p))"
    )
    .message("mountPath: /tmp, /proc, /sys and /dev are not for a workspace: choose another path")
    .field_path(".mountPath")
)]
#[serde(rename_all = "camelCase")]
pub struct Workspace {
    /// How much it holds at least. It may grow where the cluster's storage can; never shrink.
    #[schemars(schema_with = "schema::size")]
    pub size: Quantity,
    /// A StorageClass of the member's cluster; absent: the cluster's default. It can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub storage_class_name: Option<String>,
    /// Who can mount it at a time; absent: ReadWriteOnce. More than one replica needs ReadWriteMany.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
    /// Where the agent finds it; absent: /workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256), regex(pattern = schema::ABSOLUTE_PATH))]
    pub mount_path: Option<String>,
    /// True: it stays when the agent goes, and an agent of the same name finds it again. Absent: it goes with the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<bool>,
}

/// Who can mount a volume at a time: the pods of one node (absent, too), or all, which more than one replica needs. It
/// can't be changed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum AccessMode {
    /// The pods of one node.
    ReadWriteOnce,
    /// All pods.
    ReadWriteMany,
}

impl Workspace {
    /// Who can mount it at a time.
    #[must_use]
    pub fn access(&self) -> AccessMode {
        self.access_mode.unwrap_or(AccessMode::ReadWriteOnce)
    }

    /// Where the agent finds it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.mount_path.as_deref().unwrap_or(MOUNT_PATH)
    }

    /// Whether it stays when the agent goes.
    #[must_use]
    pub fn is_retained(&self) -> bool {
        self.retain == Some(true)
    }
}
