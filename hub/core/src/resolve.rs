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
    let ParallaxAgentSpec { runtime, image, replicas: _, suspend: _, placement: _ } = spec;
    let agent_type = &runtime.agent_type;
    let image = match image {
        Some(image) => image.clone(),
        None if BUILT_IN_TYPES.contains(&agent_type.as_str()) => {
            format!("{}/agent-{agent_type}:{}", defaults.image_prefix, defaults.image_tag)
        }
        None => {
            return Err(ResolveError::NoImage { agent_type: agent_type.clone() });
        }
    };
    let template = AgentTemplate { runtime: runtime.clone(), image };
    let canonical = serde_json::to_value(&template)?;
    let hash = SpecHash::of(&canonical)?;
    let json = Bytes::from(serde_json::to_vec(&canonical)?);
    Ok(Resolved { template, hash, json })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::agent::{Placement, Strategy};
    use serde_json::json;

    use super::*;

    fn spec(json: serde_json::Value) -> ParallaxAgentSpec {
        serde_json::from_value(json).unwrap()
    }

    fn defaults() -> FleetDefaults {
        FleetDefaults { image_prefix: "registry.example/parallax".into(), image_tag: "1.2.3".into() }
    }

    #[test]
    fn each_built_in_type_gets_the_fleets_image() {
        for agent_type in BUILT_IN_TYPES {
            let resolved = resolve(&spec(json!({ "type": agent_type })), &defaults()).unwrap();
            assert_eq!(
                resolved.template.image,
                format!("registry.example/parallax/agent-{agent_type}:1.2.3")
            );
        }
    }

    #[test]
    fn an_image_of_the_users_own_is_kept() {
        let own = json!({ "type": "claude", "image": "example.org/mine:7" });
        assert_eq!(resolve(&spec(own), &defaults()).unwrap().template.image, "example.org/mine:7");
    }

    #[test]
    fn another_type_without_an_image_is_refused_with_what_to_do() {
        let error = resolve(&spec(json!({ "type": "custom" })), &defaults()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "type \"custom\" has no default image: set spec.image, or use one of claude, codex, gemini, aider"
        );
    }

    #[test]
    fn replicas_suspension_and_placement_change_no_pod() {
        let plain = spec(json!({ "type": "claude" }));
        let mut moved = plain.clone();
        (moved.replicas, moved.suspend) = (7, true);
        moved.placement = Some(Placement { strategy: Strategy::Replicate, ..Placement::default() });
        let hash = |spec: &ParallaxAgentSpec| resolve(spec, &defaults()).unwrap().hash;
        assert_eq!(hash(&plain), hash(&moved));
    }

    #[test]
    fn everything_that_a_pod_is_made_of_changes_the_hash() {
        let plain = resolve(&spec(json!({ "type": "claude" })), &defaults()).unwrap().hash;
        for (field, value) in [
            ("type", json!("codex")),
            ("capabilities", json!(["code_review"])),
            ("role", json!("reviewer")),
            ("image", json!("example.org/mine:7")),
            ("imagePullPolicy", json!("Always")),
            ("imagePullSecrets", json!([{ "name": "pull" }])),
            ("command", json!(["run"])),
            ("args", json!(["--fast"])),
            ("env", json!([{ "name": "A", "value": "b" }])),
            ("credentials", json!({ "secretRef": { "name": "keys", "key": "KEY" } })),
            ("resources", json!({ "requests": { "cpu": "100m" } })),
            ("healthCheck", json!({})),
            ("nodeSelector", json!({ "disk": "fast" })),
        ] {
            let mut changed = json!({ "type": "claude" });
            changed[field] = value;
            assert_ne!(resolve(&spec(changed), &defaults()).unwrap().hash, plain, "{field}");
        }
        let other_tag = FleetDefaults { image_tag: "2".into(), ..defaults() };
        assert_ne!(resolve(&spec(json!({ "type": "claude" })), &other_tag).unwrap().hash, plain);
    }

    #[test]
    fn the_bytes_are_canonical_and_are_what_the_hash_is_of() {
        let full =
            json!({ "type": "claude", "role": "r", "nodeSelector": { "b": "2", "a": "1" }, "args": ["x"] });
        let resolved = resolve(&spec(full), &defaults()).unwrap();
        assert_eq!(
            std::str::from_utf8(&resolved.json).unwrap(),
            r#"{"args":["x"],"image":"registry.example/parallax/agent-claude:1.2.3","nodeSelector":{"a":"1","b":"2"},"role":"r","type":"claude"}"#
        );
        let read: AgentTemplate = serde_json::from_slice(&resolved.json).unwrap();
        assert_eq!(read, resolved.template);
        assert_eq!(SpecHash::of(&read).unwrap(), resolved.hash, "the member finds the same hash");
    }
}
