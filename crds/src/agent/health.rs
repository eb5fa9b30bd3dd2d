//! How a cluster finds out whether an agent's pod is well.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// HTTP checks of each pod. A pod has `initialDelaySeconds` + `periodSeconds` × `failureThreshold` to answer for the
/// first time, and is ready as soon as it has; after that, a pod that misses `failureThreshold` checks in a row gets
/// no more requests and its container is restarted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// What is asked for; any answer from 200 to 399 is good. `/health` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = schema::URL_PATH))]
    pub path: Option<String>,
    /// The port that is asked; 8080 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
    /// How long a container is left alone after its start; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600))]
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between two checks; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_600))]
    pub period_seconds: Option<i32>,
    /// How many checks in a row must be missed; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: Option<i32>,
    /// How long an answer may take; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: Option<i32>,
}
