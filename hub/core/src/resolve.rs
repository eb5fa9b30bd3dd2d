//! An agent's spec with everything pinned: what its clusters are sent.

use bytes::Bytes;
use parallax_crds::agent::BUILT_IN_TYPES;
use parallax_crds::{AgentTemplate, ParallaxAgentSpec, SpecHash};

/// What the fleet's administrator has decided for agents that don't say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetDefaults {
    /// The registry and path before `/agent-<type>`, without a slash at its end.
    pub image_prefix: String,
    /// The tag of the default images.
    pub image_tag: String,
}

/// A resolved spec, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The resolved spec.
    pub template: AgentTemplate,
    /// Its hash: what decides whether anything changed for a cluster.
    pub hash: SpecHash,
    /// The template as canonical JSON (sorted keys, no white space); `hash` is over these bytes.
    pub json: Bytes,
}

/// Why a spec can't be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Only the built-in types have a default image.
    #[error(
        "type {agent_type:?} has no default image: set spec.image, or use one of claude, codex, gemini, aider"
    )]
    NoImage {
        /// `spec.type`.
        agent_type: String,
    },
    /// The template has no JSON form.
    #[error("the spec can't be written as JSON, so it can't be sent: {0}")]
    Json(#[from] serde_json::Error),
}

/// Resolves a spec. Placement, replicas and suspension are no part of the result: a change of them alone changes
/// no pod.
///
/// # Errors
/// [`ResolveError::NoImage`] where the type isn't built in and `image` is absent (the CRD refuses that too).
pub fn resolve(spec: &ParallaxAgentSpec, defaults: &FleetDefaults) -> Result<Resolved, ResolveError> {
    // Taken apart without `..`: a new field must be decided on here.
    let ParallaxAgentSpec {
        agent_type,
        capabilities,
        role,
        image,
        image_pull_policy,
        image_pull_secrets,
        command,
        args,
        env,
        resources,
        node_selector,
        replicas: _,
        suspend: _,
        placement: _,
    } = spec;
    let image = match image {
        Some(image) => image.clone(),
        None if BUILT_IN_TYPES.contains(&agent_type.as_str()) => {
            format!(
                "{}/agent-{agent_type}:{}",
                defaults.image_prefix, defaults.image_tag
            )
        }
        None => {
            return Err(ResolveError::NoImage {
                agent_type: agent_type.clone(),
            });
        }
    };
    let template = AgentTemplate {
        agent_type: agent_type.clone(),
        capabilities: capabilities.clone(),
        role: role.clone(),
        image,
        image_pull_policy: *image_pull_policy,
        image_pull_secrets: image_pull_secrets.clone(),
        command: command.clone(),
        args: args.clone(),
        env: env.clone(),
        resources: resources.clone(),
        node_selector: node_selector.clone(),
    };
    let canonical = serde_json::to_value(&template)?;
    let hash = SpecHash::of(&canonical)?;
    let json = Bytes::from(serde_json::to_vec(&canonical)?);
    Ok(Resolved { template, hash, json })
}
