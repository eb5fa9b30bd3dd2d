//! The containers of an agent's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, ResourceRequirements, SecretKeySelector,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::ClusterName;
use parallax_crds::agent::{self, AGENT_CONTAINER, AgentRuntime};
use parallax_crds::assignment::AgentTemplate;

use super::{METRICS, PORT, companions, map, probes, some, volumes};
use crate::credentials::Binding;
use crate::validate::Valid;

/// Amounts by resource.
type Amounts = BTreeMap<String, Quantity>;

/// The container that is the agent.
pub(super) fn agents_own(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<Container, serde_json::Error> {
    let AgentTemplate { runtime, image, scaling: _, sleep: _ } = assignment.template;
    let container = Container {
        name: AGENT_CONTAINER.into(),
        image: Some(image.clone()),
        image_pull_policy: runtime.image_pull_policy.map(|p| <&'static str>::from(p).to_owned()),
        command: some(runtime.command.clone()),
        args: some(runtime.args.clone()),
        env: Some(env(assignment, cluster, key)?),
        env_from: companions::env_from(&runtime.env_from),
        ports: Some(ports(runtime)),
        resources: runtime.resources.as_ref().map(|of| resources(&of.requests, &of.limits)),
        security_context: Some(security_context()),
        volume_mounts: Some(volumes::agents_mounts(runtime)),
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
    env.extend(runtime.env.iter().map(variable));
    Ok(env)
}

/// A variable as its user has written it.
pub(super) fn variable(of: &agent::EnvVar) -> EnvVar {
    let agent::EnvVar { name, value, value_from } = of;
    EnvVar { name: name.clone(), value: value.clone(), value_from: value_from.clone() }
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

/// Requests and limits of a container.
pub(super) fn resources(requests: &Amounts, limits: &Amounts) -> ResourceRequirements {
    ResourceRequirements { requests: map(requests), limits: map(limits), ..ResourceRequirements::default() }
}

/// What no container of an agent may do.
pub(super) fn security_context() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
        ..SecurityContext::default()
    }
}
