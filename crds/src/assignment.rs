//! AgentAssignment: the hub's order to one cluster, kept in that cluster and written only by its member.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::activation::{Activation, ActivatorWord, Sleep, WakeUp};
use crate::agent::{AgentRuntime, Bounds, Phase, ScalingTargets};
use crate::schema;

/// What the hub ordered. Complete: the member needs nothing else to run the agent.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "parallax.io",
    version = "v1alpha1",
    kind = "AgentAssignment",
    namespaced,
    shortname = "aa",
    status = "AgentAssignmentStatus",
    derive = "PartialEq",
    doc = "A hub's order to run an agent in this cluster. Its member writes it; edit the ParallaxAgent on the hub instead.",
    validation = Rule::new("self.metadata.name == self.spec.agent.name")
        .message("metadata.name: an assignment has its agent's name"),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.template.type"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "DESIRED", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(name = "READY", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentAssignmentSpec {
    /// Whose order it is.
    pub agent: AssignedAgent,
    /// The UID of the hub that ordered it.
    #[schemars(length(max = 63))]
    pub hub: String,
    /// The hash of `template`: the first 16 bytes of SHA-256 over its canonical JSON, in hexadecimal. It alone decides
    /// whether anything changed.
    #[schemars(length(min = 32, max = 32), regex(pattern = "^[0-9a-f]+$"))]
    pub hash: String,
    /// How many replicas this cluster runs; with `bounds`, where the count starts.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Between how many replicas the load chooses; absent: `replicas` it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
    /// The wake-up that was asked for last; absent: none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<WakeUp>,
    /// The agent's resolved spec; written as a whole.
    // Merged field by field, a part that loses its last field would become null, and the schema refuses that.
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub template: AgentTemplate,
}

/// The agent that an assignment is for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct AssignedAgent {
    /// Its namespace, on the hub and here.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub namespace: String,
    /// Its name, on the hub and here.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::DNS_LABEL))]
    pub name: String,
    /// Which agent of that name.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::LABEL_VALUE))]
    pub incarnation: String,
}

/// An agent's resolved spec: what of it a cluster needs, with the image and the defaults pinned. Its hash
/// decides whether anything changed for the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentTemplate {
    /// The agent's spec, as far as it is a cluster's business.
    #[serde(flatten)]
    pub runtime: AgentRuntime,
    /// The image, always set.
    #[schemars(length(min = 1, max = 512), regex(pattern = schema::IMAGE))]
    pub image: String,
    /// What the load is measured by, where there are bounds; absent: nothing.
    #[serde(default, skip_serializing_if = "ScalingTargets::is_empty")]
    pub scaling: ScalingTargets,
    /// When the agent goes to zero here; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Sleep>,
}

/// The local truth.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AgentAssignmentStatus {
    /// The phase of the agent in this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Replicas that are wanted: the order's, or what load has chosen.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub desired_replicas: i32,
    /// Pods that exist.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Pods that are ready and run the observed hash.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub ready_replicas: i32,
    /// The hash of what runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub observed_hash: Option<String>,
    /// The generation of this object that the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When an agent that may go to zero was last known to be called or at work: written along with what else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_activity_time: Option<Time>,
    /// Whether the activators may send requests on; absent: no activator is in the way to this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// What the activators say of the agent, by their addresses. They write it, each its own entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "x-kubernetes-validations" = [{
            "rule": "self.all(k, size(k) <= 45 && k.matches('^[0-9a-f.:]+$'))",
            "message": "keys are IP addresses",
        }],
    ))]
    pub activators: BTreeMap<String, ActivatorWord>,
    /// `Ready`, `Synced`, and `CredentialsReady` of an agent that names an API key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
