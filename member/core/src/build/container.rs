//! The containers of an agent's pods.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, ResourceRequirements, SecretKeySelector,
    SecurityContext, VolumeMount,
};
use parallax_crds::ClusterName;
use parallax_crds::agent::AgentRuntime;
use parallax_crds::assignment::AgentTemplate;

use super::{METRICS, PORT, map, probes, some, workspace};
use crate::credentials::Binding;
use crate::validate::Valid;

/// The container that is the agent.
pub(super) fn agent(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<Container, serde_json::Error> {
    let AgentTemplate { runtime, image, scaling: _, sleep: _ } = assignment.template;
    let container = Container {
        name: "agent".into(),
        image: Some(image.clone()),
        image_pull_policy: runtime.image_pull_policy.map(|p| <&'static str>::from(p).to_owned()),
        command: some(runtime.command.clone()),
        args: some(runtime.args.clone()),
        env: Some(env(assignment, cluster, key)?),
        ports: Some(ports(runtime)),
        resources: resources(runtime),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(runtime)),
        ..Container::default()
    };
    Ok(probes::probed(container, runtime.health_check.as_ref()))
}

fn ports(runtime: &AgentRuntime) -> Vec<ContainerPort> {
    let (port, name) = PORT;
    let of = |name: &str, port| ContainerPort {
        name: Some(name.into()),
        container_port: port,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    [Some(of(name, port)), runtime.metrics_port().map(|port| of(METRICS, port))]
        .into_iter()
        .flatten()
        .collect()
}

fn mounts(runtime: &AgentRuntime) -> Vec<VolumeMount> {
    let tmp = VolumeMount { name: "tmp".into(), mount_path: "/tmp".into(), ..VolumeMount::default() };
    [Some(tmp), runtime.workspace.as_ref().map(workspace::mount)].into_iter().flatten().collect()
}

/// Parallax's own variables and the API key first, so that the user's may refer to them as `$(AGENT_NAME)`.
fn env(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<Vec<EnvVar>, serde_json::Error> {
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
    env.extend(key.into_iter().flat_map(|key| credentials(runtime, key)));
    env.extend(runtime.env.iter().map(|e| EnvVar {
        name: e.name.clone(),
        value: e.value.clone(),
        value_from: e.value_from.clone(),
    }));
    Ok(env)
}

/// The variables that the API key arrives as. One that the user has set otherwise is the user's.
fn credentials(runtime: &AgentRuntime, key: &Binding) -> impl Iterator<Item = EnvVar> {
    let variables = runtime.credentials.iter().flat_map(|c| c.variables(&runtime.agent_type));
    let free = variables.filter(|name| runtime.env.iter().all(|own| own.name != *name));
    free.map(|name| EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: key.secret.clone(),
                key: key.key.clone(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    })
}

fn resources(runtime: &AgentRuntime) -> Option<ResourceRequirements> {
    let resources = runtime.resources.as_ref()?;
    Some(ResourceRequirements {
        requests: map(&resources.requests),
        limits: map(&resources.limits),
        ..ResourceRequirements::default()
    })
}
