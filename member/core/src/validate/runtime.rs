//! What of an agent's own wishes is refused.

use parallax_crds::agent::{AccessMode, AgentRuntime, Credentials, CredentialsSource};
use parallax_crds::labels::{APP_INSTANCE, APP_NAME, CONTROL_PLANE, MANAGED_BY};
use parallax_crds::link::Scale;

use super::Rejection;

pub(super) fn credentials(runtime: &AgentRuntime) -> Result<(), Rejection> {
    if let Some(credentials) = &runtime.credentials {
        let Credentials { secret_ref, external_secret_ref, source, env_name, rotation: _ } = credentials;
        if secret_ref.is_some() == external_secret_ref.is_some() {
            return Err(Rejection::new(
                "InvalidCredentials",
                "credentials: secretRef and externalSecretRef exclude each other, and one is needed; set exactly one",
            ));
        }
        if *source == Some(CredentialsSource::Hub) && secret_ref.is_none() {
            return Err(Rejection::new(
                "InvalidCredentials",
                "credentials: source: Hub knows Secrets only; set secretRef",
            ));
        }
        if let Some(name) = env_name {
            variable(name)?;
        }
    }
    Ok(())
}

/// Whether a variable, or some that begin so, may be a user's.
pub(super) fn variable(name: &str) -> Result<(), Rejection> {
    if name.is_empty() || name.contains('=') {
        return Err(Rejection::new(
            "InvalidEnv",
            format!("{name:?} can't name a variable: use a name without '='"),
        ));
    }
    if name.starts_with("AGENT_") || name.starts_with("PARALLAX_") {
        return Err(Rejection::new(
            "ReservedEnv",
            format!("{name} is Parallax's own; rename the variable (AGENT_ and PARALLAX_ are reserved)"),
        ));
    }
    Ok(())
}

/// A volume that only one node's pods can mount lets no second one start elsewhere.
pub(super) fn workspace(runtime: &AgentRuntime, scale: Scale) -> Result<(), Rejection> {
    let most = scale.bounds.map_or(scale.replicas, |bounds| bounds.max.max(scale.replicas));
    let alone = runtime.workspace.as_ref().is_some_and(|w| w.access() == AccessMode::ReadWriteOnce);
    if alone && most > 1 {
        return Err(Rejection::new(
            "WorkspaceNotShared",
            format!("replicas: {most} can't share a workspace that isn't ReadWriteMany; order 1"),
        ));
    }
    Ok(())
}

/// What would let an agent's pods pass for others, or out of the limits that every agent has.
pub(super) fn pod(runtime: &AgentRuntime) -> Result<(), Rejection> {
    let own = |key: &&String| {
        key.starts_with("parallax.io/")
            || [MANAGED_BY, APP_NAME, APP_INSTANCE, "pod-template-hash"].contains(&key.as_str())
    };
    if let Some(key) = runtime.pod_labels.keys().find(own) {
        return Err(Rejection::new(
            "ReservedLabel",
            format!("podLabels: {key} is set by Parallax and Kubernetes; choose another key"),
        ));
    }
    let (app, control_plane) = CONTROL_PLANE;
    if runtime.pod_labels.get(app).is_some_and(|value| value == control_plane) {
        return Err(Rejection::new(
            "ReservedLabel",
            format!("podLabels: {app}={control_plane} marks the control plane; choose another value"),
        ));
    }
    let reserved =
        ["parallax.io/", "container.apparmor.security.", "seccomp.security.", "container.seccomp.security."];
    if let Some(key) =
        runtime.pod_annotations.keys().find(|key| reserved.iter().any(|prefix| key.starts_with(prefix)))
    {
        return Err(Rejection::new(
            "ReservedAnnotation",
            format!("podAnnotations: {key} is not for agents to set; remove it"),
        ));
    }
    if let Some(class) = runtime.priority_class_name.as_ref().filter(|class| class.starts_with("system-")) {
        return Err(Rejection::new(
            "ForbiddenPriorityClass",
            format!("priorityClassName: {class} is one of the system's; choose another"),
        ));
    }
    if runtime.pod_security_context.as_ref().is_some_and(|ids| ids.run_as_user == Some(0)) {
        return Err(Rejection::new(
            "RootRefused",
            "podSecurityContext.runAsUser: 0 is root; choose another user",
        ));
    }
    Ok(())
}
