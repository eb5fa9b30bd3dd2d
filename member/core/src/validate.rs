//! What a member refuses, whoever orders it. The hub can't change any of this.

use std::time::Duration;

use parallax_crds::agent::{AccessMode, AgentRuntime, Bounds, Credentials, CredentialsSource};
use parallax_crds::assignment::{AgentAssignment, AgentTemplate};
use parallax_crds::labels::{APP_INSTANCE, APP_NAME, CONTROL_PLANE, MANAGED_BY};
use parallax_crds::link::{Order, Scale};
use parallax_crds::{AgentKey, AgentRef, Incarnation, SpecHash, names};

use crate::replicas::Autoscaled;

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

/// An assignment that may be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid<'a> {
    /// The UID of the AgentAssignment, which owns what is built.
    pub owner_uid: &'a str,
    /// Which agent.
    pub agent: AgentRef,
    /// The hash of `template`.
    pub hash: SpecHash,
    /// How many replicas; with bounds, that is where the count starts.
    pub replicas: i32,
    /// Between how many replicas load may choose.
    pub bounds: Option<Bounds>,
    /// What to run.
    pub template: &'a AgentTemplate,
    /// It is idle, and its pods are to go.
    pub asleep: bool,
    /// Its Service leads to the activators instead of selecting its pods.
    pub led: bool,
}

impl Valid<'_> {
    /// How long the agent must be idle before it goes to zero; none: it doesn't. Nothing wakes one that is ordered to
    /// have no replicas.
    #[must_use]
    pub fn sleep_delay(&self) -> Option<Duration> {
        let sleep = self.template.sleep.filter(|_| self.replicas > 0)?;
        Some(Duration::from_secs(u64::try_from(sleep.delay_seconds).unwrap_or_default()))
    }

    /// The number of replicas that the member applies; none while it is an autoscaler's: see [`crate::replicas`].
    #[must_use]
    pub fn own_replicas(&self) -> Option<i32> {
        if self.asleep { Some(0) } else { self.autoscaled().is_none().then_some(self.replicas) }
    }

    /// How load chooses the number of replicas; none: it doesn't.
    #[must_use]
    pub fn autoscaled(&self) -> Option<Autoscaled> {
        let targets = self.template.scaling;
        let bounds = self.bounds.filter(|_| !targets.is_empty())?;
        Some(Autoscaled { bounds, targets, share: self.replicas })
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
    let scale = Scale { replicas: spec.replicas, bounds: spec.bounds };
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
    for env in &runtime.env {
        variable(&env.name)?;
    }
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
    workspace(runtime, scale)?;
    pod(runtime)
}

fn variable(name: &str) -> Result<(), Rejection> {
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
fn workspace(runtime: &AgentRuntime, scale: Scale) -> Result<(), Rejection> {
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
fn pod(runtime: &AgentRuntime) -> Result<(), Rejection> {
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use parallax_crds::agent::{EnvVar, KeyReference, PodIds};

    fn template() -> AgentTemplate {
        with(|_| ())
    }

    fn with(change: impl FnOnce(&mut AgentRuntime)) -> AgentTemplate {
        let mut runtime = AgentRuntime { agent_type: "claude".into(), ..AgentRuntime::default() };
        change(&mut runtime);
        AgentTemplate { runtime, image: "example/agent:1".into(), ..AgentTemplate::default() }
    }

    fn an_order(namespace: &str, name: &str, template: &AgentTemplate) -> Order {
        Order {
            agent: AgentRef { key: AgentKey::new(namespace, name), incarnation: Incarnation::new("u-1") },
            hash: SpecHash::of(template).unwrap(),
            scale: Scale::fixed(1),
            template: serde_json::to_vec(template).unwrap().into(),
            traceparent: None,
        }
    }

    fn reason(o: &Order) -> &'static str {
        order(o, "parallax-system").unwrap_err().reason
    }

    #[test]
    fn an_ordinary_order_passes() {
        assert_eq!(order(&an_order("team", "writer", &template()), "parallax-system").unwrap(), template());
    }

    #[test]
    fn kubernetes_own_namespaces_and_the_members_are_refused() {
        for ns in ["kube-system", "kube-public", "parallax-system"] {
            assert_eq!(reason(&an_order(ns, "writer", &template())), "ForbiddenNamespace");
        }
        for ns in ["", "../secrets", "Team"] {
            assert_eq!(reason(&an_order(ns, "writer", &template())), "InvalidNamespace");
        }
    }

    #[test]
    fn a_name_that_no_service_can_have_is_refused() {
        for name in ["", "1st", "Writer", "a/b", "a.b"] {
            assert_eq!(reason(&an_order("team", name, &template())), "InvalidName");
        }
    }

    #[test]
    fn a_template_that_is_not_the_one_hashed_is_refused() {
        let mut o = an_order("team", "writer", &template());
        o.template =
            serde_json::to_vec(&AgentTemplate { image: "evil".into(), ..template() }).unwrap().into();
        assert_eq!(reason(&o), "HashMismatch");
        o.template = "{".into();
        assert_eq!(reason(&o), "InvalidTemplate");
    }

    #[test]
    fn a_field_of_a_newer_hub_is_refused_and_not_dropped() {
        let mut value = serde_json::to_value(template()).unwrap();
        value["privileged"] = true.into();
        let mut o = an_order("team", "writer", &template());
        o.hash = SpecHash::of(&value).unwrap();
        o.template = value.to_string().into();
        assert_eq!(reason(&o), "UnknownFields");
    }

    #[test]
    fn negative_replicas_reserved_variables_and_label_games_are_refused() {
        let mut o = an_order("team", "writer", &template());
        o.scale = Scale::fixed(-1);
        assert_eq!(reason(&o), "InvalidReplicas");
        for (min, max) in [(-1, 2), (2, 3), (0, 0)] {
            o.scale = Scale { replicas: 1, bounds: Some(Bounds { min, max, start: 1 }) };
            assert_eq!(reason(&o), "InvalidReplicas", "{min} {max}");
        }
        let env = EnvVar { name: "AGENT_NAME".into(), value: Some("x".into()), value_from: None };
        assert_eq!(reason(&an_order("team", "writer", &with(|r| r.env.push(env)))), "ReservedEnv");
        let env_name = Some("PARALLAX_CLUSTER".into());
        let key = KeyReference { name: "keys".into(), key: "KEY".into() };
        let one = Credentials { secret_ref: Some(key.clone()), env_name, ..Credentials::default() };
        assert_eq!(
            reason(&an_order("team", "writer", &with(|r| r.credentials = Some(one.clone())))),
            "ReservedEnv"
        );
        let both = Credentials { external_secret_ref: Some(key), ..one };
        let source = Some(CredentialsSource::Hub);
        let vault = Credentials { secret_ref: None, source, ..both.clone() };
        for odd in [both, vault, Credentials::default()] {
            assert_eq!(
                reason(&an_order("team", "writer", &with(|r| r.credentials = Some(odd)))),
                "InvalidCredentials"
            );
        }
        let t = with(|r| r.agent_type = "a,b=c".into());
        assert_eq!(reason(&an_order("team", "writer", &t)), "InvalidType");
        let t = AgentTemplate { image: " ".into(), ..template() };
        assert_eq!(reason(&an_order("team", "writer", &t)), "NoImage");
        let mut o = an_order("team", "writer", &template());
        o.agent.incarnation = Incarnation::new("");
        assert_eq!(reason(&o), "InvalidIncarnation");
    }

    #[test]
    fn pods_that_pass_for_others_or_want_more_than_an_agent_may_are_refused() {
        let refused = |change: &dyn Fn(&mut AgentRuntime)| reason(&an_order("team", "writer", &with(change)));
        for (key, value) in [
            ("parallax.io/agent", "another"),
            ("app.kubernetes.io/instance", "another"),
            ("pod-template-hash", "1"),
            ("app", "parallax-control-plane"),
        ] {
            let labelled = refused(&|r| r.pod_labels = [(key.to_owned(), value.to_owned())].into());
            assert_eq!(labelled, "ReservedLabel", "{key}");
        }
        for key in ["parallax.io/x", "container.apparmor.security.beta.kubernetes.io/agent"] {
            let annotated =
                refused(&|r| r.pod_annotations = [(key.to_owned(), "unconfined".to_owned())].into());
            assert_eq!(annotated, "ReservedAnnotation", "{key}");
        }
        let urgent = refused(&|r| r.priority_class_name = Some("system-node-critical".into()));
        assert_eq!(urgent, "ForbiddenPriorityClass");
        let root =
            refused(&|r| r.pod_security_context = Some(PodIds { run_as_user: Some(0), ..PodIds::default() }));
        assert_eq!(root, "RootRefused");
    }

    #[test]
    fn a_workspace_for_one_is_not_for_two() {
        let with_workspace = |mode: &str, replicas| {
            let workspace = serde_json::json!({"size": "1Gi", "accessMode": mode});
            let template = with(|r| r.workspace = serde_json::from_value(workspace).unwrap());
            let mut order = an_order("team", "writer", &template);
            order.scale.replicas = replicas;
            super::order(&order, "parallax-system").map_err(|rejection| rejection.reason)
        };
        assert!(with_workspace("ReadWriteOnce", 1).is_ok());
        assert_eq!(with_workspace("ReadWriteOnce", 2), Err("WorkspaceNotShared"));
        assert!(with_workspace("ReadWriteMany", 2).is_ok());
    }

    #[test]
    fn labels_of_a_users_own_are_taken() {
        let labelled = with(|r| r.pod_labels = [("app".to_owned(), "writer".to_owned())].into());
        assert_eq!(order(&an_order("team", "writer", &labelled), "parallax-system").unwrap(), labelled);
    }
}
