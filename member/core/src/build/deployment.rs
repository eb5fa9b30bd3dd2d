//! The Deployment of an agent.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use parallax_crds::ClusterName;

use super::metadata::metadata;
use super::{ChildKind, SPEC_HASH, labels, pod};
use crate::credentials::Binding;
use crate::validate::Valid;

/// The Deployment of a valid assignment.
pub(super) fn deployment(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<Deployment, serde_json::Error> {
    Ok(Deployment {
        metadata: ObjectMeta {
            annotations: Some(BTreeMap::from([(SPEC_HASH.into(), assignment.hash.to_string())])),
            ..metadata(ChildKind::Deployment, assignment)
        },
        spec: Some(DeploymentSpec {
            replicas: assignment.own_replicas(),
            selector: LabelSelector {
                match_labels: Some(labels::selector(&assignment.agent)),
                ..LabelSelector::default()
            },
            template: pod::template(assignment, cluster, key)?,
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}
