//! The Deployment of an agent. Its pods satisfy the Pod Security Standard "restricted".

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
    PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile, SecurityContext,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use parallax_crds::ClusterName;
use parallax_crds::agent::AgentRuntime;
use parallax_crds::assignment::AgentTemplate;

use super::{PORT, SPEC_HASH, labels, owner};
use crate::validate::Valid;

/// Agents finish long tasks.
const GRACE_SECONDS: i64 = 120;

/// The Deployment of a valid assignment.
pub(super) fn deployment(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
) -> Result<Deployment, serde_json::Error> {
    let labels = labels::labels(&assignment.agent, &assignment.template.runtime.agent_type);
    Ok(Deployment {
        metadata: ObjectMeta {
            name: Some(assignment.agent.key.name().into()),
            namespace: Some(assignment.agent.key.namespace().into()),
            labels: Some(labels.clone()),
            annotations: Some(BTreeMap::from([(SPEC_HASH.into(), assignment.hash.to_string())])),
            owner_references: Some(vec![owner(assignment)]),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(assignment.replicas),
            selector: LabelSelector {
                match_labels: Some(labels::selector(&assignment.agent)),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(pod(assignment, cluster)?),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    })
}

fn pod(assignment: &Valid<'_>, cluster: &ClusterName) -> Result<PodSpec, serde_json::Error> {
    let runtime = &assignment.template.runtime;
    let secrets = runtime.image_pull_secrets.iter().map(|s| LocalObjectReference { name: s.name.clone() });
    Ok(PodSpec {
        containers: vec![container(assignment, cluster)?],
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

fn container(assignment: &Valid<'_>, cluster: &ClusterName) -> Result<Container, serde_json::Error> {
    let AgentTemplate { runtime, image } = assignment.template;
    let (port, name) = PORT;
    Ok(Container {
        name: "agent".into(),
        image: Some(image.clone()),
        image_pull_policy: runtime.image_pull_policy.map(|p| <&'static str>::from(p).to_owned()),
        command: some(runtime.command.clone()),
        args: some(runtime.args.clone()),
        env: Some(env(assignment, cluster)?),
        ports: Some(vec![ContainerPort {
            name: Some(name.into()),
            container_port: port,
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        }]),
        resources: resources(runtime),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: "tmp".into(),
            mount_path: "/tmp".into(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    })
}

/// Parallax's own variables first, so that the user's may refer to them as `$(AGENT_NAME)`.
fn env(assignment: &Valid<'_>, cluster: &ClusterName) -> Result<Vec<EnvVar>, serde_json::Error> {
    let runtime = &assignment.template.runtime;
    let own = |name: &str, value: String| EnvVar { name: name.into(), value: Some(value), value_from: None };
    let mut env = vec![
        own("AGENT_NAME", assignment.agent.key.name().into()),
        own("AGENT_TYPE", runtime.agent_type.clone()),
        own("AGENT_ROLE", runtime.role.clone().unwrap_or_default()),
        own("AGENT_CAPABILITIES", serde_json::to_string(&runtime.capabilities)?),
        own("PARALLAX_CLUSTER", cluster.as_str().into()),
        own("PARALLAX_AGENT_UID", assignment.agent.incarnation.as_str().into()),
    ];
    env.extend(runtime.env.iter().map(|e| EnvVar {
        name: e.name.clone(),
        value: e.value.clone(),
        value_from: e.value_from.clone(),
    }));
    Ok(env)
}

fn resources(runtime: &AgentRuntime) -> Option<ResourceRequirements> {
    let resources = runtime.resources.as_ref()?;
    let of = |m: &BTreeMap<_, _>| Some(m.clone()).filter(|m| !m.is_empty());
    Some(ResourceRequirements {
        requests: of(&resources.requests),
        limits: of(&resources.limits),
        ..ResourceRequirements::default()
    })
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}
