//! The Secret in which pods find an API key that the hub has handed over.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parallax_crds::link::ApiKey;

use super::labels;
use super::metadata::owner;
use crate::validate::Valid;

/// The name of an agent's.
#[must_use]
pub fn handed_over_name(agent: &str) -> String {
    format!("{agent}-credentials")
}

/// Of an agent, with that key alone.
#[must_use]
pub fn handed_over(assignment: &Valid<'_>, key: &str, value: &ApiKey) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(handed_over_name(assignment.agent.key.name())),
            namespace: Some(assignment.agent.key.namespace().into()),
            labels: Some(labels::labels(&assignment.agent, &assignment.template.runtime.agent_type)),
            owner_references: Some(vec![owner(assignment)]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some([(key.to_owned(), ByteString(value.value().to_vec()))].into()),
        ..Secret::default()
    }
}
