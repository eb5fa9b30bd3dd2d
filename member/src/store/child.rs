//! An object that an agent consists of.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject, ObjectMeta};
use parallax_crds::labels::{AGENT, MANAGED_BY, MANAGED_BY_PARALLAX};
use parallax_crds::{AgentKey, Incarnation};
use parallax_member_core::ChildKind;
use parallax_member_core::live::DeploymentFacts;
use parallax_member_core::replicas::Owners;
use serde_json::Value;

use super::kept::Versioned;
use super::objects::identity;
use crate::definition::{Foreign, POD_MONITORS, SERVICE_EXPORTS};

/// How the API server is asked for objects of a kind.
pub fn resource(kind: ChildKind) -> ApiResource {
    match kind {
        ChildKind::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
        ChildKind::Deployment => ApiResource::erase::<Deployment>(&()),
        ChildKind::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
        ChildKind::Service => ApiResource::erase::<Service>(&()),
        ChildKind::Autoscaler => ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        ChildKind::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
        ChildKind::PodMonitor => POD_MONITORS.resource(),
        ChildKind::ServiceExport => SERVICE_EXPORTS.resource(),
    }
}

/// What others define of the kind; none when it is Kubernetes' own.
pub(super) fn foreign(kind: ChildKind) -> Option<Foreign> {
    match kind {
        ChildKind::PodMonitor => Some(POD_MONITORS),
        ChildKind::ServiceExport => Some(SERVICE_EXPORTS),
        ChildKind::PersistentVolumeClaim
        | ChildKind::Deployment
        | ChildKind::NetworkPolicy
        | ChildKind::Service
        | ChildKind::Autoscaler
        | ChildKind::PodDisruptionBudget => None,
    }
}

/// The agent whose object of a kind this is, by its name; none when no agent's has such a name.
pub fn owner_of(kind: ChildKind, meta: &ObjectMeta) -> Option<AgentKey> {
    let agent = kind.agent_of(meta.name.as_deref()?)?;
    Some(AgentKey::new(meta.namespace.as_deref().unwrap_or_default(), agent))
}

/// An object of one of the kinds.
#[derive(Debug)]
pub struct Child {
    uid: Box<str>,
    version: u64,
    /// Its deletion has begun.
    pub terminating: bool,
    /// The object as JSON, without what API servers write into it all the time.
    pub body: Box<[u8]>,
    /// What a Deployment's status says.
    pub deployment: Option<Box<DeploymentFacts>>,
    owner: Option<Box<str>>,
    ours_by_label: bool,
}

impl Child {
    /// What is kept of the object.
    pub fn new(kind: ChildKind, mut object: DynamicObject) -> Self {
        let (uid, version) = identity(&object.metadata);
        let meta = &mut object.metadata;
        let terminating = meta.deletion_timestamp.is_some();
        let label = |key: &str| meta.labels.as_ref().and_then(|l| l.get(key)).map(String::as_str);
        let agent = meta.name.as_deref().and_then(|name| kind.agent_of(name));
        let ours_by_label =
            agent.is_some() && label(MANAGED_BY) == Some(MANAGED_BY_PARALLAX) && label(AGENT) == agent;
        let owner = meta.owner_references.iter().flatten().find(|o| o.controller == Some(true));
        let owner = owner.map(|o| o.uid.as_str().into());
        let owners = Owners::of(&meta.managed_fields.take().unwrap_or_default());
        let generation = meta.generation.take();
        meta.resource_version = None;
        // Items of a list come without.
        object.types = None;
        let status = object.data.as_object_mut().and_then(|data| data.remove("status")).unwrap_or_default();
        let mut body = serde_json::to_value(&object).unwrap_or_default();
        let kept = serde_json::to_vec(&body).unwrap_or_default().into();
        let deployment = (kind == ChildKind::Deployment).then(|| {
            body["status"] = status;
            body["metadata"]["generation"] = generation.into();
            let mut facts = DeploymentFacts::of(&body);
            facts.count.owners = owners;
            Box::new(facts)
        });
        Self { uid, version, terminating, body: kept, deployment, owner, ours_by_label }
    }

    /// Whose pods it selects; none unless it is a Deployment of ours.
    pub fn incarnation(&self) -> Option<&Incarnation> {
        self.deployment.as_ref()?.incarnation.as_ref()
    }

    /// Whether it was made for the agent of its name, or for the assignment of that UID.
    pub fn is_ours(&self, assignment_uid: &str) -> bool {
        self.ours_by_label || self.is_owned_by(assignment_uid)
    }

    /// Whether the assignment of that UID owns it.
    pub fn is_owned_by(&self, assignment_uid: &str) -> bool {
        self.owner.as_deref() == Some(assignment_uid)
    }

    /// Whether it is a Service that selects pods.
    pub fn selects_pods(&self) -> bool {
        self.json()["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn child(name: &str, labels: &Value) -> Child {
        let object = json!({
            "metadata": {"namespace": "team", "name": name, "uid": "u", "resourceVersion": "1", "labels": labels},
        });
        Child::new(ChildKind::Service, serde_json::from_value(object).unwrap())
    }

    #[test]
    fn an_object_is_ours_by_both_labels_and_the_agents_name() {
        let ours = json!({MANAGED_BY: MANAGED_BY_PARALLAX, AGENT: "writer"});
        assert!(child("writer", &ours).is_ours("a"));
        assert!(!child("reader", &ours).is_ours("a"), "a copy under another name");
        assert!(!child("writer", &json!({AGENT: "writer"})).is_ours("a"));
        assert!(!child("writer", &json!({MANAGED_BY: MANAGED_BY_PARALLAX})).is_ours("a"));
    }
}
