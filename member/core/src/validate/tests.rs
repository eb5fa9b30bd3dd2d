#![allow(clippy::unwrap_used)]
use super::*;
use parallax_crds::agent::{AgentRuntime, Credentials, CredentialsSource, EnvVar, KeyReference, PodIds};
use serde_json::{Value, json};

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
    o.template = serde_json::to_vec(&AgentTemplate { image: "evil".into(), ..template() }).unwrap().into();
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
        o.scale = Scale { replicas: 1, bounds: Some(Bounds { min, max, start: 1 }), wake: None };
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
fn containers_and_volumes_that_the_schema_refuses_are_refused_here_too() {
    let refused = |change: Value| {
        let template = with(|runtime| {
            let mut value = serde_json::to_value(&*runtime).unwrap();
            value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            *runtime = serde_json::from_value(value).unwrap();
        });
        reason(&an_order("team", "writer", &template))
    };
    let image = "example/proxy:1";
    for (change, reason) in [
        (json!({"envFrom": [{"prefix": "AGENT_", "secretRef": {"name": "keys"}}]}), "ReservedEnv"),
        (json!({"envFrom": [{"prefix": "A_"}]}), "InvalidEnv"),
        (
            json!({"sidecars": [{"name": "a", "image": image, "env": [{"name": "PARALLAX_X", "value": "y"}]}]}),
            "ReservedEnv",
        ),
        (json!({"sidecars": [{"name": "agent", "image": image}]}), "InvalidContainer"),
        (
            json!({"initContainers": [{"name": "a", "image": image}], "sidecars": [{"name": "a", "image": image}]}),
            "InvalidContainer",
        ),
        (json!({"volumes": [{"name": "a"}]}), "InvalidVolume"),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "keys"}}]}),
            "InvalidVolume",
        ),
        (json!({"volumes": [{"name": "tmp", "emptyDir": {}}]}), "ReservedVolume"),
        (
            json!({"volumes": [{"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
            "TokenOfNoAccount",
        ),
    ] {
        assert_eq!(refused(change.clone()), reason, "{change}");
    }
}

/// It is not among the types: what a hub that is not ours writes there can't even be read.
#[test]
fn nothing_of_a_node_can_be_a_volume() {
    let mut value = serde_json::to_value(template()).unwrap();
    value["volumes"] = json!([{"name": "host", "emptyDir": {}, "hostPath": {"path": "/"}}]);
    let mut o = an_order("team", "writer", &template());
    o.hash = SpecHash::of(&value).unwrap();
    o.template = value.to_string().into();
    assert_eq!(reason(&o), "UnknownFields");
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
        let annotated = refused(&|r| r.pod_annotations = [(key.to_owned(), "unconfined".to_owned())].into());
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
