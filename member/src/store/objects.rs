//! What is kept of each object: enough to decide by, as small as can be.

use kube::api::{DynamicObject, ObjectMeta};
use parallax_crds::labels::{AGENT, INCARNATION, MANAGED_BY, MANAGED_BY_PARALLAX, TRACEPARENT};
use parallax_crds::link::Held;
use parallax_crds::{AgentAssignment, AgentKey, AgentRef, Incarnation, SpecHash};
use parallax_member_core::live::{DeploymentFacts, PodFacts, PodStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
            key: key_of(&object.metadata),
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

    /// What the hub is told of it; none when its hash is none.
    pub fn held(&self) -> Option<Held> {
        Some(Held {
            agent: self.agent.clone(),
            hash: self.hash?,
            replicas: self.object.spec.replicas,
            removing: self.deleting(),
        })
    }

    /// Whether the two differ in anything but their status.
    pub fn ordered_differently(&self, other: &Self) -> bool {
        self.generation() != other.generation()
            || self.uid != other.uid
            || self.deleting() != other.deleting()
            || self.object.metadata.labels != other.object.metadata.labels
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

/// A Deployment or a Service.
#[derive(Debug)]
pub struct Child {
    uid: Box<str>,
    version: u64,
    /// Its deletion has begun.
    pub terminating: bool,
    /// The object as JSON, without what API servers write into it all the time.
    pub body: Box<[u8]>,
    /// What its status says; of Services nothing.
    pub facts: DeploymentFacts,
    owner: Option<Box<str>>,
    ours_by_label: bool,
}

impl Child {
    /// What is kept of the object.
    pub fn new(mut object: DynamicObject) -> Self {
        let (uid, version) = identity(&object.metadata);
        let meta = &mut object.metadata;
        let terminating = meta.deletion_timestamp.is_some();
        let label = |key: &str| meta.labels.as_ref().and_then(|l| l.get(key)).map(String::as_str);
        let ours_by_label =
            label(MANAGED_BY) == Some(MANAGED_BY_PARALLAX) && label(AGENT) == meta.name.as_deref();
        let owner = meta.owner_references.iter().flatten().find(|o| o.controller == Some(true));
        let owner = owner.map(|o| o.uid.as_str().into());
        meta.managed_fields = None;
        let generation = meta.generation.take();
        meta.resource_version = None;
        // Items of a list come without.
        object.types = None;
        let status = object.data.as_object_mut().and_then(|data| data.remove("status")).unwrap_or_default();
        let mut body = serde_json::to_value(&object).unwrap_or_default();
        let kept = serde_json::to_vec(&body).unwrap_or_default().into();
        body["status"] = status;
        body["metadata"]["generation"] = generation.into();
        let facts = DeploymentFacts::of(&body);
        Self { uid, version, terminating, body: kept, facts, owner, ours_by_label }
    }

    /// Whether it was made for the agent of its name, or for the assignment of that UID.
    pub fn is_ours(&self, assignment_uid: &str) -> bool {
        self.ours_by_label || self.owner.as_deref() == Some(assignment_uid)
    }

    /// The object as JSON, without status, generation and resourceVersion.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Versioned for Child {
    fn uid(&self) -> &str {
        &self.uid
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// A pod as it is watched: nothing else of it is even parsed.
pub type SlimPod = kube::core::Object<Nothing, PodStatus>;
/// A node as it is watched.
pub type SlimNode = kube::core::Object<Nothing, NodeStatus>;

/// A spec that is not read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Nothing {}

/// The status of a node, as far as it is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    conditions: Vec<parallax_member_core::live::PodCondition>,
}

/// Whether a node is ready.
pub fn node_ready(node: &SlimNode) -> bool {
    let conditions = node.status.iter().flat_map(|s| &s.conditions);
    conditions.filter(|c| c.type_ == "Ready").any(|c| c.status == "True")
}

/// A live pod of an agent.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Of which incarnation it is.
    pub incarnation: Incarnation,
    /// It is not ending.
    pub staying: bool,
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
        Some((key, Self { incarnation, staying: meta.deletion_timestamp.is_none(), facts }))
    }
}

/// The agent that an object of this name belongs to.
pub fn key_of(meta: &ObjectMeta) -> AgentKey {
    AgentKey::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn identity(meta: &ObjectMeta) -> (Box<str>, u64) {
    let version = meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or_default();
    (meta.uid.as_deref().unwrap_or_default().into(), version)
}
