//! The pods of an agent. They satisfy the Pod Security Standard "restricted".

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, LocalObjectReference, PodSecurityContext, PodSpec, SeccompProfile, Volume,
};
use parallax_crds::ClusterName;

use super::{container, some};
use crate::credentials::Binding;
use crate::validate::Valid;

/// Agents finish long tasks.
const GRACE_SECONDS: i64 = 120;

/// The spec of a valid assignment's pods.
pub(super) fn pod(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<PodSpec, serde_json::Error> {
    let runtime = &assignment.template.runtime;
    let secrets = runtime.image_pull_secrets.iter().map(|s| LocalObjectReference { name: s.name.clone() });
    Ok(PodSpec {
        containers: vec![container::agent(assignment, cluster, key)?],
        image_pull_secrets: some(secrets.collect()),
        node_selector: Some(runtime.node_selector.clone()).filter(|s| !s.is_empty()),
        automount_service_account_token: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        volumes: Some(vec![Volume {
            name: "tmp".into(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    })
}
