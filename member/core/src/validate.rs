//! What a member refuses, whoever orders it. The hub can't change any of this.

mod beside;
mod runtime;
mod valid;

use parallax_crds::agent::Bounds;
use parallax_crds::assignment::{AgentAssignment, AgentTemplate};
use parallax_crds::link::{Order, Scale};
use parallax_crds::{AgentKey, AgentRef, Incarnation, SpecHash, names};

use self::beside::{containers, volumes};
use self::runtime::{credentials, pod, workspace};
pub use self::valid::Valid;

/// Why an order is not carried out. Only another order can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// A CamelCase word.
    pub reason: &'static str,
    /// A sentence that says what to do.
    pub message: String,
}

impl Rejection {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// An order's template, when the order may be persisted in a cluster whose member lives in `own_namespace`.
///
/// # Errors
/// When the order is hostile, or can't be carried out by this member.
pub fn order(order: &Order, own_namespace: &str) -> Result<AgentTemplate, Rejection> {
    let value: serde_json::Value = serde_json::from_slice(&order.template).map_err(|e| {
        Rejection::new("InvalidTemplate", format!("the template is not JSON ({e}); upgrade the hub"))
    })?;
    if hash_of(&value)? != order.hash {
        return Err(Rejection::new(
            "HashMismatch",
            "the order's hash is not the hash of its template; apply the agent again, or upgrade the hub",
        ));
    }
    let template: AgentTemplate = serde_json::from_value(value).map_err(|e| {
        Rejection::new(
            "InvalidTemplate",
            format!("this member can't read the template ({e}); upgrade the member"),
        )
    })?;
    if hash_of(&template)? != order.hash {
        return Err(Rejection::new(
            "UnknownFields",
            "the template has fields that this member doesn't know; upgrade the member",
        ));
    }
    check(&order.agent, order.scale, &template, own_namespace)?;
    Ok(template)
}

/// An assignment that may be carried out, out of one that is persisted.
///
/// # Errors
/// When the assignment is hostile, or was edited by another hand than the member's.
pub fn assignment<'a>(assignment: &'a AgentAssignment, own_namespace: &str) -> Result<Valid<'a>, Rejection> {
    let spec = &assignment.spec;
    let meta = &assignment.metadata;
    let named = (meta.namespace.as_deref(), meta.name.as_deref());
    if named != (Some(&spec.agent.namespace), Some(&spec.agent.name)) {
        return Err(Rejection::new(
            "WrongName",
            format!(
                "the assignment is for {}/{} and must have that namespace and name; delete it",
                spec.agent.namespace, spec.agent.name
            ),
        ));
    }
    let agent = AgentRef {
        key: AgentKey::new(&spec.agent.namespace, &spec.agent.name),
        incarnation: Incarnation::new(&spec.agent.incarnation),
    };
    let hash: SpecHash = spec.hash.parse().map_err(|e| {
        Rejection::new(
            "HashMismatch",
            format!("spec.hash of the assignment is {e}; undo the edit of the assignment"),
        )
    })?;
    if hash_of(&spec.template)? != hash {
        return Err(Rejection::new(
            "HashMismatch",
            "spec.hash is not the hash of spec.template; undo the edit of the assignment",
        ));
    }
    let scale = Scale { replicas: spec.replicas, bounds: spec.bounds, wake: spec.wake };
    check(&agent, scale, &spec.template, own_namespace)?;
    let owner_uid = meta.uid.as_deref().unwrap_or_default();
    Ok(Valid {
        owner_uid,
        agent,
        hash,
        replicas: spec.replicas,
        bounds: spec.bounds,
        template: &spec.template,
        asleep: false,
        led: false,
    })
}

fn hash_of<T: serde::Serialize>(value: &T) -> Result<SpecHash, Rejection> {
    SpecHash::of(value).map_err(|e| {
        Rejection::new("InvalidTemplate", format!("the template has no JSON form ({e}); upgrade the hub"))
    })
}

fn check(
    agent: &AgentRef,
    scale: Scale,
    template: &AgentTemplate,
    own_namespace: &str,
) -> Result<(), Rejection> {
    namespace(agent.key.namespace(), own_namespace)?;
    if !is_dns_1035(agent.key.name()) {
        return Err(Rejection::new(
            "InvalidName",
            format!(
                "{:?} can't name a Service: use lower-case letters, digits and '-', a letter first",
                agent.key.name()
            ),
        ));
    }
    if !is_label_value(agent.incarnation.as_str()) || agent.incarnation.as_str().is_empty() {
        return Err(Rejection::new(
            "InvalidIncarnation",
            "the incarnation can't be a label's value; upgrade the hub",
        ));
    }
    let replicas = scale.replicas;
    if replicas < 0 {
        return Err(Rejection::new(
            "InvalidReplicas",
            format!("{replicas} replicas can't be run; order 0 or more"),
        ));
    }
    if let Some(Bounds { min, max, .. }) = scale.bounds
        && !(0 <= min && min <= replicas && replicas <= max && 1 <= max)
    {
        return Err(Rejection::new(
            "InvalidReplicas",
            format!(
                "{replicas} replicas can't be between {min} and {max}; undo the edit, or upgrade the hub"
            ),
        ));
    }
    let AgentTemplate { runtime, image, scaling: _, sleep: _ } = template;
    if !is_label_value(&runtime.agent_type) || runtime.agent_type.is_empty() {
        return Err(Rejection::new(
            "InvalidType",
            format!(
                "type {:?} can't be a label's value: use at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
                runtime.agent_type
            ),
        ));
    }
    if image.trim().is_empty() {
        return Err(Rejection::new("NoImage", "the template names no image; set spec.image of the agent"));
    }
    containers(runtime)?;
    volumes(runtime)?;
    credentials(runtime)?;
    workspace(runtime, scale)?;
    pod(runtime)
}

fn namespace(namespace: &str, own: &str) -> Result<(), Rejection> {
    if !names::is_dns_label(namespace) {
        return Err(Rejection::new(
            "InvalidNamespace",
            format!("{namespace:?} can't name a namespace; create the agent in one that exists"),
        ));
    }
    if namespace == own || namespace.starts_with("kube-") {
        return Err(Rejection::new(
            "ForbiddenNamespace",
            format!("this member runs no agents in {namespace}; create the agent in another namespace"),
        ));
    }
    Ok(())
}

/// A DNS-1035 label, as Services need: a DNS-1123 label that begins with a letter.
fn is_dns_1035(s: &str) -> bool {
    names::is_dns_label(s) && s.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_label_value(s: &str) -> bool {
    let b = s.as_bytes();
    b.len() <= 63
        && b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && b.first().is_none_or(u8::is_ascii_alphanumeric)
        && b.last().is_none_or(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests;
