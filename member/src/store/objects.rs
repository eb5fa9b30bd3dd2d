//! What is kept of each object: enough to decide by, as small as can be.

use std::net::IpAddr;

use kube::api::ObjectMeta;
use parallax_crds::activation::{Activation, Stage};
use parallax_crds::labels::{AGENT, INCARNATION, TRACEPARENT};
use parallax_crds::link::{Held, Scale};
use parallax_crds::{AgentAssignment, AgentKey, AgentRef, Incarnation, SpecHash};
use parallax_member_core::cluster::{NodeSpec, NodeStatus, PodRequests};
use parallax_member_core::live::{PodFacts, PodStatus};
use serde::{Deserialize, Serialize};

use super::kept::Versioned;

/// An AgentAssignment.
#[derive(Debug)]
pub struct Assignment {
    uid: Box<str>,
    version: u64,
    /// The object, without managed fields.
    pub object: AgentAssignment,
    /// Which agent it is for.
    pub agent: AgentRef,
    /// `spec.hash`, when it is one.
    pub hash: Option<SpecHash>,
}

impl Assignment {
    /// What is kept of the object.
    pub fn new(mut object: AgentAssignment) -> Self {
        object.metadata.managed_fields = None;
        let (uid, version) = identity(&object.metadata);
        let agent = AgentRef {
            key: AgentKey::of(&object.metadata),
            incarnation: Incarnation::new(&object.spec.agent.incarnation),
        };
        Self { uid, version, agent, hash: object.spec.hash.parse().ok(), object }
    }

    /// Its deletion has begun.
    pub fn deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// `metadata.generation`.
    pub fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    /// The W3C traceparent of the change that the order came with.
    pub fn traceparent(&self) -> Option<&str> {
        self.object.metadata.annotations.as_ref()?.get(TRACEPARENT).map(String::as_str)
    }

    /// How many replicas it orders.
    pub fn scale(&self) -> Scale {
        let spec = &self.object.spec;
        Scale { replicas: spec.replicas, bounds: spec.bounds, wake: spec.wake }
    }

    /// What the hub is told of it; none when its hash is none.
    pub fn held(&self) -> Option<Held> {
        Some(Held {
            agent: self.agent.clone(),
            hash: self.hash?,
            scale: self.scale(),
            removing: self.deleting(),
        })
    }

    /// Whether the two differ in what is ordered, or in what the activators say.
    pub fn ordered_differently(&self, other: &Self) -> bool {
        let of =
            |one: &Self| one.object.status.as_ref().map(|s| (s.activation.clone(), s.activators.clone()));
        self.generation() != other.generation()
            || self.uid != other.uid
            || self.deleting() != other.deleting()
            || self.object.metadata.labels != other.object.metadata.labels
            || of(self).unwrap_or_default() != of(other).unwrap_or_default()
    }

    /// How far it is on its way to zero; none when no activator is in the way to it.
    pub fn activation(&self) -> Option<&Activation> {
        self.object.status.as_ref()?.activation.as_ref()
    }

    /// Its pods are gone, or to go, since it is idle.
    pub fn is_asleep(&self) -> bool {
        self.activation().is_some_and(|activation| activation.stage == Stage::Zero)
    }
}

impl Versioned for Assignment {
    fn uid(&self) -> &str {
        &self.uid
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// A pod as it is watched: nothing else of it is even parsed.
pub type SlimPod = kube::core::Object<Nothing, PodStatus>;
/// A node as it is watched. That of a machine that says nothing of itself may have no spec: such a node is read all the
/// same, or the list of all nodes could never be.
pub type SlimNode = kube::core::Object<Option<NodeSpec>, NodeStatus>;
/// A pod of anybody's as it is watched for what it keeps of its node.
pub type AnyPod = kube::core::Object<PodRequests, Ending>;

/// Whether a pod has ended: it keeps nothing then.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ending {
    phase: String,
}

impl Ending {
    /// It has.
    pub fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

/// A spec that is not read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Nothing {}

/// A live pod of an agent.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Of which incarnation it is.
    pub incarnation: Incarnation,
    /// It is not ending.
    pub staying: bool,
    /// Where it is, once it has an address.
    pub ip: Option<IpAddr>,
    /// What is told of it.
    pub facts: PodFacts,
}

impl Pod {
    /// The agent and what is kept of its pod; none for a pod that names no agent.
    pub fn of(pod: &SlimPod) -> Option<(AgentKey, Self)> {
        let meta = &pod.metadata;
        let labels = meta.labels.as_ref()?;
        let key = AgentKey::new(meta.namespace.as_deref()?, labels.get(AGENT)?);
        let facts = PodFacts {
            template: labels.get("pod-template-hash").cloned().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map_or(0, |t| t.0.as_second()),
            trouble: pod.status.as_ref().and_then(PodStatus::trouble),
        };
        let incarnation = Incarnation::new(labels.get(INCARNATION)?);
        let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()?.parse().ok());
        Some((key, Self { incarnation, staying: meta.deletion_timestamp.is_none(), ip, facts }))
    }
}

/// UID and resourceVersion.
pub(super) fn identity(meta: &ObjectMeta) -> (Box<str>, u64) {
    let version = meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default();
    (meta.uid.as_deref().unwrap_or_default().into(), version)
}
