#![allow(clippy::unwrap_used, clippy::expect_used)]
#[path = "evaluator.rs"]
mod evaluator;

use parallax_crds::agent::{AgentRuntime, Network};
use parallax_crds::assignment::AgentTemplate;
use parallax_crds::{AgentKey, AgentRef, ClusterName, Incarnation, SpecHash};
use serde_json::{Value, json};

use super::super::PORT;
use crate::callers::{Caller, Callers};

use self::evaluator::{End, Labels, admits_from, admits_to, selects};
use super::*;

const CONTROL_PLANES: &[&str] = &["parallax", "ops"];

/// The policy of team/writer with this `network`, as the API server would read it.
fn policy(network: &Value, control_planes: &[&str]) -> NetworkPolicy {
    let network = serde_json::from_value(network.clone()).unwrap();
    policy_of(AgentRuntime { network, ..AgentRuntime::default() }, control_planes, &[])
}

fn policy_of(runtime: AgentRuntime, control_planes: &[&str], scrapers: &[&str]) -> NetworkPolicy {
    let template = AgentTemplate {
        runtime: AgentRuntime { agent_type: "claude".into(), ..runtime },
        image: "example/agent:1".into(),
        ..AgentTemplate::default()
    };
    let valid = Valid {
        owner_uid: "a8f1",
        agent: AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("0d5e") },
        hash: SpecHash::of(&template).unwrap(),
        replicas: 1,
        bounds: None,
        asleep: false,
        led: false,
        template: &template,
    };
    let [planes, scrapers] =
        [control_planes, scrapers].map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let cluster = ClusterName::new("member-1").unwrap();
    let site = Site {
        cluster: &cluster,
        control_plane_namespaces: &planes,
        scraper_namespaces: &scrapers,
        pod_monitors: false,
        service_exports: false,
        system_namespace: "parallax-system",
    };
    serde_json::from_value(serde_json::to_value(network_policy(&valid, site)).unwrap()).unwrap()
}

fn labels(of: &[(&str, &str)]) -> Labels {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod(namespace: &str, of: &[(&str, &str)]) -> End {
    let mut namespace_labels = labels(&[(NAMESPACE_NAME, namespace)]);
    if namespace == "web" {
        namespace_labels.insert("tier".into(), "front".into());
    }
    End::Pod { namespace: namespace.into(), namespace_labels, labels: labels(of) }
}

fn address(of: &str) -> End {
    End::Address(of.parse().unwrap())
}

const PLANE: &[(&str, &str)] = &[("app", "parallax-control-plane")];
const ACTIVATORS: &[(&str, &str)] =
    &[("app.kubernetes.io/part-of", "parallax"), ("app.kubernetes.io/component", "activator")];
const ANY: &[(&str, &str)] = &[("app", "web")];

#[test]
fn it_is_about_the_agents_pods_and_no_others() {
    let policy = policy(&Value::Null, &[]);
    let pod = |agent, incarnation| {
        labels(&[("parallax.io/agent", agent), ("parallax.io/incarnation", incarnation), ("x", "y")])
    };
    assert!(selects(&policy, &pod("writer", "0d5e")));
    assert!(!selects(&policy, &pod("reader", "0d5e")));
    assert!(!selects(&policy, &pod("writer", "1111")));
    assert!(!selects(&policy, &labels(PLANE)));
}

#[test]
fn only_the_control_plane_and_activators_reach_an_agent_that_says_nothing() {
    let alone = policy(&Value::Null, &[]);
    let configured = policy(&Value::Null, CONTROL_PLANES);
    for (from, by_default, with_namespaces) in [
        (pod("team", PLANE), true, true),
        (pod("parallax", PLANE), false, true),
        (pod("ops", PLANE), false, true),
        (pod("stranger", PLANE), false, false),
        (pod("parallax-system", ACTIVATORS), true, true),
        (pod("parallax-system", &ACTIVATORS[..1]), false, false),
        (pod("team", ACTIVATORS), false, false),
        (pod("team", ANY), false, false),
        (pod("parallax", ANY), false, false),
        (pod("team", &[]), false, false),
        (pod("kube-system", &[]), false, false),
        (address("10.0.0.1"), false, false),
        (address("fd00::1"), false, false),
    ] {
        for port in [8080, 9090] {
            assert_eq!(admits_from(&alone, &from, port, "TCP"), by_default, "{from:?} on {port}");
            assert_eq!(admits_from(&configured, &from, port, "TCP"), with_namespaces, "{from:?} on {port}");
        }
    }
}

#[test]
fn scrapers_reach_the_metrics_of_an_agent_that_has_any_and_nothing_else() {
    let of = |metrics: Value, scrapers: &[&str]| {
        let metrics = serde_json::from_value(metrics).unwrap();
        policy_of(AgentRuntime { metrics, ..AgentRuntime::default() }, &[], scrapers)
    };
    let measured = of(json!({"enabled": true, "port": 9100}), &["monitoring"]);
    for (from, port, admitted) in [
        (pod("monitoring", ANY), 9100, true),
        (pod("monitoring", ANY), 8080, false),
        (pod("monitoring", ANY), 9090, false),
        (pod("team", ANY), 9100, false),
        (address("10.0.0.1"), 9100, false),
        (pod("team", PLANE), 9100, true),
    ] {
        assert_eq!(admits_from(&measured, &from, port, "TCP"), admitted, "{from:?} on {port}");
    }
    let monitoring = pod("monitoring", ANY);
    for closed in [of(json!({"enabled": false}), &["monitoring"]), of(json!({"enabled": true}), &[])] {
        assert!(!admits_from(&closed, &monitoring, 9090, "TCP"));
    }
    assert!(
        admits_from(&of(json!({"enabled": true}), &["monitoring"]), &monitoring, 9090, "TCP"),
        "by default"
    );
}

#[test]
fn an_agent_that_says_nothing_reaches_everybody() {
    let policy = policy(&Value::Null, CONTROL_PLANES);
    for to in [pod("team", ANY), pod("kube-system", &[]), address("1.1.1.1"), address("fd00::1")] {
        assert!(admits_to(&policy, &to, 443, "TCP") && admits_to(&policy, &to, 9, "UDP"), "{to:?}");
    }
}

#[test]
fn more_peers_are_admitted_on_their_ports_and_nobody_else() {
    let policy = policy(
        &json!({"ingress": [
            {"podSelector": {"matchLabels": {"app": "web"}}, "ports": [{"port": 8080}]},
            {"namespaceSelector": {"matchLabels": {"tier": "front"}}, "podSelector": {"matchLabels": {"app": "web"}},
             "ports": [{"port": 9000, "endPort": 9002}, {"port": 5000, "protocol": "UDP"}]},
            {"namespaceSelector": {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": "In", "values": ["tools"]}]}},
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
            {"ipBlock": {"cidr": "fd00::/8"}, "ports": [{"port": 8080}]},
        ]}),
        &[],
    );
    for (from, port, protocol, admitted) in [
        (pod("team", PLANE), 8080, "TCP", true),
        (pod("team", ANY), 8080, "TCP", true),
        (pod("team", ANY), 8081, "TCP", false),
        (pod("team", ANY), 8080, "UDP", false),
        (pod("web", ANY), 8080, "TCP", false),
        (pod("web", ANY), 9000, "TCP", true),
        (pod("web", ANY), 9002, "TCP", true),
        (pod("web", ANY), 9003, "TCP", false),
        (pod("web", ANY), 5000, "UDP", true),
        (pod("web", ANY), 5000, "TCP", false),
        (pod("web", &[]), 9000, "TCP", false),
        (pod("tools", &[]), 1, "SCTP", true),
        (pod("other", ANY), 8080, "TCP", false),
        (address("10.2.3.4"), 8080, "TCP", true),
        (address("10.1.3.4"), 8080, "TCP", false),
        (address("11.2.3.4"), 8080, "TCP", false),
        (address("fd00::1"), 8080, "TCP", true),
        (address("fd00::1"), 8081, "TCP", false),
    ] {
        assert_eq!(admits_from(&policy, &from, port, protocol), admitted, "{from:?} on {port}/{protocol}");
    }
    assert!(admits_to(&policy, &address("1.1.1.1"), 443, "TCP"), "who may come says nothing of where to go");
}

#[test]
fn an_agent_that_says_whom_it_reaches_reaches_these_and_dns() {
    let policy = policy(
        &json!({"egress": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}, "ports": [{"port": 443}]},
            {"podSelector": {}},
        ]}),
        CONTROL_PLANES,
    );
    for (to, port, protocol, admitted) in [
        (address("1.1.1.1"), 443, "TCP", true),
        (address("1.1.1.1"), 80, "TCP", false),
        (address("10.0.0.1"), 443, "TCP", false),
        (address("169.254.169.254"), 443, "TCP", false),
        (pod("team", ANY), 5432, "TCP", true),
        (pod("other", ANY), 5432, "TCP", false),
        (pod("kube-system", &[]), 53, "UDP", true),
        (pod("kube-system", &[]), 53, "TCP", true),
        (pod("kube-system", &[]), 443, "TCP", false),
        (address("169.254.20.10"), 53, "UDP", true),
    ] {
        assert_eq!(admits_to(&policy, &to, port, protocol), admitted, "{to:?} on {port}/{protocol}");
    }
    assert!(admits_from(&policy, &pod("ops", PLANE), 8080, "TCP"));
    assert!(!admits_from(&policy, &pod("team", ANY), 8080, "TCP"));
}

/// An activator lets through whom the policy would let through to the port behind it.
#[test]
fn the_callers_of_an_agent_are_those_that_its_policy_admits_to_its_port() {
    let networks = [
        Value::Null,
        json!({"ingress": [{"podSelector": {"matchLabels": {"app": "web"}}}]}),
        json!({"ingress": [{"podSelector": {}}]}),
        json!({"ingress": [{"namespaceSelector": {"matchLabels": {"tier": "front"}}, "ports": [{"port": 8080}]}]}),
        json!({"ingress": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}]}),
        json!({"ingress": [{"podSelector": {}, "ports": [{"port": 9090}, {"port": 8080, "protocol": "UDP"}]}]}),
        json!({"ingress": [{"podSelector": {}, "ports": [{"port": 8000, "endPort": 8100}]}]}),
        json!({"ingress": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}),
        json!({"ingress": [{"ipBlock": {"cidr": "2001:db8::/32"}}], "egress": [{"podSelector": {}}]}),
        json!({"ingress": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}}]}),
    ];
    let mut ends: Vec<End> = ["10.2.0.1", "10.1.0.1", "192.0.2.1", "2001:db8::1"].map(address).into();
    for namespace in ["team", "web", "ops", "other"] {
        for labels in [ANY, PLANE, &[("app", "web")]] {
            ends.push(pod(namespace, labels));
        }
    }
    let planes: Vec<String> = CONTROL_PLANES.iter().map(|&name| name.to_owned()).collect();
    let mut admitted = 0;
    for network in networks {
        let policy = policy(&network, CONTROL_PLANES);
        let callers = {
            let network: Option<Network> = serde_json::from_value(network.clone()).unwrap();
            Callers::of("team", network.as_ref(), &planes)
        };
        for end in &ends {
            let caller = match end {
                End::Pod { namespace, namespace_labels, labels } => {
                    Caller::Pod { namespace, namespace_labels, labels }
                }
                End::Address(address) => Caller::Address(*address),
            };
            let expected = admits_from(&policy, end, PORT.0, "TCP");
            assert_eq!(callers.admit(caller), expected, "{end:?} under {network}");
            admitted += u32::from(expected);
        }
    }
    assert!(admitted > 20, "the cases are both ways");
}
