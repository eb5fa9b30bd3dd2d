//! An agent's spec with everything pinned: what its clusters are sent.

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::agent::{AgentRuntime, BUILT_IN_TYPES, ScalingTargets};
use parallax_crds::{AgentTemplate, ParallaxAgentSpec, SpecHash};
use serde::{Deserialize, Serialize};

use crate::overrides::{Applying, applied, beyond_limit};

/// What the fleet's administrator has decided for agents that don't say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetDefaults {
    /// The registry and path before `/agent-<type>`, without a slash at its end.
    pub image_prefix: String,
    /// The tag of the default images.
    pub image_tag: String,
    /// What an agent requests whose load is measured by CPU, where it says nothing itself.
    pub cpu_request: Quantity,
    /// As `cpu_request`, of memory.
    pub memory_request: Quantity,
}

impl FleetDefaults {
    /// [`Self::image_prefix`] where the administrator doesn't say.
    pub const IMAGE_PREFIX: &str = "ghcr.io/parallax";
    /// As [`Self::IMAGE_PREFIX`], of the tag.
    pub const IMAGE_TAG: &str = env!("CARGO_PKG_VERSION");
    /// As [`Self::IMAGE_PREFIX`], of the CPU that is requested.
    pub const CPU_REQUEST: &str = "100m";
    /// As [`Self::IMAGE_PREFIX`], of the memory that is requested.
    pub const MEMORY_REQUEST: &str = "256Mi";
}

impl Default for FleetDefaults {
    fn default() -> Self {
        Self {
            image_prefix: Self::IMAGE_PREFIX.to_owned(),
            image_tag: Self::IMAGE_TAG.to_owned(),
            cpu_request: Quantity(Self::CPU_REQUEST.to_owned()),
            memory_request: Quantity(Self::MEMORY_REQUEST.to_owned()),
        }
    }
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
        "type {agent_type:?} has no default image: set spec.image, or use one of {}",
        BUILT_IN_TYPES.join(", ")
    )]
    NoImage {
        /// `spec.type`.
        agent_type: String,
    },
    /// What an override adds doesn't go with what stays of the spec.
    #[error(
        "placement.overrides{places:?}: {resource} would have the request {request} and the limit {limit}: raise the limit there, or lower the request"
    )]
    BeyondLimit {
        /// Which overrides apply together.
        places: Vec<usize>,
        /// The resource.
        resource: String,
        /// What is requested of it.
        request: String,
        /// What may be used of it.
        limit: String,
    },
    /// The template has no JSON form.
    #[error(
        "the spec can't be written as JSON, so it can't be sent ({0}): report it, it is a defect of the hub"
    )]
    Json(#[from] serde_json::Error),
}

/// Resolves a spec as it is where these of its overrides apply.
///
/// # Errors
/// As [`resolve`], and [`ResolveError::BeyondLimit`] where more would be requested than may be used.
pub fn resolve_where(
    spec: &ParallaxAgentSpec,
    applying: Applying,
    defaults: &FleetDefaults,
) -> Result<Resolved, ResolveError> {
    if applying == Applying::NONE {
        return resolve(spec, defaults);
    }
    let spec = applied(spec, applying);
    if let Some((resource, request, limit)) = beyond_limit(&spec.runtime) {
        let (resource, request, limit) = (resource.clone(), request.0.clone(), limit.0.clone());
        return Err(ResolveError::BeyondLimit {
            places: applying.places().collect(),
            resource,
            request,
            limit,
        });
    }
    resolve(&spec, defaults)
}

/// Resolves a spec. Placement, rollout, replicas and suspension are no part of the result: a change of them alone changes
/// no pod.
///
/// # Errors
/// [`ResolveError::NoImage`] where the type isn't built in and `image` is absent (the CRD refuses that too).
pub fn resolve(spec: &ParallaxAgentSpec, defaults: &FleetDefaults) -> Result<Resolved, ResolveError> {
    // Taken apart without `..`: a new field must be decided on here.
    let ParallaxAgentSpec { runtime, image, replicas: _, scaling, suspend: _, placement: _, rollout: _ } =
        spec;
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
    // Bounds are the cluster's, like replicas.
    let sleep = scaling.and_then(|scaling| scaling.sleep());
    let scaling = scaling.map(|scaling| scaling.targets).unwrap_or_default();
    let runtime = with_requests(runtime.clone(), scaling, defaults);
    let template = AgentTemplate { runtime, image, scaling, sleep };
    let canonical = serde_json::to_value(&template)?;
    let hash = SpecHash::of(&canonical)?;
    // Without the room to grow: it is kept.
    let json = Bytes::from(serde_json::to_vec(&canonical)?.into_boxed_slice());
    Ok(Resolved { template, hash, json })
}

/// A share of a request needs one. (A limit without a request is one, to Kubernetes.)
fn with_requests(
    mut runtime: AgentRuntime,
    scaling: ScalingTargets,
    defaults: &FleetDefaults,
) -> AgentRuntime {
    let ScalingTargets { target_cpu_utilization, target_memory_utilization } = scaling;
    for (target, resource, default) in [
        (target_cpu_utilization, "cpu", &defaults.cpu_request),
        (target_memory_utilization, "memory", &defaults.memory_request),
    ] {
        let given = runtime.resources.as_ref();
        if target.is_some()
            && given.is_none_or(|r| !r.requests.contains_key(resource) && !r.limits.contains_key(resource))
        {
            let requests = &mut runtime.resources.get_or_insert_default().requests;
            requests.insert(resource.to_owned(), default.clone());
        }
    }
    runtime
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
        FleetDefaults {
            image_prefix: "registry.example/parallax".into(),
            image_tag: "1.2.3".into(),
            cpu_request: Quantity("100m".into()),
            memory_request: Quantity("256Mi".into()),
        }
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
    fn bounds_change_no_pod_and_targets_do_not_either_where_requests_are_given() {
        let of = |scaling: serde_json::Value| {
            let requests = json!({ "cpu": "50m" });
            let json = json!({ "type": "claude", "resources": { "requests": requests }, "scaling": scaling });
            resolve(&spec(json), &defaults()).unwrap()
        };
        let plain = of(json!(null));
        assert_eq!(of(json!({ "minReplicas": 2, "maxReplicas": 9 })).hash, plain.hash);
        let scaled = of(json!({ "targetCPUUtilization": 70 }));
        assert_ne!(scaled.hash, plain.hash);
        assert_eq!(scaled.template.runtime, plain.template.runtime);
    }

    #[test]
    fn a_target_that_nothing_is_requested_for_gets_the_fleets_default() {
        let requests = |resources: serde_json::Value, scaling: serde_json::Value| {
            let json = json!({ "type": "claude", "resources": resources, "scaling": scaling });
            let resolved = resolve(&spec(json), &defaults()).unwrap();
            json!(resolved.template.runtime.resources.unwrap_or_default().requests)
        };
        let both = json!({ "targetCPUUtilization": 70, "targetMemoryUtilization": 80 });
        assert_eq!(requests(json!(null), both.clone()), json!({ "cpu": "100m", "memory": "256Mi" }));
        assert_eq!(requests(json!(null), json!({ "targetCPUUtilization": 70 })), json!({ "cpu": "100m" }));
        assert_eq!(requests(json!(null), json!({ "maxReplicas": 2 })), json!({}));
        let own = json!({ "requests": { "cpu": "1" }, "limits": { "memory": "64Mi" } });
        assert_eq!(requests(own, both), json!({ "cpu": "1" }), "a limit is a request");
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
            ("envFrom", json!([{ "secretRef": { "name": "keys" } }])),
            ("initContainers", json!([{ "name": "load", "image": "example.org/load:1" }])),
            ("sidecars", json!([{ "name": "proxy", "image": "example.org/proxy:1" }])),
            ("volumes", json!([{ "name": "scratch", "emptyDir": {} }])),
            ("volumeMounts", json!([{ "name": "scratch", "mountPath": "/scratch" }])),
            ("credentials", json!({ "secretRef": { "name": "keys", "key": "KEY" } })),
            ("resources", json!({ "requests": { "cpu": "100m" } })),
            ("healthCheck", json!({})),
            ("nodeSelector", json!({ "disk": "fast" })),
            ("tolerations", json!([{ "operator": "Exists" }])),
            ("affinity", json!({ "nodeAffinity": {} })),
            (
                "topologySpreadConstraints",
                json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" }]),
            ),
            ("runtimeClassName", json!("gvisor")),
            ("priorityClassName", json!("batch")),
            ("serviceAccountName", json!("reviewer")),
            ("terminationGracePeriodSeconds", json!(600)),
            ("podSecurityContext", json!({ "runAsUser": 1000 })),
            ("podLabels", json!({ "team": "writers" })),
            ("podAnnotations", json!({ "owner": "Ada" })),
            ("metrics", json!({ "enabled": true })),
            ("workspace", json!({ "size": "1Gi" })),
            ("network", json!({ "ingress": [{ "podSelector": {} }] })),
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
