//! To zero and back: what the hub orders of it, and what a member and its activators say to each other through an
//! assignment's status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// When an agent goes to zero, and what becomes of requests that find nobody.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sleep {
    /// Seconds without work before it does.
    #[schemars(range(min = 0))]
    pub delay_seconds: i32,
    /// Seconds that a request is held at most.
    #[schemars(range(min = 0))]
    pub hold_seconds: i32,
    /// Requests that are held at most, by each activator.
    #[schemars(range(min = 0))]
    pub max_pending: i32,
}

/// What the member lets the activators do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// How far the agent is on its way to zero.
    pub stage: Stage,
    /// Rises whenever the gate for requests opens or closes.
    #[schemars(range(min = 1))]
    pub serial: i64,
    /// Since when it is at this stage.
    #[schemars(schema_with = "schema::time")]
    pub since: Time,
    /// The last serial behind which all pods were told to go; 0: none.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub slept: i64,
}

/// How far an agent is on its way to zero: requests go on to its pods; they are held, and the pods are still there; the
/// pods go or are gone.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Requests go on to its pods.
    Up,
    /// Requests are held, and the pods are still there.
    Closing,
    /// Requests are held, and the pods go or are gone.
    Zero,
}

/// What one activator says of an agent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ActivatorWord {
    /// Where it listens for the agent.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// It has requests for the agent, or had one within the time that it may be quiet, or the pods say that they work.
    pub wanted: bool,
    /// When it had one last, as of when it stopped wanting; its own start when it had none.
    #[schemars(schema_with = "schema::time")]
    pub since: Time,
    /// The serial at which it lets no request go on, and none is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub closed: Option<i64>,
}
