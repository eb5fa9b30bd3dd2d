//! What the metadata of an agent's objects have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{ChildKind, labels};
use crate::validate::Valid;

/// Name, labels and owner of an agent's object of this kind.
pub(super) fn metadata(kind: ChildKind, assignment: &Valid<'_>) -> ObjectMeta {
    let key = &assignment.agent.key;
    ObjectMeta {
        name: Some(kind.object_name(key.name())),
        namespace: Some(key.namespace().into()),
        labels: Some(labels::labels(&assignment.agent, &assignment.template.runtime.agent_type)),
        owner_references: Some(vec![owner(assignment)]),
        ..ObjectMeta::default()
    }
}

/// The assignment as the one controller of an object: deleting it in the foreground awaits the object.
pub(super) fn owner(assignment: &Valid<'_>) -> OwnerReference {
    OwnerReference {
        api_version: "parallax.io/v1alpha1".into(),
        kind: "AgentAssignment".into(),
        name: assignment.agent.key.name().into(),
        uid: assignment.owner_uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
