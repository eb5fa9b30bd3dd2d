//! What of an agent's containers and volumes is refused.

use parallax_crds::agent::{AGENT_CONTAINER, AgentRuntime, Volume};

use super::Rejection;
use super::runtime::variable;

/// The variables of all containers, and the names of those beside the agent's own.
pub(super) fn containers(runtime: &AgentRuntime) -> Result<(), Rejection> {
    let own = (&runtime.env, &runtime.env_from);
    let companions = || runtime.init_containers.iter().chain(&runtime.sidecars);
    for (env, from) in std::iter::once(own).chain(companions().map(|c| (&c.env, &c.env_from))) {
        for env in env {
            variable(&env.name)?;
        }
        for from in from {
            if from.secret_ref.is_some() == from.config_map_ref.is_some() {
                return Err(Rejection::new(
                    "InvalidEnv",
                    "envFrom: exactly one of secretRef and configMapRef is needed; remove the other, or add one",
                ));
            }
            if let Some(prefix) = &from.prefix {
                variable(prefix)?;
            }
        }
    }
    let mut names: Vec<&str> = companions().map(|companion| companion.name.as_str()).collect();
    names.push(AGENT_CONTAINER);
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Rejection::new(
            "InvalidContainer",
            format!("initContainers, sidecars: {} is the name of two containers; rename one", twice[0]),
        ));
    }
    Ok(())
}

/// Types leave no other volumes than these; a token is only that of an account which the agent names.
pub(super) fn volumes(runtime: &AgentRuntime) -> Result<(), Rejection> {
    for volume in &runtime.volumes {
        let Volume { name, config_map, empty_dir, persistent_volume_claim, projected, secret } = volume;
        let sources = [
            config_map.is_some(),
            empty_dir.is_some(),
            persistent_volume_claim.is_some(),
            projected.is_some(),
            secret.is_some(),
        ];
        if sources.into_iter().filter(|there| *there).count() != 1 {
            return Err(Rejection::new(
                "InvalidVolume",
                format!(
                    "volumes: {name} must be exactly one of configMap, emptyDir, persistentVolumeClaim, projected and secret; remove the others, or add one"
                ),
            ));
        }
        if name == "workspace" || name == "tmp" || name.starts_with("tmp-") {
            return Err(Rejection::new(
                "ReservedVolume",
                format!("volumes: {name} is Parallax's own; choose another name"),
            ));
        }
        let sources = projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        if runtime.service_account_name.is_none()
            && sources.flat_map(|s| &s.service_account_token).next().is_some()
        {
            return Err(Rejection::new(
                "TokenOfNoAccount",
                format!("volumes: {name} has a token, and the agent no serviceAccountName; set it"),
            ));
        }
    }
    Ok(())
}
