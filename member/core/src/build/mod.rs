//! The objects that should exist for an assignment.

mod autoscaler;
mod container;
mod deployment;
mod handed_over;
mod kind;
mod labels;
mod pod;
mod probes;
mod service;
mod slices;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parallax_crds::ClusterName;
use serde_json::Value;

use crate::credentials::Binding;
use crate::validate::Valid;

pub use handed_over::{handed_over, handed_over_name};
pub use kind::ChildKind;
pub use labels::labels;
pub use slices::{SERVICE_NAME, SLICES_BY, SLICES_BY_MEMBER, slices};

/// On a Deployment: the hash of the template that it was built from. It is not in the pod template, where
/// it would roll pods that don't change.
pub const SPEC_HASH: &str = "parallax.io/spec-hash";

/// On a pod template: a stamp of the API key's value, so that another value is another template.
pub const CREDENTIALS_STAMP: &str = "parallax.io/credentials-stamp";

/// The port that an agent listens on, and its name.
pub const PORT: (i32, &str) = (8080, "http");

/// Everything that should exist for one assignment, as bodies of server-side applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// An apps/v1 Deployment.
    pub deployment: Value,
    /// A v1 Service.
    pub service: Value,
    /// An autoscaling/v2 HorizontalPodAutoscaler, while load chooses the number of replicas.
    pub autoscaler: Option<Value>,
}

impl Desired {
    /// The object of each kind, in the order in which they are made; none where there should be none.
    #[must_use]
    pub fn children(self) -> [(ChildKind, Option<Value>); ChildKind::ALL.len()] {
        let Self { deployment, service, autoscaler } = self;
        [
            (ChildKind::Deployment, Some(deployment)),
            (ChildKind::Service, Some(service)),
            (ChildKind::Autoscaler, autoscaler),
        ]
    }
}

/// What should exist for a valid assignment in the cluster of that name, whose pods get their API key so.
///
/// # Errors
/// When an object has no JSON form; no value of the types can bring that about.
pub fn build(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<Desired, serde_json::Error> {
    Ok(Desired {
        deployment: serde_json::to_value(deployment::deployment(assignment, cluster, key)?)?,
        service: serde_json::to_value(service::service(assignment))?,
        autoscaler: autoscaler::autoscaler(assignment).map(serde_json::to_value).transpose()?,
    })
}

/// The assignment as the one controller of an object: deleting it in the foreground awaits the object.
fn owner(assignment: &Valid<'_>) -> OwnerReference {
    OwnerReference {
        api_version: "parallax.io/v1alpha1".into(),
        kind: "AgentAssignment".into(),
        name: assignment.agent.key.name().into(),
        uid: assignment.owner_uid.into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A list that is there only when it has something in it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

#[cfg(test)]
mod tests;
