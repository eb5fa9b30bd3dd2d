//! The containers before and beside the agent's own.

use k8s_openapi::api::core::v1::{ConfigMapEnvSource, Container, EnvFromSource, SecretEnvSource};
use parallax_crds::agent::{AgentRuntime, Companion, EnvFrom};

use super::{container, some, volumes};

/// Those that run to their end, then those that stay. The latter are init containers that restart, too: so they are there
/// before the agent begins, and still there while it finishes what it has begun
/// (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>).
pub(super) fn companions(runtime: &AgentRuntime) -> Vec<Container> {
    let first = runtime.init_containers.iter().map(companion);
    let beside = runtime
        .sidecars
        .iter()
        .map(|sidecar| Container { restart_policy: Some("Always".into()), ..companion(sidecar) });
    first.chain(beside).collect()
}

fn companion(of: &Companion) -> Container {
    let Companion {
        name,
        image,
        image_pull_policy,
        command,
        args,
        env,
        env_from: from,
        resources,
        volume_mounts: _,
    } = of;
    Container {
        name: name.clone(),
        image: Some(image.clone()),
        image_pull_policy: image_pull_policy.map(|policy| <&'static str>::from(policy).to_owned()),
        command: some(command.clone()),
        args: some(args.clone()),
        env: some(env.iter().map(container::variable).collect()),
        env_from: env_from(from),
        resources: resources.as_ref().map(|of| container::resources(&of.requests, &of.limits)),
        security_context: Some(container::security_context()),
        volume_mounts: Some(volumes::companions_mounts(of)),
        ..Container::default()
    }
}

/// Variables from whole objects.
pub(super) fn env_from(from: &[EnvFrom]) -> Option<Vec<EnvFromSource>> {
    let source = |EnvFrom { prefix, secret_ref, config_map_ref }: &EnvFrom| EnvFromSource {
        prefix: prefix.clone(),
        secret_ref: secret_ref
            .as_ref()
            .map(|of| SecretEnvSource { name: of.name.clone(), optional: of.optional }),
        config_map_ref: config_map_ref
            .as_ref()
            .map(|of| ConfigMapEnvSource { name: of.name.clone(), optional: of.optional }),
    };
    some(from.iter().map(source).collect())
}
