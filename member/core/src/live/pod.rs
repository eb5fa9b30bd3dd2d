//! What is read off a live pod.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use super::trouble::Trouble;

/// The status of a pod, as far as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// A word of the kubelet for the whole pod ("Evicted").
    pub reason: Option<String>,
    /// What goes with it.
    pub message: Option<String>,
    /// Its address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// Of these only `PodScheduled` is read.
    pub conditions: Vec<PodCondition>,
    /// The state of each container that runs before the others.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// The state of each other container.
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// "True", "False" or "Unknown".
    pub status: String,
    /// A word for it.
    pub reason: Option<String>,
    /// A sentence for it.
    pub message: Option<String>,
}

/// The state of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// What it does now: exactly one of "waiting", "running", "terminated".
    pub state: BTreeMap<String, ContainerState>,
    /// How it last ended.
    pub last_state: BTreeMap<String, ContainerState>,
    /// It takes requests.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: i32,
}

/// Why a container waits, or how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// A word for it.
    pub reason: Option<String>,
    /// What goes with it.
    pub message: Option<String>,
    /// Of an ended container.
    pub exit_code: Option<i32>,
    /// When it began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
}

/// What is known of a live pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// The label `pod-template-hash`: which template of the Deployment it is of.
    pub template: String,
    /// Creation, in seconds since 1970.
    pub created: i64,
    /// What keeps it from running; none when nothing is wrong.
    pub trouble: Option<Trouble>,
}
